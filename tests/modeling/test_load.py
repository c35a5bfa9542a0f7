"""A model and its tokenizer agree on padding and token types, whatever their files say."""

from __future__ import annotations

from pathlib import Path

import pytest
from transformers import AutoModelForMaskedLM

from sftkit.errors import CheckpointError
from sftkit.modeling.load import fit_tokenizer, load_model
from tests import pico

ALL = ["input_ids", "token_type_ids", "attention_mask"]


@pytest.mark.parametrize(
    ("model_type", "names"), [("bert", ALL), ("electra", ALL)] + [(name, ["input_ids", "attention_mask"]) for name in
    ("xlm-roberta", "distilbert", "deberta-v2", "modernbert", "gpt2", "llama")],
)  # fmt: skip
def test_only_models_that_tell_token_types_apart_get_them(model_type: str, names: list[str]) -> None:
    tokenizer = pico.make_tokenizer()
    tokenizer.model_input_names = ALL
    fit_tokenizer(tokenizer, pico.make_model(model_type), Path("pico"))
    assert tokenizer.model_input_names == names


def test_without_a_padding_token_the_end_of_the_text_stands_for_it_in_tokenizer_and_model() -> None:
    tokenizer, model = pico.make_tokenizer(), pico.make_model("gpt2", pad_token_id=None)
    tokenizer.padding_side, tokenizer.pad_token, tokenizer.eos_token = "left", None, "[SEP]"
    fit_tokenizer(tokenizer, model, Path("pico"))
    assert (tokenizer.pad_token, model.config.pad_token_id) == ("[SEP]", 3)
    assert tokenizer(["ta", "ta mi"], padding=True)["input_ids"][0][-1] == 3


@pytest.mark.parametrize("model_type", pico.CAUSAL)
def test_a_causal_model_is_no_masked_one_and_that_is_said_with_what_to_use(model_type: str, tmp_path: Path) -> None:
    pico.save_base(tmp_path, model_type)
    with pytest.raises(CheckpointError, match=rf"a {model_type} reads from left to right.*Use --clm"):
        load_model(tmp_path, AutoModelForMaskedLM)


def test_a_model_of_a_type_that_has_no_such_head_is_told_in_a_line(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "clip"}')
    with pytest.raises(CheckpointError, match=r"as a model for masked lm \(there is none of its type\)\.$"):
        load_model(tmp_path, AutoModelForMaskedLM)


def test_a_tokenizer_with_more_tokens_than_the_model_is_another_models() -> None:
    with pytest.raises(CheckpointError, match=r"its tokenizer has \d+ tokens and its embedding 40 rows"):
        fit_tokenizer(pico.make_tokenizer(), pico.make_model(vocab_size=40), Path("pico"))


@pytest.mark.parametrize("model_type", ["nomic_bert", "jina_embeddings_v3"])
def test_parameters_that_transformers_splits_from_one_matrix_get_memory_of_their_own(
    model_type: str, tmp_path: Path
) -> None:
    base = pico.save_base(tmp_path / "base", model_type)
    model = load_model(base, AutoModelForMaskedLM).model
    storages = [parameter.untyped_storage().data_ptr() for parameter in model.parameters()]
    assert len(set(storages)) == len(storages)
