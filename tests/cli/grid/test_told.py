"""What ``evaluate`` tells of a grid and what it refuses; its pictures and tables."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tests.cli.grid.conftest import GRID, LANGUAGES, SEEDED, SYSTEMS
from tests.cli.run import sftkit
from tests.helpers import pico
from tests.helpers.build import save_sft


def test_one_seed_is_told_to_say_nothing_of_others(pico_base: Path) -> None:
    done = sftkit("evaluate", pico_base, "pos.sft", "lottery/aa-{seed}0.sft", "--pos", "data/aa.conllu")
    assert "one seed only (1): the intervals say nothing of other seeds." in done.stderr


def test_a_seed_that_is_a_copy_of_another_is_told(pico_base: Path, tmp_path: Path) -> None:
    for seed in (1, 2):
        shutil.copy("lottery/aa-1.sft", tmp_path / f"aa-{seed}.sft")
    done = sftkit("evaluate", pico_base, "pos.sft", tmp_path / "aa-{seed}.sft", "--pos", "data/aa.conllu")
    assert "seeds 1 and 2 score the same on every example. Is one a copy of the other?" in done.stderr


def test_an_sft_of_another_base_is_refused_before_anything_is_scored(tmp_path: Path, pico_base: Path) -> None:
    other = pico.save_base(tmp_path / "other", seed=9)
    shutil.copy("lottery/aa-1.sft", tmp_path / "aa-1.sft")
    save_sft(tmp_path / "aa-2.sft", other, seed=1, k=900)
    done = sftkit("evaluate", pico_base, "pos.sft", tmp_path / "aa-{seed}.sft", "--pos", "data/aa.conllu")
    assert (done.status, done.stdout) == (1, "")
    assert "aa-2.sft" in done.stderr


def test_an_sft_of_another_objective_is_named(tmp_path: Path, pico_base: Path) -> None:
    shutil.copy("pos.sft", tmp_path / "pos-1.sft")
    save_sft(tmp_path / "pos-2.sft", pico_base, objective="classify", labels=("x", "y", "z"))
    done = sftkit("evaluate", pico_base, tmp_path / "pos-{seed}.sft", "--pos", "data/aa.conllu")
    assert (done.status, done.stdout) == (1, "")
    assert "pos-2.sft: was trained with --classify, not --pos" in done.stderr


def test_missing_cells_are_left_out_and_told(tmp_path: Path, pico_base: Path) -> None:
    for name in ("a/aa-1", "a/aa-2", "a/bb-1", "b/aa-1", "b/bb-1", "b/cc-1"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy("lottery/aa-1.sft", tmp_path / f"{name}.sft")
    done = sftkit(
        "evaluate", pico_base, "pos.sft", "--each", tmp_path / "{system}/{lang}-{seed}.sft",
        "--pos", "data/{lang}.conllu", "--json",
    )  # fmt: skip
    systems = json.loads(done.stdout)["systems"]
    assert {name: list(one["seeds"]["average"]) for name, one in systems.items()} == {"a": ["1"], "b": ["1"]}
    assert "a: left out in all languages, for bb lacks a file: seed 2" in done.stderr


def test_data_without_a_sentence_are_refused(tmp_path: Path, pico_base: Path) -> None:
    (tmp_path / "aa.conllu").write_text("# nothing\n\n")
    done = sftkit("evaluate", pico_base, *SEEDED[:-1], tmp_path / "{lang}.conllu")
    assert (done.status, done.stdout) == (1, "")
    assert "aa.conllu: holds no sentence" in done.stderr


def test_a_language_that_is_called_as_the_means_are_is_refused(tmp_path: Path, pico_base: Path) -> None:
    shutil.copy("data/aa.conllu", tmp_path / "average.conllu")
    done = sftkit("evaluate", pico_base, "pos.sft", "--pos", tmp_path / "{lang}.conllu")
    assert done.status == 1
    assert "A language is called average" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("--each", "lottery/{lang}-{seed}.sft", "--pos", "data/{lang}{seed}.conllu"), "all seeds and systems have"),
        (("--each", "{system}/{lang}-1.sft", "--pos", "data/{}.conllu", "--against", "pos.sft"), "leave one of them"),
        (("--each", "lottery/{lang}-{seed}.sft", "--pos", "data/aa.conllu"), "has no {} in the place"),
        (("lottery/aa-{seed}.sft", "--pos", "data/aa.conllu", "--predictions", "x"), "one set of data at a time"),
        (("lottery/aa-{seed}.sft", "--pos", "data/aa.conllu", "--plot", "x.jpg"), "ends in .png, .pdf, .svg"),
        (("--pos", "data/{lang}.conllu", "--plot", "x.svg", "--csv", "x.svg"), "both name x.svg"),
        (("none/{seed}.sft", "--pos", "data/aa.conllu"), "No name has all the files"),
    ],
)
def test_what_cannot_be_done_is_said_in_a_line(arguments: tuple[str, ...], complaint: str, pico_base: Path) -> None:
    done = sftkit("evaluate", pico_base, "pos.sft", *arguments)
    assert done.status in (1, 2)
    assert complaint in " ".join(done.stderr.replace("│", " ").split())


def test_the_scores_are_shown_as_bars_in_the_terminal(pico_base: Path) -> None:
    done = sftkit("evaluate", pico_base, *GRID, "--plot", "-")
    assert done.status == 0, done.stderr
    bars = done.stdout[done.stdout.index("accuracy, from 0 to") :]
    assert all(name in bars for name in (*LANGUAGES, "average", *SYSTEMS, "95 % bootstrap intervals"))
    assert sftkit("evaluate", pico_base, *GRID, "--plot", "-", "--json").status == 2


def test_the_average_of_one_language_has_no_bar(tmp_path: Path, pico_base: Path) -> None:
    path = tmp_path / "x.svg"
    done = sftkit("evaluate", pico_base, "pos.sft", "lottery/aa-{seed}.sft", "--pos", "data/aa.conllu", "--plot", path)
    assert done.status == 0, done.stderr
    assert "<!-- average -->" not in path.read_text()
