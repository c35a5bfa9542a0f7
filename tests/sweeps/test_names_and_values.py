"""Names and values that a sweep's file may hold: what Snakemake cannot take is refused early, what it can is taken."""

from __future__ import annotations

from pathlib import Path

import pytest

from sftkit.cli.run.grid import commands
from sftkit.sweeps.costs import Costs
from sftkit.sweeps.document import read_sweep
from sftkit.sweeps.forecast import SweepForecast
from sftkit.sweeps.plan import plan
from tests.cli.run import sftkit as run

SWEEP = """
base = "base"
source = "en"
languages = ["mt"]
methods = ["lottery"]
[language]
mlm = "{}.txt"
density = 0.05
[tasks.pos]
train = "{}.train"
test = "{}.test"
"""
EXTERNAL = '[methods.a]\nprogram = "/bin/sh"\ncommand = "{base:d}"\n'
COMMANDS = commands()


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("[language]", '[language]\nmethod = "random"'), "[language] method: methods stand at the top"),
        (("[tasks.pos]", '[tasks.pos]\nmethod = "random"'), "[tasks.pos] method: methods stand at the top"),
        (("[tasks.pos]", '[task]\nmethod = "random"\n[tasks.pos]'), "[task] method: methods stand at the top"),
        (('["mt"]', '["{x}"]'), "'{x}.txt' has a brace"),
        (('["mt"]', '["{seed}"]'), "has a brace"),
        (('["mt"]', '["m\\u0000"]'), "a null character stands in it"),
        (("[language]", "[cost]\nscore = inf\n[language]"), "[cost] score = inf: has to be a number from 0"),
        (("[language]", "[cost]\npos = { step = 1e308, steps = 9 }\n[language]"), "pos step = 1e+308: has to be"),
        (("[language]", f"[cost]\npos = {{ step = 1, steps = {10**30} }}\n[language]"), "more than 64 bits"),
        (('methods = ["lottery"]\n', ""), "{base} in a command takes nothing after its name"),
        (("density", "batch_size = 2\nbatch-size = 3\ndensity"), "batch_size and batch-size are the same"),
    ],
)
def test_what_would_be_ignored_or_stop_the_sweep_is_refused_in_a_line(change: tuple[str, str], said: str) -> None:
    text = SWEEP.replace(*change)
    Path("a.toml").write_text(text if "methods =" in text else text + EXTERNAL)
    done = run("sweep", "a.toml", "--dry-run")
    assert (done.status, done.stderr.count("\n")) == (1, 1)
    assert said in done.stderr


def test_a_brace_in_the_folder_is_refused_before_anything_starts() -> None:
    Path("a.toml").write_text(SWEEP)
    done = run("sweep", "a.toml", "--dry-run", "-o", "a{b")
    assert "has a brace" in done.stderr
    assert "not there" not in done.stderr


@pytest.mark.parametrize("place", ["2024", "½", "a b"])
def test_rules_have_distinct_names_in_ascii_that_begin_with_a_letter(place: str) -> None:
    Path("a.toml").write_text(SWEEP.replace('["mt"]', '["m²", "m³", "m_"]'), encoding="utf-8")
    cells = plan(read_sweep(Path("a.toml"), COMMANDS), Path(place), COMMANDS).cells
    names = {each.name for each in cells.values()}
    assert len(names) == len(cells)
    assert all(name.isascii() and name.isidentifier() for name in names)


def test_a_file_with_a_byte_order_mark_is_read() -> None:
    Path("a.toml").write_text(SWEEP, encoding="utf-8-sig")
    assert read_sweep(Path("a.toml"), COMMANDS).tasks[0].source == "en"


def test_what_is_there_has_the_bytes_that_it_has_whatever_its_base() -> None:
    Path("a.toml").write_text(SWEEP)
    cells = plan(read_sweep(Path("a.toml"), COMMANDS), Path("out"), COMMANDS).cells
    (learned, *_) = (each for each in cells.values() if each.work.phases)
    forecast = SweepForecast(cells, Costs())
    assert forecast.bytes(learned) is None
    for name in learned.outputs:
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_text("12345")
    assert forecast.bytes(learned) == 5 * len(learned.outputs)


def test_no_word_of_bases_is_said_where_all_is_there() -> None:
    Path("a.toml").write_text(SWEEP)
    assert "[cost.bases]" in run("sweep", "a.toml", "--dry-run", "-o", "out").stdout
    for each in plan(read_sweep(Path("a.toml"), COMMANDS), Path("out"), COMMANDS).cells.values():
        for name in (*each.outputs, "out/.lock"):
            Path(name).parent.mkdir(parents=True, exist_ok=True)
            Path(name).write_text("{}")
    told = run("sweep", "a.toml", "--dry-run", "-o", "out").stdout
    assert "disk: about" in told
    assert "bases" not in told
