"""What a classifier of texts is fed, and what all that score one have in common."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

import torch
from datasets import Dataset
from transformers import DataCollatorWithPadding, PreTrainedModel, PreTrainedTokenizerBase

from sftkit.tasks.base import IGNORED, to_device
from sftkit.tasks.evaluator import Evaluator
from sftkit.tasks.readers.sources import quiet_datasets


class TextsEvaluator(Evaluator):
    """Predicts something for every row, and scores those that have a label.

    Attributes:
        labels: of the model, in the order of its outputs.
        known: the rows that have a label.
        gold: their labels, as the rows have them.
        cut: how many texts the window cuts.
    """

    def __init__(
        self, rows: Dataset, labels: Sequence[str], tokenizer: PreTrainedTokenizerBase, max_length: int
    ) -> None:
        self.labels = tuple(labels)
        self._inputs = encoded(rows, (), tokenizer, max_length)
        self._pad: Any = DataCollatorWithPadding(tokenizer)  # its type wants a list of examples; it takes columns, too
        self._names = [name for name in self._inputs.column_names if name != "cut"]
        given: list[str | None] = rows["label"][:]
        self.known = [i for i, label in enumerate(given) if label is not None]
        self.gold = [label for label in given if label is not None]
        self.examples = len(self.gold)
        self.cut = sum(self._inputs["cut"][:])
        self.notes = remarks(len(rows), len(rows) - self.examples, self._inputs)

    def predict(self, model: PreTrainedModel, batch_size: int) -> list[Any]:
        """What the model says of every row."""
        return [said for said, _ in self.scored(model, batch_size)]

    def scored(self, model: PreTrainedModel, batch_size: int) -> list[tuple[Any, list[float]]]:
        """The same, each with the scores of all labels, in their order."""

        def look(indices: list[int]) -> list[tuple[Any, list[float]]]:
            rows = self._inputs[indices]
            batch = dict(self._pad({name: rows[name] for name in self._names}))
            with torch.no_grad():
                logits = model(**to_device(batch, model)).logits
            return self.said(logits.float())

        return self.by_batch([len(ids) for ids in self._inputs["input_ids"]], batch_size, look)

    @abstractmethod
    def said(self, logits: torch.Tensor) -> list[tuple[Any, list[float]]]:
        """What outputs mean, and the scores of all labels; logits are float32 ``[rows, labels]``."""


def encoded(rows: Dataset, labels: Sequence[str], tokenizer: PreTrainedTokenizerBase, max_length: int) -> Dataset:
    """What the model is fed (``input_ids``, token types if it takes them), whether texts were ``cut``, and ``labels``.

    A label is its number; there are none where ``labels`` is empty. Where the tokenizer puts nothing between two texts,
    as those of most causal models, there is a line break; where it has nothing for a text, padding stands for it.
    """
    number = {label: i for i, label in enumerate(labels)}
    between = "" if _parts_texts(tokenizer) else "\n"
    empty = [tokenizer.pad_token_id]

    def encode(batch: dict[str, list[Any]]) -> dict[str, Any]:
        first, *second = zip(*batch["texts"], strict=True)
        texts = [list(first), *([between + text for text in other] for other in second)]
        found = dict(tokenizer(*texts, return_attention_mask=False, verbose=False))
        lengths = [len(ids) for ids in found["input_ids"]]
        long = [i for i, length in enumerate(lengths) if length > max_length]
        if long:
            chosen = [[text[i] for i in long] for text in texts]
            cut = tokenizer(*chosen, return_attention_mask=False, truncation=True, max_length=max_length)
            for key, values in found.items():
                for i, value in zip(long, cut[key], strict=True):
                    values[i] = value
        found["input_ids"] = [ids or empty for ids in found["input_ids"]]
        if number:
            found["labels"] = [IGNORED if label is None else number[label] for label in batch["label"]]
        return found | {"cut": [length > max_length for length in lengths]}

    with quiet_datasets():
        return rows.map(encode, batched=True, remove_columns=rows.column_names)


def _parts_texts(tokenizer: PreTrainedTokenizerBase) -> bool:
    """Whether a pair has a special token more than its two texts have before and after them."""
    return tokenizer.num_special_tokens_to_add(pair=True) > tokenizer.num_special_tokens_to_add(pair=False)


def remarks(rows: int, left_out: int, examples: Dataset) -> tuple[str, ...]:
    """How many rows were left out for want of a label, and how many texts were cut."""
    cut, notes = sum(examples["cut"][:]), []
    if left_out:
        notes.append(f"without a label and left out: {left_out:,} of {rows:,} examples.")
    if cut:
        notes.append(f"longer than the window and cut: {cut:,} of {len(examples):,} examples (--max-length).")
    return tuple(notes)
