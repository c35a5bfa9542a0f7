"""Pico models: every architecture that sftkit is right for, as a few thousand parameters made from a config and a seed.

Imports torch and transformers: tests of what must run without torch use these to prepare files only.
"""

from __future__ import annotations

import string
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForCausalLM,
    AutoModelForMaskedLM,
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


def make_model(model_type: str = "bert", *, head: bool = True, seed: int = 0, **changes: Any) -> PreTrainedModel:
    """A random model; with its language-model head, or the bare backbone."""
    torch.manual_seed(seed)
    settings = CONFIGS.get(model_type, _SMALL) | {"vocab_size": VOCABULARY, "pad_token_id": 0} | changes
    config = AutoConfig.for_model(model_type, **settings)
    maker = AutoModel if not head else AutoModelForCausalLM if model_type in CAUSAL else AutoModelForMaskedLM
    model: PreTrainedModel = maker.from_config(config)  # type: ignore[no-untyped-call]
    return model


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
