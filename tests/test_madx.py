"""What MAD-X's script can be asked without its environment: its arguments, and rows that go with a sweep's."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pytest

from sftkit.evaluation.results.table import read_scores
from tests.benchmarks.madx.madx import append, labelled, parser, spread
from tests.helpers.scores import row, write

FOUND: dict[str, Any] = {
    "metrics": {"uas": 0.5, "las": 0.4}, "intervals": {"uas": (0.45, 0.55), "las": (0.3, 0.5)},
    "k": 2508, "density": 0.0097, "seconds": 3.5, "examples": 40,
}  # fmt: skip
LABELS = {"language": "mt", "task": "dep", "method": "mad-x", "seed": 0, "base": "b"}


def test_rows_are_what_plot_reads(tmp_path: Path) -> None:
    assert append(tmp_path / "r.csv", LABELS, FOUND, {"density": 0.05, "k": 14112, "seconds": 1}) == 2
    uas, las = read_scores(tmp_path / "r.csv")
    assert (uas.metric, uas.value, uas.interval, uas.k, uas.method) == ("uas", 0.5, (0.45, 0.55), 2508, "mad-x")
    assert (las.setting.density, las.setting.language_density) == (0.0097, 0.05)


def test_rows_are_added_to_a_table_in_its_own_columns(tmp_path: Path) -> None:
    columns = [*reversed(list(row())), "remark"]
    write(tmp_path / "r.csv", [row()], columns)
    append(tmp_path / "r.csv", LABELS, FOUND, {})
    assert (tmp_path / "r.csv").read_text().splitlines()[0].split(",") == columns
    assert [score.method for score in read_scores(tmp_path / "r.csv")] == ["lottery", "mad-x", "mad-x"]


def test_the_commands_of_its_page_are_understood() -> None:
    page = (Path(__file__).parent / "benchmarks/madx/README.md").read_text(encoding="utf-8")
    commands = re.findall(r"madx\.py ([^\n\"]+)", page)
    assert len(commands) == 10
    for command in commands:
        words = shlex.split(command.replace("{objective}", "pos"))
        words = [re.sub(r"\{(size|seed)\}", "2", word) for word in words]
        parser().parse_args(words)


def test_one_labelled_file_is_asked_for() -> None:
    asked = ["evaluate", "--base", "b", "--task", "t"]
    assert labelled(parser().parse_args([*asked, "--ner", "x"])) == {"objective": "ner", "data": Path("x")}
    with pytest.raises(SystemExit, match="one labelled file"):
        labelled(parser().parse_args(asked))


def test_tasks_have_steps_of_their_own_or_the_same() -> None:
    words = ["world", "w", "--csv", "r.csv", "--steps", "9", "--tasks", "pos", "dep", "--task-steps"]
    asked = [parser().parse_args([*words, *steps]) for steps in (["5"], ["5", "6"], ["5", "6", "7"])]
    assert [spread(each, each.task_steps) for each in asked[:2]] == [[5, 5], [5, 6]]
    with pytest.raises(SystemExit, match=r"5, 6, 7.*pos, dep"):
        spread(asked[2], asked[2].task_steps)
