"""``--clm``: causal language modelling on plain text, one sentence or paragraph a line.

Every token but a window's first is predicted from those before it in the window, those between lines included: where a
line ends is learned, too. Whether a window begins or ends with a special token is the tokenizer's own choice. Batches
are padded on the right, with no token of their own: many causal models have none, and what stands there is neither
attended to nor predicted.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from transformers import AutoModelForCausalLM, PreTrainedTokenizerBase

from sftkit.tasks.base import IGNORED, Collator, with_rows
from sftkit.tasks.corpora.text import Corpus, LanguageObjective, TextEvaluator
from sftkit.tasks.evaluator import Evaluator


class CausalLM(LanguageObjective):
    """Causal language modelling; the loss is in nats a predicted token."""

    name: ClassVar[str] = "clm"
    title: ClassVar[str] = "causal language modelling"
    best_metric: ClassVar[str] = "loss"
    greater_is_better: ClassVar[bool] = False
    auto_class: ClassVar[Any] = AutoModelForCausalLM
    shortest: ClassVar[int] = 2

    def collator(self, tokenizer: PreTrainedTokenizerBase, seed: int) -> Collator:
        """Pads on the right; nothing is drawn."""
        del tokenizer, seed
        return lambda features: _batch([feature["input_ids"] for feature in features])

    def evaluator(self, rows: Corpus, tokenizer: PreTrainedTokenizerBase, max_length: int, seed: int) -> Evaluator:
        """Scores loss and perplexity."""
        del seed
        return CausalEvaluator(self.features(rows, tokenizer, max_length))


class CausalEvaluator(TextEvaluator):
    """Scores all tokens but the windows' first ones."""

    def batch(self, indices: list[int]) -> dict[str, torch.Tensor]:
        """Every token with the one that follows."""
        return _batch([self._windows[i]["input_ids"] for i in indices])


def _batch(windows: Sequence[Sequence[int]]) -> dict[str, torch.Tensor]:
    """``input_ids``, ``attention_mask`` and ``labels``, int64 ``[windows, longest]``, and the labels' ``rows``.

    A token's label is the one that follows, as the logits have it: the model shifts nothing.
    """
    longest = max(len(ids) for ids in windows)
    ids = torch.zeros(len(windows), longest, dtype=torch.int64)
    mask, labels = torch.zeros_like(ids), torch.full_like(ids, IGNORED)
    for row, window in enumerate(windows):
        ids[row, : len(window)] = torch.tensor(window)
        mask[row, : len(window)] = 1
        labels[row, : len(window) - 1] = ids[row, 1 : len(window)]
    return with_rows({"input_ids": ids, "attention_mask": mask, "labels": labels})
