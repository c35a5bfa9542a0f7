"""``--pack`` and ``--no-pack``: what windows a run learns from, is scored on, and says that it has."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from sftkit.format.files import SftFile
from tests.cli.run import sftkit

QUICK = ("--steps", "2", "--k", "50", "--device", "cpu", "--max-length", "32", "--lr", "1e-3", "--method", "random")


def header(said: str) -> tuple[int, int, int]:
    """(examples to learn from, held out, tokens a step), as the header has them."""
    found = re.search(r"([\d,]+) examples, ([\d,]+) to choose.* steps of 8 \(([\d,]+) tokens\)", said)
    assert found is not None, said
    first, second, third = (int(number.replace(",", "")) for number in found.groups())
    return first, second, third


def test_the_header_counts_windows_and_says_how_many_tokens_a_step_has(tmp_path: Path, pico_base: Path) -> None:
    (tmp_path / "x.txt").write_text("ta mi lo\n" * 1000)
    options = ("--mlm", tmp_path / "x.txt", "--base", pico_base, *QUICK)
    full = sftkit("train", *options, "-o", tmp_path / "full.sft").stderr
    alone = sftkit("train", *options, "--no-pack", "-o", tmp_path / "alone.sft").stderr
    assert header(alone) == (950, 50, 8 * 5)
    row = 950 * 4 - 1  # tokens of the lines and between them, 30 in a window
    windows = -(-row // 30)
    assert header(full) == (windows, -(-(50 * 4 - 1) // 30), round(8 * (row + 2 * windows) / windows))


def test_a_file_of_options_may_say_so_and_the_record_does(tmp_path: Path, pico_base: Path, corpus: Path) -> None:
    (tmp_path / "run.toml").write_text("pack = false\n")
    options = ("--mlm", corpus, "--base", pico_base, *QUICK, "--config", tmp_path / "run.toml", "--overwrite")
    for more, pack in (((), False), (("--pack",), True)):
        assert sftkit("train", *options, *more, "-o", tmp_path / "x.sft").status == 0
        record = SftFile(tmp_path / "x.sft").metadata.training
        assert record["options"]["pack"] is pack


def test_of_several_files_tokens_are_counted_as_often_as_they_are_drawn(tmp_path: Path, pico_base: Path) -> None:
    (tmp_path / "a.txt").write_text("ta\n" * 100)
    (tmp_path / "b.txt").write_text("ta mi lo su ra ka en\n" * 10_000)
    options = ("--mlm", tmp_path / "a.txt", "--mlm", tmp_path / "b.txt", "--base", pico_base, *QUICK, "--no-pack")
    said = [
        sftkit("train", *options, "--temperature", str(t), "-o", tmp_path / f"{t}.sft").stderr for t in (1, 1_000_000)
    ]
    assert [header(each)[2] for each in said] == [round(8 * (9 * 9500 + 3 * 95) / 9595), 8 * 6]


@pytest.mark.parametrize("option", ["--pack", "--no-pack"])
def test_evaluate_scores_the_windows_that_training_chose_the_best_step_on(
    option: str, tmp_path: Path, pico_base: Path, corpus: Path
) -> None:
    output = tmp_path / "x.sft"
    data = ("--mlm", corpus, "--max-length", "32", "--device", "cpu", option, "--json")
    done = sftkit("train", *data, *QUICK, "--dev", corpus, "--base", pico_base, "-o", output)
    scored = sftkit("evaluate", pico_base, output, *data)
    assert json.loads(scored.stdout)["metrics"]["loss"] == pytest.approx(
        json.loads(done.stdout)["best"]["value"], rel=1e-6
    )


def test_tasks_say_how_many_tokens_a_step_has_too(tmp_path: Path, pico_base: Path, treebank: Path) -> None:
    options = ("--base", pico_base, *QUICK, "-o", tmp_path / "x.sft", "--overwrite")
    for objective in ("--pos", "--dep"):
        said = sftkit("train", objective, treebank, *options)
        assert 40 < header(said.stderr)[2] < 100
