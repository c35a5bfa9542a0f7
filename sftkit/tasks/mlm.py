"""``--mlm``: masked language modelling on plain text, one sentence or paragraph a line.

15 % of the tokens are masked (80 % [MASK], 10 % random, 10 % kept: Devlin et al. 2019), special tokens never, those
between lines included: in training anew each time that a window is drawn, in evaluation the same way every time. Which
ones depends on the seed, the window's place and how often it was drawn before, never on the batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
import torch
from transformers import (
    AutoModelForMaskedLM,
    DataCollatorWithPadding,
    PreTrainedTokenizerBase,
)

from sftkit.errors import CheckpointError
from sftkit.tasks.base import IGNORED, Collator, with_rows
from sftkit.tasks.corpora.text import Corpus, LanguageObjective, TextEvaluator, TokenExamples
from sftkit.tasks.evaluator import Evaluator

MASKED_SHARE = 0.15


class MaskedLM(LanguageObjective):
    """Masked language modelling; the loss is in nats a masked token."""

    name: ClassVar[str] = "mlm"
    title: ClassVar[str] = "masked language modelling"
    best_metric: ClassVar[str] = "loss"
    greater_is_better: ClassVar[bool] = False
    auto_class: ClassVar[Any] = AutoModelForMaskedLM

    def collator(self, tokenizer: PreTrainedTokenizerBase, seed: int) -> Collator:
        """Pads and masks."""
        return MaskingCollator(tokenizer, seed)

    def evaluator(self, rows: Corpus, tokenizer: PreTrainedTokenizerBase, max_length: int, seed: int) -> Evaluator:
        """Scores loss and perplexity under masks that are fixed here."""
        return MaskedEvaluator(self.features(rows, tokenizer, max_length), tokenizer, seed)


class MaskingCollator:
    """Pads and masks; which tokens follows from the seed and an example's ``place``, the number of its draw."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase, seed: int) -> None:
        self._mask, self._seed = _Masker(tokenizer), seed
        self._pad = DataCollatorWithPadding(tokenizer)

    def __call__(self, features: list[dict[str, Any]]) -> dict[str, torch.Tensor]:
        """``input_ids``, ``attention_mask`` and ``labels``, int64 ``[windows, longest]``, and the labels' ``rows``."""
        return _padded([self._mask(each["input_ids"], self._seed, each["place"]) for each in features], self._pad)


class MaskedEvaluator(TextEvaluator):
    """Scores the tokens that are masked."""

    labelled: ClassVar[float] = MASKED_SHARE

    def __init__(self, windows: TokenExamples, tokenizer: PreTrainedTokenizerBase, seed: int) -> None:
        super().__init__(windows)
        self._mask, self._pad, self._seed = _Masker(tokenizer), DataCollatorWithPadding(tokenizer), seed

    def batch(self, indices: list[int]) -> dict[str, torch.Tensor]:
        """Masked as they always are."""
        return _padded([self._mask(self._windows[i]["input_ids"], self._seed, i) for i in indices], self._pad)


def _padded(lines: Sequence[dict[str, Any]], pad: Collator) -> dict[str, torch.Tensor]:
    batch = dict(pad([{"input_ids": line["input_ids"]} for line in lines]))
    labels = torch.full_like(batch["input_ids"], IGNORED)
    for row, line in enumerate(lines):
        labels[row, torch.from_numpy(line["at"])] = torch.tensor(line["labels"])
    return with_rows({**batch, "labels": labels})


class _Masker:
    """Masks 15 % of a line's tokens, at least one; special tokens only where there is nothing else."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase) -> None:
        _check_mask_token(tokenizer)
        self._mask, self._tokens = tokenizer.mask_token_id, len(tokenizer)
        self._special = np.array(tokenizer.all_special_ids)

    def __call__(self, ids: Sequence[int], *seed: int) -> dict[str, Any]:
        """The line with masks, where they are, and what stood there."""
        rng, tokens = np.random.default_rng(seed), np.array(ids)
        free = np.flatnonzero(~np.isin(tokens, self._special))
        free = free if len(free) else np.zeros(1, np.int64)
        count = max(1, round(MASKED_SHARE * len(free)))
        at = np.sort(rng.choice(free, count, replace=False))
        labels = tokens[at].tolist()
        fate = rng.random(count)
        tokens[at[fate < 0.8]] = self._mask
        shuffled = at[fate >= 0.9]
        tokens[shuffled] = rng.integers(0, self._tokens, len(shuffled))
        return {"input_ids": tokens.tolist(), "at": at, "labels": labels}


def _check_mask_token(tokenizer: PreTrainedTokenizerBase) -> None:
    if tokenizer.mask_token_id is None:
        raise CheckpointError("The base's tokenizer has no mask token, so masked language modelling is not for it.")
