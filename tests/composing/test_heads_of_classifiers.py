"""Heads of classifiers as people have them: regression, one label, several at once, other numbers than the base's."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers

from sftkit.algebra.arithmetic import Weighted
from sftkit.composing.compose import compose
from sftkit.composing.difference import difference
from sftkit.format.files import SftFile
from tests.composing.test_ties import IDS
from tests.helpers import pico
from tests.helpers.pico import make_as

KINDS: dict[str, dict[str, Any]] = {
    "regression": {"num_labels": 1, "problem_type": "regression"},
    "one label": {"num_labels": 1},
    "two labels by default": {},
    "four labels": {"num_labels": 4},
    "single": {"num_labels": 3, "problem_type": "single_label_classification"},
    "several at once": {"num_labels": 3, "problem_type": "multi_label_classification"},
    "named": {"id2label": {0: "x", 1: "y", 2: "z"}, "label2id": {"x": 0, "y": 1, "z": 2}},
}


@pytest.mark.parametrize("base_kind", ["a language model", "a classifier of five"])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("family", ["bert", "llama"])
def test_a_head_keeps_the_labels_and_the_kind_of_problem_of_its_own_config(
    family: str, kind: str, base_kind: str, tmp_path: Path
) -> None:
    name = {"bert": "BertForSequenceClassification", "llama": "LlamaForSequenceClassification"}[family]
    if base_kind == "a language model":
        pico.save_base(tmp_path / "base", family)
    else:
        five: dict[str, Any] = {"num_labels": 5, "problem_type": "multi_label_classification"}
        make_as(name, family, **five).save_pretrained(tmp_path / "base")
    tuned = make_as(name, family, seed=1, **KINDS[kind])
    tuned.save_pretrained(tmp_path / "tuned")
    difference(tmp_path / "tuned", tmp_path / "base", tmp_path / "d.sft")
    compose(tmp_path / "base", [Weighted(SftFile(tmp_path / "d.sft"), 1.0, "d.sft")], tmp_path / "out")
    model_class: Any = getattr(transformers, name)
    found, info = model_class.from_pretrained(tmp_path / "out", output_loading_info=True)
    assert not any(info[key] for key in ("missing_keys", "unexpected_keys", "mismatched_keys")), info
    assert found.config.id2label == tuned.config.id2label
    assert found.config.problem_type == (tuned.config.problem_type or ("regression" if kind == "one label" else None))
    wanted = model_class.from_pretrained(tmp_path / "tuned").eval()
    assert torch.allclose(found.eval()(input_ids=IDS).logits, wanted(input_ids=IDS).logits, atol=1e-5)


def test_a_file_without_a_kind_of_problem_says_nothing_of_it(tmp_path: Path) -> None:
    base = pico.save_base(tmp_path / "base")
    difference(base, base, tmp_path / "d.sft")
    assert "problem_type" not in json.dumps(SftFile(tmp_path / "d.sft").metadata.document())


@pytest.mark.parametrize("family", ["gpt2", "llama"])
def test_a_composed_causal_classifier_takes_batches(family: str, tmp_path: Path) -> None:
    base = pico.save_base(tmp_path / "base", family, pad_token_id=None)
    settings = json.loads((base / "tokenizer_config.json").read_text())
    settings.pop("pad_token")
    (base / "tokenizer_config.json").write_text(json.dumps(settings))
    name = {"gpt2": "GPT2ForSequenceClassification", "llama": "LlamaForSequenceClassification"}[family]
    make_as(name, family, pad_token_id=3).save_pretrained(tmp_path / "tuned")
    difference(tmp_path / "tuned", base, tmp_path / "d.sft")
    compose(base, [Weighted(SftFile(tmp_path / "d.sft"), 1.0, "d.sft")], tmp_path / "out")
    tokenizer = transformers.AutoTokenizer.from_pretrained(tmp_path / "out")
    model = transformers.AutoModelForSequenceClassification.from_pretrained(tmp_path / "out")
    assert tokenizer.pad_token_id == model.config.pad_token_id == 3
    tokenizer.padding_side = "right"
    batch = tokenizer(["ta mi lo", "ka"], padding=True, return_tensors="pt")
    alone = tokenizer(["ka"], return_tensors="pt")
    assert torch.allclose(model(**batch).logits[1], model(**alone).logits[0], atol=1e-5)


def test_an_image_classifier_of_several_labels_at_once_stays_one(tmp_path: Path) -> None:
    make_as("ViTModel", "vit").save_pretrained(tmp_path / "base")
    settings: dict[str, Any] = {"num_labels": 3, "problem_type": "multi_label_classification"}
    make_as("ViTForImageClassification", "vit", **settings).save_pretrained(tmp_path / "tuned")
    difference(tmp_path / "tuned", tmp_path / "base", tmp_path / "d.sft")
    compose(tmp_path / "base", [Weighted(SftFile(tmp_path / "d.sft"), 1.0, "d.sft")], tmp_path / "out")
    found = transformers.AutoModelForImageClassification.from_pretrained(tmp_path / "out")
    assert (found.config.problem_type, found.config.num_labels) == ("multi_label_classification", 3)
