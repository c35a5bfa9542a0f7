"""A sweep's file: read strictly, crossed into cells of which each is there once, compiled for Snakemake."""

from __future__ import annotations

import json
import os
import re
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest

import sftkit
from sftkit.cli.run.grid import commands
from sftkit.errors import SettingsError
from sftkit.sweeps.costs import Costs
from sftkit.sweeps.document import read_sweep
from sftkit.sweeps.forecast import SweepForecast
from sftkit.sweeps.plan import SweepPlan, plan
from sftkit.sweeps.states import DONE, MISSING, OLD, states
from tests.cli.run import sftkit as run

SWEEP = """
base = "base"
source = "en"
languages = ["mt", "wo"]
METHODS
[language]
mlm = "{}.txt"
density = 0.05
steps = 4
[tasks.pos]
train = "{}.train"
test = "{}.test"
density = [0.01, 0.02]
steps = 3
"""


COMMANDS = commands()


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return Path("out")


def planned(place: Path, methods: str = "", text: str = SWEEP, change: tuple[str, str] = ("", "")) -> SweepPlan:
    Path("a.toml").write_text(text.replace("METHODS", "").replace(*change) + methods if methods.startswith("[")
                              else text.replace("METHODS", methods).replace(*change))  # fmt: skip
    return plan(read_sweep(Path("a.toml"), COMMANDS), place, COMMANDS)


def learning(found: SweepPlan) -> dict[str, str]:
    return {each.record: each.plain for each in found.cells.values() if each.work.phases}


def touch(found: SweepPlan) -> None:
    for each in found.cells.values():
        for name in each.outputs:
            Path(name).parent.mkdir(parents=True, exist_ok=True)
            Path(name).write_text("{}")


def test_densities_of_a_method_with_a_phase_1_are_one_cell_and_of_others_one_each(place: Path) -> None:
    commands = learning(planned(place, 'methods = ["lottery", "random"]')).values()
    tasks = [each for each in commands if "--pos" in each]
    assert sorted(re.findall(r"--density (\S+)", " ".join(tasks))) == ["0.01", "0.01,0.02", "0.02"]


def test_every_score_has_a_row_and_the_task_alone_shares_its_sft(place: Path) -> None:
    lottery = planned(place, 'methods = ["lottery"]')
    both = planned(place, 'methods = ["lottery", "task-only"]')
    assert len(lottery.rows) == 4
    assert len(both.rows) == 8
    assert learning(both) == learning(lottery)


def test_a_changed_setting_changes_only_what_depends_on_it(place: Path) -> None:
    before = set(planned(place).cells)
    after = set(planned(place, change=("steps = 3", "steps = 5")).cells)
    assert {name.split("/")[1] for name in before & after} == {"sft"}  # the languages' SFTs
    assert len(before & after) == 3


def test_another_density_is_a_cell_of_its_own_once_the_others_are_there(place: Path) -> None:
    before = planned(place)
    touch(before)
    after = planned(place, change=("[0.01, 0.02]", "[0.01, 0.02, 0.04]"))
    new = set(after.cells) - set(before.cells)
    assert [each for each in learning(after).values() if "--density 0.04" in each]
    assert set(before.cells) <= set(after.cells)
    assert len([name for name in new if "/sft/" in name]) == 1


def test_a_file_that_changed_makes_old_what_was_made_from_it(place: Path) -> None:
    for name in ("en.txt", "mt.txt", "wo.txt", "en.train", "mt.test", "wo.test"):
        Path(name).write_text("")
    found = planned(place)
    assert set(states(found.cells).values()) == {MISSING}
    for each in found.cells.values():
        touch(SweepPlan(place, {each.record: each}))
    for each in (each for each in found.cells.values() if each.work.kind == "score"):
        touch(SweepPlan(place, {each.record: each}))
    Path("mt.txt").write_text("more")
    old = [found.cells[record].title for record, state in states(found.cells).items() if state == OLD]
    assert old
    assert all("mt" in title for title in old)
    assert DONE in states(found.cells).values()


def test_other_weights_of_a_base_make_old_what_was_learned_on_it(place: Path) -> None:
    Path("base").mkdir()
    for name in ("en.txt", "mt.txt", "wo.txt", "en.train", "mt.test", "wo.test", "base/config.json"):
        Path(name).write_text("")
    weights = Path("base/model.safetensors")
    weights.write_text("")
    found = planned(place)
    touch(found)
    touch(SweepPlan(place, {name: each for name, each in found.cells.items() if each.work.kind == "score"}))
    assert DONE in states(found.cells).values()
    weights.write_text("other")
    assert set(states(found.cells).values()) == {OLD}


def test_variants_reach_the_commands(place: Path) -> None:
    tables = """
[methods.no-source]
source-sft = false
[methods.no-l1]
language = { l1 = 0 }
[methods.ties]
compose = { method = "ties", trim = 0.3 }
[methods.full]
"""
    found = planned(place, tables)
    text = "\n".join(each.plain for each in found.cells.values())
    assert re.search(r"train --pos (?!.*--with)", text)
    assert re.search(r"train --mlm .*--l1 0 ", text)
    assert re.search(r"compose \S+ \S+ --method ties --trim 0.3", text)
    assert re.search(r"train --pos .*--density 1 --method random .*--train-norms", text)


def test_another_programs_method_is_left_out_with_a_word_where_it_is_not_there(place: Path) -> None:
    table = """
[methods.mad-x]
program = "madx.py"
language-command = "python {program} language {mlm} -r {size} -o {output}"
task-command = "python {program} task {train} -l {source-output} -r {size} -o {output}"
command = "python {program} score {test} -l {language-output} -t {task-output}"
language-size = 2
sizes = [1, 8]
"""
    absent = planned(place, table)
    assert absent.notes == ["mad-x is left out: madx.py is not here."]
    assert absent.rows == []
    Path("madx.py").write_text("")
    found = planned(place, table)
    assert len(found.rows) == 4  # 2 languages × 2 sizes
    kinds = [each.plain.split()[2] for each in found.cells.values()]
    assert {kind: kinds.count(kind) for kind in kinds} == {"language": 3, "task": 2, "score": 4}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("steps = 3", "stepz = 3"), "[tasks.pos]: there is no stepz. Did you mean steps?"),
        (("base =", "bas ="), "base is missing"),
        (("languages", "langauges"), "languages"),
        (('mlm = "{}.txt"', 'mlm = "a.txt"'), "{} has to stand in the place of the language"),
        (("0.05", "1.5"), "a share of the backbone"),
        (("[tasks.pos]", "[tasks.pso]"), "objective is one of"),
        (("steps = 3", "seed = 3"), "the sweep says that itself"),
        (("METHODS", 'methods = ["lotery"]'), "there is no lotery. Did you mean lottery?"),
        (("METHODS", "seeds = [1, 1]"), "1 is there twice"),
        (("steps = 4", 'lr = "fast"'), "--lr"),
        (("steps = 4", "batch-size = 0"), "batch"),
        (("steps = 4", 'criterion = "nonsense"'), "criterion"),
    ],
)
def test_what_is_wrong_is_told_in_a_line_before_anything_starts(
    change: tuple[str, str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a.toml").write_text(SWEEP.replace(*change).replace("METHODS", ""))
    done = run("sweep", "a.toml", "--dry-run")
    assert done.status == 1
    assert said in done.stderr
    assert len(done.stderr.splitlines()) <= 2


@pytest.mark.parametrize("command", [(), ("--dry-run",)])
def test_every_entry_of_frozen_norms_is_refused_before_anything_starts(
    command: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    text = SWEEP.replace("METHODS", "").replace("[0.01, 0.02]", "[0.01, 1.0]")
    Path("a.toml").write_text(text)
    done = run("sweep", "a.toml", *command)
    assert done.status == 1
    assert "a.toml: method lottery, pos: density 1 is every entry, and layer norms are frozen." in done.stderr
    Path("a.toml").write_text(text.replace("steps = 3", "steps = 3\ntrain-norms = true"))
    assert "layer norms are frozen" not in run("sweep", "a.toml", *command).stderr


def test_as_many_languages_of_a_world_are_scored_as_the_file_says(place: Path) -> None:
    text = SWEEP.replace('base = "base"\nsource = "en"\nlanguages = ["mt", "wo"]\n', 'languages = "unseen"\n[WORLD]\n')
    text = text.replace("METHODS\n", "").replace('"{}.t', '"{world}/{}.t')
    every, one = (
        {str(row.labels["language"]) for row in planned(place, text=text.replace("[WORLD]", f"[world]{more}")).rows}
        for more in ("\nlanguages = 6", "\nlanguages = 6\nscored = 1")
    )
    assert len(every) == 3
    assert len(one) == 1
    with pytest.raises(SettingsError, match="at least one"):
        planned(place, text=text.replace("[WORLD]", "[world]\nscored = 0"))


def test_a_cell_is_expected_to_take_what_those_like_it_took_beside_their_steps(place: Path) -> None:
    found = planned(place)
    trainings = [each for each in found.cells.values() if each.work.kind == "language"]
    scores = [each for each in found.cells.values() if each.work.kind == "score"]
    seconds = {"phase1": 10.0, "select": 0.0, "phase2": 10.0}
    document = {"steps": {"phase1": 4, "phase2": 4}, "seconds": seconds}
    for cell, text, took in ((trainings[0], json.dumps(document), 33), (scores[0], "{}", 7)):
        for name, content in ((cell.log, "began 2026-01-01T00:00:00+0100\nphase 1\n"), (cell.record, text)):
            Path(name).parent.mkdir(parents=True, exist_ok=True)
            Path(name).write_text(content)
        ended = datetime(2025, 12, 31, 23, tzinfo=timezone.utc).timestamp() + took
        os.utime(cell.record, (ended, ended))
    forecast = SweepForecast(found.cells, Costs(score=100.0))
    assert forecast.seconds(trainings[1]) == pytest.approx(33)
    assert forecast.seconds(scores[1]) == pytest.approx(7)


def test_no_two_rows_say_the_same_of_different_scores(place: Path) -> None:
    """The task alone is learned under the source language's SFT of each density, so its rows have that density."""
    found = planned(place, 'methods = ["lottery", "task-only"]', change=("density = 0.05", "density = [0.05, 0.1]"))
    named = [tuple(row.labels.items()) for row in found.rows]
    assert {dict(labels)["language_density"] for labels in named} == {0.05, 0.1}
    assert len(set(named)) == len(found.rows)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (
            ('mlm = "{}.txt"', 'mlm = "{wrld}/{}.txt"'),
            "{wrld}/{}.txt: nothing stands for {wrld}. Did you mean {world}?",
        ),
        (('train = "{}.train"', 'train = "{}-{sed}.train"'), "{}-{sed}.train: nothing stands for {sed}. Did you mean"),
    ],
)
def test_a_misspelt_mark_is_told_with_those_that_there_are(change: tuple[str, str], told: str, place: Path) -> None:
    with pytest.raises(SettingsError) as error:
        planned(place, change=change)
    assert told in str(error.value)


def test_the_example_of_the_page_is_a_sweep(place: Path) -> None:
    text = (Path(sftkit.__file__).parent / "docs/sweeps.md").read_text(encoding="utf-8")
    (example, *_), (methods, *_) = (re.findall(r"<!-- sweep -->\n```toml\n(.*?)```", text, re.DOTALL),
                                    re.findall(r"\n```toml\n(\[methods.*?)```", text, re.DOTALL))  # fmt: skip
    assert len(planned(place, text=example).rows) == 3 * 3 * 2
    more = example.replace('methods = ["lottery", "random", "task-only"]\n', "")
    more = more.replace("[tasks.pos]", '[tasks.dep]\ntrain = "{}.conllu"\ntest = "{}.conllu"\n[tasks.pos]')
    found: Any = planned(place, text=more + methods)
    assert found.notes
    with pytest.raises(SettingsError):
        planned(place, text=more + methods.replace("trim", "trimm"))
