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
from sftkit.composing.subtract import subtract_from_model
from sftkit.format.files import SftFile
from sftkit.python.scored import predict
from tests.composing.test_ties import IDS
from tests.helpers import pico
from tests.helpers.build import make_sft
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


#: Of the base's tokenizer, and of the config of the classifier that was made of it; what both name in the end.
PADDINGS: list[tuple[str | None, int | None, int | None]] = [
    (None, 3, 3), ("[PAD]", 0, 0), ("[PAD]", 3, 3), ("[MASK]", 3, 3), ("[PAD]", None, 0), ("[MASK]", -1, 4),
    (None, -1, None), (None, 9999, None),
]  # fmt: skip
CAUSAL = {"gpt2": "GPT2", "llama": "Llama", "opt": "OPT", "gpt_neox": "GPTNeoX"}


@pytest.mark.parametrize(("named", "number", "both"), PADDINGS)
@pytest.mark.parametrize("family", CAUSAL)
def test_a_composed_causal_classifier_takes_batches(
    family: str, named: str | None, number: int | None, both: int | None, tmp_path: Path
) -> None:
    make_as("GPT2LMHeadModel" if family == "gpt2" else f"{CAUSAL[family]}ForCausalLM", family).save_pretrained(
        tmp_path / "base"
    )
    pico.make_tokenizer().save_pretrained(tmp_path / "base")
    settings = json.loads((tmp_path / "base" / "tokenizer_config.json").read_text()) | {"pad_token": named}
    (tmp_path / "base" / "tokenizer_config.json").write_text(json.dumps(settings))
    make_as(f"{CAUSAL[family]}ForSequenceClassification", family).save_pretrained(tmp_path / "tuned")
    for folder in ("base", "tuned"):
        config = json.loads((tmp_path / folder / "config.json").read_text()) | {"pad_token_id": number}
        (tmp_path / folder / "config.json").write_text(json.dumps(config))
    difference(tmp_path / "tuned", tmp_path / "base", tmp_path / "d.sft")
    compose(tmp_path / "base", [Weighted(SftFile(tmp_path / "d.sft"), 1.0, "d.sft")], tmp_path / "out")
    tokenizer = transformers.AutoTokenizer.from_pretrained(tmp_path / "out")
    model = transformers.AutoModelForSequenceClassification.from_pretrained(tmp_path / "out")
    assert tokenizer.pad_token_id == model.config.pad_token_id == both
    if both is not None:
        tokenizer.padding_side = "right"
        batch = tokenizer(["ta mi lo", "ka"], padding=True, return_tensors="pt", return_token_type_ids=False)
        alone = tokenizer(["ka"], return_tensors="pt", return_token_type_ids=False)
        assert torch.allclose(model(**batch).logits[1], model(**alone).logits[0], atol=1e-5)


@pytest.mark.parametrize(("named", "number"), [(None, 3), ("[PAD]", 3), ("[MASK]", 0), ("[PAD]", None)])
def test_a_causal_classifier_pads_in_memory_as_the_composed_one(
    named: str | None, number: int | None, tmp_path: Path
) -> None:
    base = pico.save_base(tmp_path / "base", "gpt2")
    settings = json.loads((base / "tokenizer_config.json").read_text()) | {"pad_token": named}
    (base / "tokenizer_config.json").write_text(json.dumps(settings))
    tuned = make_as("GPT2ForSequenceClassification", "gpt2", problem_type="single_label_classification")
    tuned.config.pad_token_id = number
    tuned.save_pretrained(tmp_path / "tuned")
    difference(tmp_path / "tuned", base, tmp_path / "d.sft")
    compose(base, [Weighted(SftFile(tmp_path / "d.sft"), 1.0, "d.sft")], tmp_path / "out")
    texts = ["ta mi lo", "ka"]  # both end in token 3, [SEP], after which a classifier looks only if that is no padding
    in_memory = list(predict(base, texts, objective="classify", sfts=tmp_path / "d.sft", device="cpu"))
    assert in_memory == list(predict(tmp_path / "out", texts, objective="classify", device="cpu"))


@pytest.mark.parametrize(("named", "number", "both"), [("[PAD]", 3, 3), (None, 3, 3), ("[MASK]", -1, 4)])
def test_a_classifier_on_a_model_of_images_and_texts_takes_batches(
    named: str | None, number: int, both: int, tmp_path: Path
) -> None:
    small = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 24}
    texts = small | {"num_key_value_heads": 2, "head_dim": 8, "vocab_size": pico.VOCABULARY, "pad_token_id": 0}
    for name, head, padding in (
        ("base", "ForConditionalGeneration", 0),
        ("tuned", "ForSequenceClassification", number),
    ):
        config = pico.config_of(
            "gemma3", text_config=texts | {"pad_token_id": padding}, mm_tokens_per_image=4, image_token_index=110,
            vision_config=small | {"image_size": 8, "patch_size": 4}, boi_token_index=111, eoi_token_index=112,
        )  # fmt: skip
        torch.manual_seed(0)
        getattr(transformers, f"Gemma3{head}")._from_config(config).save_pretrained(tmp_path / name)
    pico.make_tokenizer().save_pretrained(tmp_path / "base")
    settings = json.loads((tmp_path / "base" / "tokenizer_config.json").read_text()) | {"pad_token": named}
    (tmp_path / "base" / "tokenizer_config.json").write_text(json.dumps(settings))
    difference(tmp_path / "tuned", tmp_path / "base", tmp_path / "d.sft")
    compose(tmp_path / "base", [Weighted(SftFile(tmp_path / "d.sft"), 1.0, "d.sft")], tmp_path / "out")
    config = json.loads((tmp_path / "out" / "config.json").read_text())
    tokenizer = transformers.AutoTokenizer.from_pretrained(tmp_path / "out")
    assert tokenizer.pad_token_id == config["text_config"]["pad_token_id"] == both


def test_what_remains_of_a_causal_classifier_takes_batches_too(tmp_path: Path) -> None:
    make_as("LlamaForSequenceClassification", "llama", pad_token_id=3).save_pretrained(tmp_path / "model")
    pico.make_tokenizer().save_pretrained(tmp_path / "model")  # pads with 0
    sft = Weighted(make_sft(tmp_path / "model", objective="clm", head=False), 1.0, "x.sft")
    subtract_from_model(tmp_path / "model", [sft], tmp_path / "out")
    assert transformers.AutoTokenizer.from_pretrained(tmp_path / "out").pad_token_id == 3


def test_a_tokenizer_without_tokenizer_json_gets_the_padding_token_of_its_classifier(tmp_path: Path) -> None:
    base = pico.save_base(tmp_path / "base", "gpt2", pad_token_id=None)
    tokens = json.loads((base / "tokenizer.json").read_text())["model"]["vocab"]
    (base / "tokenizer.json").unlink()
    (base / "vocab.json").write_text(json.dumps(tokens))
    (base / "tokenizer_config.json").write_text('{"added_tokens_decoder": {"119": {"content": "<pad>"}}}')
    for number, token in ((3, "[SEP]"), (119, "<pad>")):
        make_as("GPT2ForSequenceClassification", "gpt2", pad_token_id=number).save_pretrained(tmp_path / f"{number}")
        difference(tmp_path / f"{number}", base, tmp_path / "d.sft", overwrite=True)
        item = Weighted(SftFile(tmp_path / "d.sft"), 1.0, "d.sft")
        compose(base, [item], tmp_path / "out", overwrite=True)
        assert json.loads((tmp_path / "out" / "tokenizer_config.json").read_text())["pad_token"] == token


def test_an_image_classifier_of_several_labels_at_once_stays_one(tmp_path: Path) -> None:
    make_as("ViTModel", "vit").save_pretrained(tmp_path / "base")
    settings: dict[str, Any] = {"num_labels": 3, "problem_type": "multi_label_classification"}
    make_as("ViTForImageClassification", "vit", **settings).save_pretrained(tmp_path / "tuned")
    difference(tmp_path / "tuned", tmp_path / "base", tmp_path / "d.sft")
    compose(tmp_path / "base", [Weighted(SftFile(tmp_path / "d.sft"), 1.0, "d.sft")], tmp_path / "out")
    found = transformers.AutoModelForImageClassification.from_pretrained(tmp_path / "out")
    assert (found.config.problem_type, found.config.num_labels) == ("multi_label_classification", 3)
