"""``--mlm``: masked language modelling on plain text, one sentence or paragraph a line.

Training masks 15 % of the tokens anew every time (80 % [MASK], 10 % random, 10 % kept: Devlin et al. 2019).
Evaluation masks each line the same way every time: the mask depends on the seed and the line's place, not on the batch.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
import torch
from datasets import Dataset
from transformers import (
    AutoModelForMaskedLM,
    DataCollatorForLanguageModeling,
    DataCollatorWithPadding,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from sftkit.errors import CheckpointError
from sftkit.tasks.base import Collator, Evaluator, Objective, Scores, batches_by_length, to_device
from sftkit.tasks.sources import joined
from sftkit.tasks.text import text_rows, text_windows

MASKED_SHARE = 0.15
_IGNORED = -100


class MaskedLM(Objective):
    """Masked language modelling; the loss is in nats a masked token."""

    name: ClassVar[str] = "mlm"
    best_metric: ClassVar[str] = "loss"
    greater_is_better: ClassVar[bool] = False
    is_task: ClassVar[bool] = False
    auto_class: ClassVar[Any] = AutoModelForMaskedLM

    def read(self, sources: Sequence[str]) -> Dataset:
        """One row a line that is not blank, in the column ``text``."""
        return joined([text_rows(source) for source in sources])

    def features(self, rows: Dataset, tokenizer: PreTrainedTokenizerBase, max_length: int) -> Dataset:
        """``input_ids`` of windows of at most ``max_length``, special tokens included."""
        return text_windows(rows, tokenizer, max_length)

    def collator(self, tokenizer: PreTrainedTokenizerBase, seed: int) -> Collator:
        """Pads and masks; the masks are drawn from ``seed`` on."""
        _check_mask_token(tokenizer)
        collate: Collator = DataCollatorForLanguageModeling(tokenizer, mlm_probability=MASKED_SHARE, seed=seed)
        return collate

    def evaluator(self, rows: Dataset, tokenizer: PreTrainedTokenizerBase, max_length: int, seed: int) -> Evaluator:
        """Scores loss and perplexity under masks that are fixed here."""
        return MaskedEvaluator(rows, tokenizer, max_length, seed)


class MaskedEvaluator(Evaluator):
    """Mean loss over all masked tokens of a text, and its exponential, the perplexity."""

    def __init__(self, rows: Dataset, tokenizer: PreTrainedTokenizerBase, max_length: int, seed: int) -> None:
        _check_mask_token(tokenizer)
        self.examples = len(rows)
        ids = text_windows(rows, tokenizer, max_length)["input_ids"]
        self._features = [_masked(line, tokenizer, np.random.default_rng((seed, i))) for i, line in enumerate(ids)]
        self._pad = DataCollatorWithPadding(tokenizer)

    def __call__(self, model: PreTrainedModel, batch_size: int) -> Scores:
        """Loss in nats a masked token, and perplexity."""
        total, count = 0.0, 0
        for indices in batches_by_length([len(f["input_ids"]) for f in self._features], batch_size):
            batch = self._batch(indices)
            masked = int((batch["labels"] != _IGNORED).sum())
            with torch.no_grad():
                total += float(model(**to_device(batch, model)).loss) * masked
            count += masked
        loss = total / count
        return Scores({"loss": loss, "perplexity": math.exp(min(loss, 700.0))}, self.examples)

    def _batch(self, indices: list[int]) -> dict[str, torch.Tensor]:
        lines = [self._features[i] for i in indices]
        batch = dict(self._pad([{"input_ids": line["input_ids"]} for line in lines]))
        labels = torch.full_like(batch["input_ids"], _IGNORED)
        for row, line in enumerate(lines):
            labels[row, torch.from_numpy(line["at"])] = torch.tensor(line["labels"])
        return {**batch, "labels": labels}


def _masked(ids: Sequence[int], tokenizer: PreTrainedTokenizerBase, rng: np.random.Generator) -> dict[str, Any]:
    """A line with 15 % of its tokens masked, at least one, and what stood there."""
    tokens = np.array(ids)
    special = set(tokenizer.all_special_ids)
    free = np.array([i for i, token in enumerate(ids) if token not in special] or [0])
    count = max(1, round(MASKED_SHARE * len(free)))
    at = np.sort(rng.choice(free, count, replace=False))
    labels = tokens[at].tolist()
    fate = rng.random(count)
    tokens[at[fate < 0.8]] = tokenizer.mask_token_id
    shuffled = at[fate >= 0.9]
    tokens[shuffled] = rng.integers(0, len(tokenizer), len(shuffled))
    return {"input_ids": tokens.tolist(), "at": at, "labels": labels}


def _check_mask_token(tokenizer: PreTrainedTokenizerBase) -> None:
    if tokenizer.mask_token_id is None:
        raise CheckpointError("The base's tokenizer has no mask token, so masked language modelling is not for it.")
