"""Sweeps that come along: the paper, the laboratory; they compile, and have a price."""

from __future__ import annotations

from pathlib import Path

import pytest

import sftkit
from sftkit.sweeps.document import read_sweep
from sftkit.sweeps.forecast import SweepForecast
from sftkit.sweeps.plan import plan
from sftkit.sweeps.shipped import path_of, shipped
from sftkit.sweeps.snakefile import workflow
from tests.cli.run import sftkit as run
from tests.sweeps.test_sweeps import COMMANDS


def test_the_papers_sweep_compiles_and_has_a_price(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    sweep = read_sweep(path_of("paper"), COMMANDS)
    found = plan(sweep, Path("paper"), COMMANDS)
    per_task = {task.name: len(task.languages or ()) * len(task.options["density"]) for task in sweep.tasks}
    assert per_task == {"pos": 96, "dep": 96, "ner": 54, "nli": 60}
    # lottery and task-only everywhere, random in the first two
    assert len(found.rows) == 2 * sum(per_task.values()) + per_task["pos"] + per_task["dep"]
    text = workflow(found, sweep.resources, "paper")
    assert text.count("\nrule ") + text.startswith("rule ") == len(found.cells) + 1
    forecast = SweepForecast(found.cells, sweep.costs)
    assert all(forecast.seconds(each) is not None and forecast.bytes(each) is not None for each in found.cells.values())


def test_each_is_listed_by_a_whole_sentence() -> None:
    assert [title for title in shipped().values() if not title.endswith(".")] == []


LABORATORY = [name for name in shipped() if name.startswith("laboratory")]


@pytest.mark.parametrize("name", LABORATORY)
def test_the_laboratory_compiles_has_a_price_and_ten_seeds_or_more(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    sweep = read_sweep(path_of(name), COMMANDS)
    assert len(sweep.seeds) >= 10
    found = plan(sweep, Path("laboratory"), COMMANDS)
    assert found.rows
    assert not found.missing
    forecast = SweepForecast(found.cells, sweep.costs)
    assert all(forecast.seconds(each) is not None for each in found.cells.values())


def test_the_laboratorys_files_share_what_they_learn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All that another file asks for of the lottery at the density of Table 2 is a cell of that with short taggers."""
    monkeypatch.chdir(tmp_path)
    whole, methods = (
        plan(read_sweep(path_of(name), COMMANDS), Path("laboratory"), COMMANDS).cells
        for name in ("laboratory-short", "laboratory-methods")
    )
    lottery = {record for record, each in methods.items() if each.work.phases and "--method lottery" in each.plain}
    assert lottery
    assert lottery <= whole.keys()


def test_every_sweep_that_comes_along_is_listed_and_can_be_read() -> None:
    done = run("sweep", "--list")
    for path in (Path(sftkit.__file__).parent / "sweeps").glob("*.toml"):
        assert path.stem in done.stdout
        assert read_sweep(path, COMMANDS).tasks
