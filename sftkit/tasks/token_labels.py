"""What all objectives share that give every word a label, by a linear layer over the word's first piece.

Every word is trained on and scored, however long its sentence.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from datasets import Dataset
from transformers import (
    AutoModelForTokenClassification,
    DataCollatorForTokenClassification,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from sftkit.tasks.base import IGNORED, Collator, Objective, to_device
from sftkit.tasks.evaluator import Evaluator
from sftkit.tasks.words import WordWindow, word_windows


class TokenLabels(Objective):
    """A label a word. Rows have the columns ``words`` and ``tags``, both lists of strings."""

    is_task: ClassVar[bool] = True
    takes_words: ClassVar[bool] = True
    labelled: ClassVar[bool] = True
    auto_class: ClassVar[Any] = AutoModelForTokenClassification

    def features(self, rows: Dataset, tokenizer: PreTrainedTokenizerBase, max_length: int) -> Dataset:
        """``input_ids`` and ``labels`` of windows; a word's label stands at its first piece, -100 elsewhere."""
        tags = rows["tags"][:]
        found = word_windows(rows["words"][:], tokenizer, max_length)
        return Dataset.from_list(
            [{"input_ids": window.input_ids, "labels": self._marks(window, tags[window.sentence])} for window in found]
        )

    def _marks(self, window: WordWindow, tags: Sequence[str]) -> list[int]:
        marks = [IGNORED] * len(window.input_ids)
        for (first, _), word in zip(window.spans, window.kept, strict=True):
            marks[first] = self.labels.index(tags[word])
        return marks

    def collator(self, tokenizer: PreTrainedTokenizerBase, seed: int) -> Collator:
        """Pads inputs and labels."""
        del seed
        collate: Collator = DataCollatorForTokenClassification(tokenizer)
        return collate


class TokenEvaluator(Evaluator):
    """Predicts a label for every word of every sentence."""

    def __init__(
        self, rows: Dataset, labels: Sequence[str], tokenizer: PreTrainedTokenizerBase, max_length: int
    ) -> None:
        self.examples, self.labels = len(rows), tuple(labels)
        self.gold: list[list[str]] = rows["tags"][:]
        self._pad = DataCollatorForTokenClassification(tokenizer)
        self._windows = list(word_windows(rows["words"][:], tokenizer, max_length))

    @abstractmethod
    def tally(self, predicted: Sequence[Any]) -> Any:
        """Count what of it is right."""

    def predict(self, model: PreTrainedModel, batch_size: int) -> list[list[str]]:
        """The model's label for every word of every sentence."""
        return [labels for labels, _ in self.scored(model, batch_size)]

    def scored(self, model: PreTrainedModel, batch_size: int) -> list[tuple[list[str], list[float]]]:
        """The same, each with the label's probability for every word."""
        result = [([""] * len(tags), [0.0] * len(tags)) for tags in self.gold]

        def look(indices: list[int]) -> list[list[tuple[int, float]]]:
            chosen = [self._windows[i] for i in indices]
            batch = dict(self._pad([{"input_ids": w.input_ids, "labels": [0] * len(w.input_ids)} for w in chosen]))
            del batch["labels"]
            with torch.no_grad():
                best, sure = best_and_probability(model(**to_device(batch, model)).logits)
            return [
                [(labels[first], scores[first]) for first, _ in window.spans]
                for labels, scores, window in zip(best, sure, chosen, strict=True)
            ]

        found = self.by_batch([len(window.input_ids) for window in self._windows], batch_size, look)
        for window, words in zip(self._windows, found, strict=True):
            labels, scores = result[window.sentence]
            for word, (label, score) in zip(window.kept, words, strict=True):
                labels[word], scores[word] = self.labels[label], score
        return result


def best_and_probability(logits: torch.Tensor) -> tuple[list[Any], list[Any]]:
    """The class that scores highest, and its probability, ``[…]`` both, of ``[…, classes]``."""
    best = logits.argmax(-1, keepdim=True)
    probability = logits.float().softmax(-1).gather(-1, best)
    return best[..., 0].tolist(), probability[..., 0].tolist()
