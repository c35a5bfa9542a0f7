"""The whole method on real text: English to Maltese tagging, with few steps. Needs the data that $SFTKIT_DATA names."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from transformers import AutoModelForTokenClassification, AutoTokenizer

from sftkit.format.files import read
from tests.cli.run import sftkit

DATA = Path(os.environ.get("SFTKIT_DATA", "no-data"))
BASE = DATA / "models/mmt-small"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not BASE.is_dir(), reason="SFTKIT_DATA names no folder with models/mmt-small, data/mlm and data/ud"
    ),
]

LENGTH = ("--batch-size", 16, "--max-length", 64, "--density", 0.08, "--device", "cpu", "--quiet")


def train(*arguments: object) -> None:
    done = sftkit("train", "--base", BASE, "--lr", "5e-4", *arguments, *LENGTH)
    assert done.status == 0, done.stderr


def score(option: str, data: Path, *model: object) -> dict[str, float]:
    done = sftkit("evaluate", *model, option, data, "--max-length", 64, "--json")
    assert done.status == 0, done.stderr
    metrics: dict[str, float] = json.loads(done.stdout)["metrics"]
    return metrics


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``mt.sft``, ``random.sft``, ``en.sft`` and ``pos.sft``, trained for minutes where a user would take hours."""
    folder = tmp_path_factory.mktemp("real")
    mlm, ud = DATA / "data/mlm", DATA / "data/ud"
    train("--mlm", mlm / "mt.txt", "--steps", 120, "-o", folder / "mt.sft")
    train("--mlm", mlm / "mt.txt", "--steps", 120, "--method", "random", "-o", folder / "random.sft")
    train("--mlm", mlm / "en.txt", "--steps", 40, "-o", folder / "en.sft")
    tagging = ("--pos", ud / "en/train.conllu", "--dev", ud / "en/dev.conllu", "--with", folder / "en.sft")
    train(*tagging, "--steps", 200, "-o", folder / "pos.sft")
    return folder


def test_k_is_exactly_what_was_asked_for(folder: Path) -> None:
    wanted = round(0.08 * 5_273_600)
    assert {read(folder / name).k for name in ("mt.sft", "random.sft", "en.sft", "pos.sft")} == {wanted}


def test_a_language_sft_lowers_the_loss_on_its_language_and_a_random_mask_less_so(folder: Path) -> None:
    text = DATA / "data/mlm/mt.txt"
    before, random, lottery = (
        score("--mlm", text, BASE, *sfts)["loss"] for sfts in ((), (folder / "random.sft",), (folder / "mt.sft",))
    )
    assert lottery < random < before


def test_composed_on_disk_it_opens_in_transformers_whole_and_scores_the_same(folder: Path) -> None:
    sfts = (folder / "pos.sft", folder / "mt.sft")
    assert sftkit("compose", BASE, *sfts, "-o", folder / "tagger").status == 0
    model, info = AutoModelForTokenClassification.from_pretrained(folder / "tagger", output_loading_info=True)
    assert not any(info[kind] for kind in ("missing_keys", "unexpected_keys", "mismatched_keys"))
    assert model.config.id2label[7] == "NOUN"
    assert len(AutoTokenizer.from_pretrained(folder / "tagger")) == 8000
    test = DATA / "data/ud/mt/test.conllu"
    assert score("--pos", test, folder / "tagger") == score("--pos", test, BASE, *sfts)


def test_the_tagger_knows_its_source_language_and_more_than_chance_of_the_target(folder: Path) -> None:
    english = score("--pos", DATA / "data/ud/en/test.conllu", BASE, folder / "pos.sft", folder / "en.sft")["accuracy"]
    maltese = score("--pos", DATA / "data/ud/mt/test.conllu", BASE, folder / "pos.sft", folder / "mt.sft")["accuracy"]
    assert english > 0.6
    assert maltese > 0.21  # the share of NOUN, the commonest tag of that file, is 0.20
