"""How long a sequence a model and its tokenizer take."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from transformers import PreTrainedModel, PreTrainedTokenizerBase

from sftkit.errors import CheckpointError
from sftkit.storage.documents import read_object

#: Tokens a sequence where neither model nor tokenizer names a limit.
NO_LIMIT = 1 << 30
#: Tokens that a model must take: two special ones of each side, and some text.
_SHORTEST = 8


def longest(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> int:
    """The longest sequence, special tokens included, that model and tokenizer take.

    A model's config says how many positions it has, or says nothing, 0 or -1 where there is no limit (XLNet). RoBERTa
    and its kin number positions from the padding token's id + 1, which shows in their table of positions: it has a
    padding index, as no other model's has.

    Raises:
        CheckpointError: if that leaves no room for text.
    """
    limits = [getattr(model.config, "max_position_embeddings", None), tokenizer.model_max_length]
    for name, module in model.named_modules():
        padding = getattr(module, "padding_idx", None)
        if name.rpartition(".")[2] == "position_embeddings" and padding is not None:
            limits.append(len(module.weight) - padding - 1)
    found = _least(limits)
    if found < _SHORTEST:
        raise CheckpointError(
            f"{model.config.name_or_path}: takes no more than {found} tokens, says its config or its tokenizer's. "
            "That is no room for text."
        )
    return found


def longest_by_config(path: Path, tokenizer: PreTrainedTokenizerBase) -> int:
    """The same of a base that is not loaded: as far as its files say."""
    config = path / "config.json"
    positions = read_object(config).get("max_position_embeddings") if config.is_file() else None
    return _least([positions, tokenizer.model_max_length])


def _least(limits: Iterable[Any]) -> int:
    """The smallest that is one: None, 0 and -1 are none."""
    return int(min([NO_LIMIT, *(limit for limit in limits if isinstance(limit, int | float) and limit > 0)]))
