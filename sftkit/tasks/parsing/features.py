"""Sentences as a biaffine parser takes them: windows of pieces, and to which word's vector each piece belongs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from transformers import PreTrainedTokenizerBase

from sftkit.errors import CheckpointError
from sftkit.tasks.words import WordWindow, word_windows

#: In ``slots``: a piece of no word, and the first token, which stands for the root.
NO_SLOT, ROOT_SLOT = -1, 0


def parser_features(
    sentences: Sequence[Sequence[str]], tokenizer: PreTrainedTokenizerBase, max_length: int
) -> list[dict[str, Any]]:
    """For each sentence its windows' ``input_ids`` and ``slots``.

    A slot is 0 at the first token of the sentence, which stands for the root, the word's number from 1 at each piece of
    a word that is kept from this window, and -1 elsewhere.

    Raises:
        CheckpointError: if the tokenizer puts no token before the first word, and has none that could be put there.
    """
    first = _first_token(tokenizer)
    found: list[dict[str, Any]] = [{"input_ids": [], "slots": []} for _ in sentences]
    for window in word_windows(sentences, tokenizer, max_length - len(first)):
        sentence, slots = found[window.sentence], _slots(window)
        if first:
            slots.insert(0, NO_SLOT)
        if not sentence["slots"]:
            slots[0] = ROOT_SLOT
        sentence["input_ids"].append([*first, *window.input_ids])
        sentence["slots"].append(slots)
    return found


def _slots(window: WordWindow) -> list[int]:
    slots = [NO_SLOT] * len(window.input_ids)
    for (start, end), word in zip(window.spans, window.kept, strict=True):
        slots[start:end] = [1 + word] * (end - start)
    return slots


def _first_token(tokenizer: PreTrainedTokenizerBase) -> list[int]:
    """What must be put before a window, so that its first token is no word's."""
    if tokenizer(["a"], is_split_into_words=True).word_ids()[:1] == [None]:
        return []
    for token in (tokenizer.bos_token_id, tokenizer.cls_token_id, tokenizer.eos_token_id):
        if token is not None:
            return [token]
    raise CheckpointError("The tokenizer has no token to begin a sentence with, and a parser's root needs one.")


class ParserCollator:
    """Pads windows to the longest, and sentences to the one with most words."""

    def __init__(self, pad: int) -> None:
        self._pad = pad

    def __call__(self, features: Sequence[dict[str, Any]]) -> dict[str, torch.Tensor]:
        """What :class:`sftkit.modeling.parser.DependencyParser` takes; heads and labels where features have them."""
        windows = [ids for feature in features for ids in feature["input_ids"]]
        lengths = [max(map(max, feature["slots"])) for feature in features]  # in words
        rows = 1 + max(lengths)
        none = len(features) * rows
        slots = [
            [none if slot == NO_SLOT else i * rows + slot for slot in window]
            for i, feature in enumerate(features)
            for window in feature["slots"]
        ]
        batch = {
            "input_ids": _padded(windows, self._pad),
            "attention_mask": _padded([[1] * len(ids) for ids in windows], 0),
            "slots": _padded(slots, none),
            "word_mask": _padded([[1] * count for count in lengths], 0).bool(),
            "words": torch.tensor([i * rows + 1 + word for i, count in enumerate(lengths) for word in range(count)]),
        }
        batch["counts"] = torch.bincount(batch["slots"].flatten(), minlength=none + 1)[:none].clamp(min=1)
        for key in ("heads", "labels"):
            if key in features[0]:
                batch[key] = torch.tensor([number for feature in features for number in feature[key]])
        return batch


def _padded(rows: Sequence[Sequence[int]], padding: int) -> torch.Tensor:
    """int64 ``[rows, longest]``, padded on the right."""
    longest = max(map(len, rows))
    return torch.tensor([[*row, *[padding] * (longest - len(row))] for row in rows])
