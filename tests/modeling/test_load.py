"""A model and its tokenizer agree on padding, token types and the longest sequence, whatever their files say."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import (
    MODEL_FOR_MASKED_LM_MAPPING,
    AutoConfig,
    AutoModel,
    AutoModelForCausalLM,
    AutoModelForMaskedLM,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from sftkit.checkpoints.names import model_prefix
from sftkit.errors import CheckpointError, SettingsError
from sftkit.modeling.load import check_checkpointing, fit_tokenizer, load_model
from sftkit.modeling.longest import NO_LIMIT, longest
from sftkit.modeling.parser import AutoModelForDependencyParsing
from tests.helpers import pico

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


#: Encoders and decoders beside those of ``pico``, as small as they can be, with 20 positions that the config names.
SMALL: dict[str, Any] = {
    "vocab_size": 30, "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16,
    "max_position_embeddings": 20, "pad_token_id": 1, "bos_token_id": 0, "eos_token_id": 2, "type_vocab_size": 1,
}  # fmt: skip
FROM_PADDING = (
    "roberta", "xlm-roberta", "camembert", "xlm-roberta-xl", "xmod", "roberta-prelayernorm", "data2vec-text", "ibert",
    "luke", "mpnet", "lilt", "markuplm", "longformer", "esm",
)  # fmt: skip
FROM_0 = ("bert", "electra", "ernie", "convbert", "rembert", "megatron-bert", "mobilebert", "fnet", "big_bird", "opt")
OWN: dict[str, dict[str, Any]] = {
    "xmod": {"languages": ["en_XX"], "default_language": "en_XX"},
    "luke": {"entity_vocab_size": 5, "entity_emb_size": 8},
    "longformer": {"attention_window": 6}, "esm": {"position_embedding_type": "absolute", "mask_token_id": 4},
    "convbert": {"embedding_size": 16, "head_ratio": 1}, "mobilebert": {"embedding_size": 16, "trigram_input": True},
    "opt": {"ffn_dim": 16, "word_embed_proj_dim": 16}, "lilt": {"channel_shrink_ratio": 2, "hidden_size": 24},
}  # fmt: skip


def small(model_type: str) -> PreTrainedModel:
    config = AutoConfig.for_model(model_type, **SMALL | OWN.get(model_type, {}))
    model: PreTrainedModel = AutoModel.from_config(config)
    model.eval()
    return model


def unlimited() -> PreTrainedTokenizerBase:
    tokenizer = pico.make_tokenizer()
    tokenizer.model_max_length = int(1e30)
    return tokenizer


@pytest.mark.parametrize("model_type", FROM_PADDING + FROM_0)
def test_the_longest_sequence_is_read_and_one_more_token_has_no_position(model_type: str) -> None:
    model = small(model_type)
    length = longest(model, unlimited())
    assert length == (18 if model_type in FROM_PADDING else 20)
    for more in (0, 1):
        ids = torch.full((1, length + more), 5)
        with pytest.raises(Exception) if more else nullcontext():  # noqa: PT011  # each says it in its own way
            model(input_ids=ids, attention_mask=torch.ones_like(ids))


def test_a_model_without_a_limit_takes_what_its_tokenizer_takes() -> None:
    xlnet = {"vocab_size": 30, "d_model": 16, "n_layer": 1, "n_head": 2, "d_inner": 16}
    model: PreTrainedModel = AutoModel.from_config(AutoConfig.for_model("xlnet", **xlnet))
    assert model.config.max_position_embeddings == -1
    tokenizer = unlimited()
    assert longest(model, tokenizer) == NO_LIMIT
    tokenizer.model_max_length = 100
    assert longest(model, tokenizer) == 100
    for said in (0, -1):
        model = pico.make_model("deberta-v2")
        model.config.max_position_embeddings = said
        assert longest(model, tokenizer) == 100


@pytest.mark.parametrize("model_type", list(pico.CONFIGS))
def test_under_a_heads_model_the_limit_is_the_same(model_type: str) -> None:
    assert longest(pico.make_model(model_type), unlimited()) == (65 if model_type == "xlm-roberta" else 64)


@pytest.mark.parametrize("auto_class", [AutoModelForMaskedLM, AutoModelForDependencyParsing])
def test_gradient_checkpointing_is_refused_from_the_config_where_there_is_none(auto_class: Any, tmp_path: Path) -> None:
    for model_type in ("albert", "bert"):
        AutoConfig.for_model(model_type, vocab_size=120).save_pretrained(tmp_path)  # no weights
        refused = pytest.raises(SettingsError, match=r"--gradient-checkpointing: .*Albert\w+\). Leave it out")
        with refused if model_type == "albert" else nullcontext():
            check_checkpointing(tmp_path, auto_class)


@pytest.mark.parametrize("model_type", ["bert", "modernbert", "gpt2"])
def test_a_base_that_was_saved_to_give_tuples_gives_outputs_with_names(tmp_path: Path, model_type: str) -> None:
    base = pico.save_base(tmp_path, model_type, return_dict=False)
    assert not AutoConfig.from_pretrained(base).return_dict
    auto_class = AutoModelForCausalLM if model_type in pico.CAUSAL else AutoModelForMaskedLM
    model = load_model(base, auto_class).model
    assert model(input_ids=torch.tensor([[2, 9, 3]])).logits.shape == (1, 3, pico.VOCABULARY)


@pytest.mark.parametrize("model_type", ["jina_embeddings_v3", "nomic_bert", "esmc", "xlm-roberta"])
def test_the_table_of_prefixes_says_what_transformers_says(model_type: str) -> None:
    made: Any = MODEL_FOR_MASKED_LM_MAPPING[type(pico.config_of(model_type))]
    assert model_prefix(model_type) == made.base_model_prefix
