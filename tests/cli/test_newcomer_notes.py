"""What is told of data that a model can make little of: pieces that are unknown, text that is too little."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sftkit.tasks.unknown import told_unknown
from tests.cli.run import sftkit, train
from tests.conftest import treebank_text
from tests.helpers.build import save_sft

TOLD = "pieces that the tokenizer does not know:"


@pytest.fixture
def foreign(tmp_path: Path) -> dict[str, Path]:
    """Data in a script that the pico tokenizer does not have."""
    text, trees = tmp_path / "text.txt", tmp_path / "trees.conllu"
    text.write_text("მე ვარ აქ .\nta mi\n" * 40)
    trees.write_text(treebank_text(40).replace("\tta\t", "\tმე\t"))
    return {"mlm": text, "pos": trees}


@pytest.mark.parametrize("objective", ["mlm", "pos"])
def test_training_and_scoring_tell_of_unknown_pieces(
    objective: str, foreign: dict[str, Path], tmp_path: Path, pico_base: Path
) -> None:
    data, sft = (f"--{objective}", foreign[objective]), tmp_path / "x.sft"
    assert f"{foreign[objective].name}: {TOLD}" in train(*data, "--base", pico_base, "-o", sft).stderr
    scored = sftkit("evaluate", pico_base, sft, *data)
    assert scored.status == 0, scored.stderr
    assert scored.stderr.count(TOLD) == 1
    assert TOLD not in sftkit("evaluate", pico_base, sft, *data, "-q").stderr


def test_labelling_tells_of_unknown_pieces(foreign: dict[str, Path], tmp_path: Path, pico_base: Path) -> None:
    sft = tmp_path / "pos.sft"
    assert train("--pos", foreign["pos"], "--base", pico_base, "-o", sft).status == 0
    done = sftkit("predict", pico_base, sft, "--pos", foreign["mlm"], "-o", tmp_path / "said.conllu")
    assert done.stderr.count(TOLD) == 1
    assert f"wrote {tmp_path / 'said.conllu'}: 80 sentences" in done.stderr
    (tmp_path / "masked.txt").write_text("მე [MASK] აქ\n")
    language = save_sft(tmp_path / "en.sft", pico_base)
    assert TOLD in sftkit("predict", pico_base, language, "--mlm", tmp_path / "masked.txt").stderr


def test_known_text_is_told_nothing_of(corpus: Path, pico_base: Path, tmp_path: Path) -> None:
    sft = tmp_path / "x.sft"
    assert TOLD not in train("--mlm", corpus, "--base", pico_base, "-o", sft).stderr
    assert TOLD not in sftkit("evaluate", pico_base, sft, "--mlm", corpus).stderr


def test_a_few_are_not_told() -> None:
    assert told_unknown(5, 100) == told_unknown(0, 0) == ""
    assert ": 6 %." in told_unknown(6, 100)


@pytest.mark.parametrize(
    ("length", "told"),
    [((), "that 30,000 steps go through it "), (("--steps", 20), ""), (("--epochs", 500), "")],
)
def test_a_plan_that_goes_through_a_tiny_text_very_often_says_so(
    length: tuple[object, ...], told: str, tmp_path: Path, pico_base: Path
) -> None:
    (tmp_path / "tiny.txt").write_text("ta mi lo .\nka su\n" * 10)
    data = ("--mlm", tmp_path / "tiny.txt", "--base", pico_base, "--k", 20, "--device", "cpu", "--max-length", 16)
    done = sftkit("train", *data, *length, "--batch-size", 1, "--dry-run", "--json")
    assert done.status == 0, done.stderr
    notes = json.loads(done.stdout)["notes"]
    assert [told in note for note in notes] == ([True] if told else [])
    assert (told in done.stderr) if told else ("go through it" not in done.stderr)
