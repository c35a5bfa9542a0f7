"""What a model card says of how text is labelled."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from transformers import pipeline

from sftkit.inspecting.summary import summarise
from sftkit.sharing.card import card
from tests.cli.run import sftkit, train
from tests.helpers.build import save_sft


def _card(path: Path) -> str:
    return card(summarise(path, str(path)), "me/x", "x.sft")


@pytest.mark.parametrize("objective", ["pos", "nli"])
def test_a_tasks_card_says_how_to_label_text(objective: str, tmp_path: Path, pico_base: Path) -> None:
    text = _card(save_sft(tmp_path / "x.sft", pico_base, objective=objective))
    assert f"sftkit predict BASE hf://me/x/x.sft --{objective} " in text
    assert ("pipeline(" in text) == (objective != "pos")


def test_a_languages_card_says_nothing_of_labels(tmp_path: Path, pico_base: Path) -> None:
    assert "sftkit predict" not in _card(save_sft(tmp_path / "x.sft", pico_base))


@pytest.mark.parametrize(
    ("objective", "data", "text"),
    [
        ("ner", "ta B-PER\nmi I-PER\nlo O\n\n" * 6, "ta mi lo"),
        ("classify", "text\tlabel\nta mi\tyes\nka\tno\n" + "ka su\tno\n" * 4, "ta mi"),
        ("nli", "premise\thypothesis\tlabel\nta mi\tlo\tyes\nka\tsu\tno\n" + "ka\tta\tno\n" * 4, ""),
    ],
)
def test_the_pipeline_in_the_card_runs_on_the_composed_model(
    objective: str, data: str, text: str, tmp_path: Path, pico_base: Path
) -> None:
    (tmp_path / "x.tsv").write_text(data)
    done = train(f"--{objective}", tmp_path / "x.tsv", "--base", pico_base, "-o", tmp_path / "x.sft", "--lr", "0.05")
    assert done.status == 0, done.stderr
    assert sftkit("compose", pico_base, tmp_path / "x.sft", "-o", tmp_path / "model").status == 0
    code = re.search(r"pipeline\(.+", _card(tmp_path / "x.sft"))
    assert code is not None
    call = code[0].replace("model/", str(tmp_path / "model")).replace("…", text or "ta")
    found: Any = eval(call, {"pipeline": pipeline})
    assert isinstance(found, list | dict)
