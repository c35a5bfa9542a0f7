"""Pico models: every architecture that sftkit is right for, as a few thousand parameters made from a config and a seed.

Imports torch and transformers: tests of what must run without torch use these to prepare files only.
"""

from __future__ import annotations

import string
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import (
    CONFIG_MAPPING,
    AutoConfig,
    AutoModel,
    AutoModelForCausalLM,
    AutoModelForMaskedLM,
    PreTrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerFast,
)

VOCABULARY = 120
_SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")

CONFIGS: dict[str, dict[str, Any]] = {
    "bert": {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 24,
             "max_position_embeddings": 64},
    "xlm-roberta": {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 24,
                    "max_position_embeddings": 66, "type_vocab_size": 1},
    "distilbert": {"dim": 16, "n_layers": 2, "n_heads": 2, "hidden_dim": 24, "max_position_embeddings": 64},
    "deberta-v2": {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 24,
                   "max_position_embeddings": 64, "relative_attention": True, "position_buckets": 8,
                   "pos_att_type": ["p2c", "c2p"]},
    "electra": {"hidden_size": 16, "embedding_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2,
                "intermediate_size": 24, "max_position_embeddings": 64},
    "modernbert": {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 24,
                   "max_position_embeddings": 64, "bos_token_id": 2, "eos_token_id": 3, "cls_token_id": 2,
                   "sep_token_id": 3},
    "gpt2": {"n_embd": 16, "n_layer": 2, "n_head": 2, "n_positions": 64, "bos_token_id": 2, "eos_token_id": 3},
    "llama": {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 24,
              "max_position_embeddings": 64, "bos_token_id": 2, "eos_token_id": 3},
}  # fmt: skip
_SMALL = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 24,
          "max_position_embeddings": 64, "bos_token_id": 2, "eos_token_id": 3}  # fmt: skip
CAUSAL = ("gpt2", "llama")

_T5 = {
    "d_model": 16,
    "d_kv": 8,
    "d_ff": 24,
    "num_layers": 1,
    "num_decoder_layers": 1,
    "num_heads": 2,
    "decoder_start_token_id": 0,
}
_MIXTURE = {
    "hidden_size": 16,
    "intermediate_size": 24,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "num_key_value_heads": 2,
    "num_local_experts": 2,
    "max_position_embeddings": 64,
}
#: Families that are composed and subtracted, but not trained: by model type, the settings of a pico model.
MORE: dict[str, dict[str, Any]] = {
    "t5": _T5,
    "mt5": _T5,
    "bart": {"d_model": 16, "encoder_layers": 1, "decoder_layers": 1, "encoder_attention_heads": 2,
             "decoder_attention_heads": 2, "encoder_ffn_dim": 24, "decoder_ffn_dim": 24, "max_position_embeddings": 64},
    "gpt_neox": {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 24,
                 "max_position_embeddings": 64},
    "opt": {"hidden_size": 16, "word_embed_proj_dim": 16, "num_hidden_layers": 1, "num_attention_heads": 2,
            "ffn_dim": 24, "max_position_embeddings": 64},
    "mixtral": _MIXTURE,
    "vit": {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 24,
            "image_size": 8, "patch_size": 4},
}  # fmt: skip


def config_of(model_type: str, **settings: Any) -> PreTrainedConfig:
    """A config of a model type; skips the test where the installed transformers is too old to have it."""
    if model_type not in CONFIG_MAPPING:
        pytest.skip(f"transformers {transformers.__version__} has no {model_type}")
    return AutoConfig.for_model(model_type, **settings)


def make_as(class_name: str, model_type: str, seed: int = 0, **changes: Any) -> PreTrainedModel:
    """A random model of a class of transformers, by its name."""
    torch.manual_seed(seed)
    vocabulary = {} if model_type == "vit" else {"vocab_size": VOCABULARY, "pad_token_id": 0}
    config = config_of(model_type, **((CONFIGS | MORE)[model_type] | vocabulary | changes))
    model: PreTrainedModel = getattr(transformers, class_name)._from_config(config)
    return model


def make_model(model_type: str = "bert", *, head: bool = True, seed: int = 0, **changes: Any) -> PreTrainedModel:
    """A random model; with its language-model head, or the bare backbone."""
    torch.manual_seed(seed)
    settings = CONFIGS.get(model_type, _SMALL) | {"vocab_size": VOCABULARY, "pad_token_id": 0} | changes
    config = config_of(model_type, **settings)
    maker = AutoModel if not head else AutoModelForCausalLM if model_type in CAUSAL else AutoModelForMaskedLM
    model: PreTrainedModel = maker.from_config(config)  # type: ignore[no-untyped-call]
    return model


def checkpoint_activations(model: Any) -> None:
    """Switch gradient checkpointing on, by the name that the installed transformers has for it."""
    getattr(model, "activation_checkpointing_enable", model.gradient_checkpointing_enable)()


def make_tokenizer() -> PreTrainedTokenizerFast:
    """A WordPiece tokenizer over single letters and a few syllables, VOCABULARY pieces at most."""
    letters = list(string.ascii_lowercase + string.digits + ".,'-")
    syllables = ["an", "en", "ta", "ka", "mi", "lo", "su", "ra"]
    pieces = [*_SPECIAL, *letters, *syllables, *(f"##{piece}" for piece in letters + syllables)]
    assert len(pieces) <= VOCABULARY
    tokenizer = Tokenizer(models.WordPiece({piece: i for i, piece in enumerate(pieces)}, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="[PAD]", unk_token="[UNK]", cls_token="[CLS]", sep_token="[SEP]", mask_token="[MASK]",
        model_max_length=64,
    )  # fmt: skip


def save_base(path: Path, model_type: str = "bert", *, head: bool = True, seed: int = 0, **changes: Any) -> Path:
    """A whole base directory: weights, config and tokenizer."""
    make_model(model_type, head=head, seed=seed, **changes).save_pretrained(path)
    make_tokenizer().save_pretrained(path)
    return path
