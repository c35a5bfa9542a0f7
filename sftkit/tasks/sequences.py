"""``--nli`` and ``--classify``: a label for a pair of texts, or for one.

The head is the one that transformers has for sequence classification. For encoders that is the paper's, two layers over
the first token's vector (BERT, XLM-R, DistilBERT, ELECTRA, DeBERTa; ModernBERT's config may ask for the mean of all
tokens instead); for causal models (GPT-2, Llama) it is one layer over the last token's.

A text or pair that is longer than the window is cut at its end, the longer of two texts first, and how many were is
said. Labels are words, whatever they are in the data. Heads for a number or for several labels a text are scored by
what they are for (see :mod:`sftkit.tasks.problems`), and not trained.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from copy import copy
from decimal import Decimal
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch
from datasets import Dataset, Features, List, Value
from transformers import (
    AutoModelForSequenceClassification,
    DataCollatorWithPadding,
    PreTrainedTokenizerBase,
)

from sftkit.errors import DataError
from sftkit.shown import quoted
from sftkit.tasks.base import Collator, Objective
from sftkit.tasks.evaluator import Evaluator
from sftkit.tasks.options import COLUMNS, NO_OPTIONS, TaskOptions
from sftkit.tasks.problems import ONE_LABEL, PROBLEMS, Problem
from sftkit.tasks.readers import sources
from sftkit.tasks.readers.local import HUB
from sftkit.tasks.readers.sources import hub_column, hub_table, joined, quiet_datasets
from sftkit.tasks.readers.tables import (
    LANGUAGE_COLUMNS,
    Column,
    Table,
    cell,
    check_where,
    find_columns,
    language_columns,
    mixed_languages,
    only_where,
    read_table,
    write_table,
)
from sftkit.tasks.tally import Tally, accuracy_and_macro_f1, by_name
from sftkit.tasks.text_inputs import TextsEvaluator, encoded, remarks

if TYPE_CHECKING:
    from typing_extensions import Self

#: Of rows; a label may be missing.
FEATURES = Features({"texts": List(Value("string")), "label": Value("string")})
_NUMBER = re.compile(r"-?\d*\.?\d+(e-?\d+)?")
#: A number with decimals that are not all 0.
_DECIMAL = re.compile(r"-?\d*\.\d*[1-9]\d*(e-?\d+)?")
_LABELS = ("label", "gold_label", "labels", "class", "category", "target")
#: What a column may be called by what it holds, in lower case, the likeliest first.
_NAMES = {
    "premise": ("premise", "sentence1", "sentence_1", "text1"),
    "hypothesis": ("hypothesis", "sentence2", "sentence_2", "text2"),
    "text": ("text", "sentence", "review", "content", "document", "tweet", "utterance", "headline"),
    "label": (*_LABELS, "sentiment", "intent", "topic"),
}  # fmt: skip


class SequenceLabels(Objective):
    """A label for a text or a pair; accuracy and macro F1. Rows have ``texts``, a list, and ``label`` or None."""

    best_metric: ClassVar[str] = "accuracy"
    greater_is_better: ClassVar[bool] = True
    is_task: ClassVar[bool] = True
    labelled: ClassVar[bool] = True
    auto_class: ClassVar[Any] = AutoModelForSequenceClassification
    #: What stands for a label where annotators did not agree.
    undecided: ClassVar[tuple[str, ...]] = ()
    #: What the head is for.
    problem: Problem = ONE_LABEL

    def __init__(self, options: TaskOptions = NO_OPTIONS) -> None:
        super().__init__(options)
        #: Source -> the labels in it.
        self.found: dict[str, set[str]] = {}

    def for_problem(self, name: str) -> Self:
        """The same objective for a head that is for something else than a choice of one label."""
        made = copy(self)
        made.problem = PROBLEMS.get(name, ONE_LABEL)
        return made

    def read(self, sources: Sequence[str]) -> Dataset:
        """One row an example.

        Raises:
            DataError: also if no example has a label.
        """
        rows = joined([self._rows(source) for source in sources])
        if not any(rows["label"]):
            raise DataError(f"{', '.join(sources)}: no example has a label.")
        return rows

    def _rows(self, source: str) -> Dataset:
        columns = self._hub_columns(source) if source.startswith(HUB) else self._file_columns(source)
        texts = [list(each) for each in zip(*columns[:-1], strict=True)]
        self.found[source] = {label for label in columns[-1] if label is not None}
        return Dataset.from_dict({"texts": texts, "label": columns[-1]}, features=FEATURES)

    def wanted(self) -> dict[str, Sequence[str]]:
        """What the columns hold -> what they may be called, or what the user says."""
        held, given = COLUMNS[self.name], self.options.columns
        names = _NAMES | {"label": (*self.problem.columns, *_NAMES["label"])}
        return {name: (given[i],) if given else names[name] for i, name in enumerate(held)}

    def _table(self, source: str) -> tuple[Table, list[Column]]:
        """A file, and where its texts and labels are."""
        given = self.options.columns
        table = read_table(source, header=not given or not all(name.isdecimal() for name in given))
        table = only_where(table, self.options.where)
        places = find_columns(table, self.wanted())
        self.told.update(dict.fromkeys(mixed_languages(source, language_columns(table, but=places))))
        return table, places

    def _file_columns(self, source: str) -> list[list[Any]]:
        table, places = self._table(source)
        texts = [[cell(table, line, row, place) for line, row in table.rows] for place in places[:-1]]
        return [*texts, self.problem.of_file(table, places[-1], self._label)]

    def _hub_columns(self, source: str) -> list[list[Any]]:
        found = sources.hub_rows(source)
        for name, wanted in self.options.where:
            cells = [str(cell) for cell in hub_column(source, found, (name,))]
            check_where(source, name, wanted, cells)
            found = found.select([i for i, cell in enumerate(cells) if cell == wanted])
        names = (name for name in found.column_names if name.lower() in LANGUAGE_COLUMNS)
        languages = {name: hub_column(source, found, (name,)) for name in names if name not in self.options.columns}
        self.told.update(dict.fromkeys(mixed_languages(source, languages)))
        rows = hub_table(source, self.wanted(), found)
        *texts, labels = (rows[name][:] for name in COLUMNS[self.name])
        if not all(isinstance(value, str) for values in texts for value in values):
            raise DataError(f"{source}: a column of texts holds something else. Name the right ones with --columns.")
        return [*texts, self.problem.of_hub(source, labels, self._label)]

    def _label(self, label: str) -> str | None:
        self.labels_read.add(label)
        label = self.options.labels.get(label, label)
        return None if self.problem is ONE_LABEL and label in self.undecided else label

    def labels_in(self, rows: Dataset) -> tuple[str, ...]:
        """All labels, sorted; whole numbers by their size."""
        found = self.problem.labels_in(label for label in rows["label"][:] if label is not None)
        numbers = all(label.removeprefix("-").isdecimal() for label in found)
        return tuple(sorted(found, key=Decimal if numbers else None))  # int() refuses thousands of digits

    def mending(self, label: str) -> str:
        """What to do about a label that was not learned."""
        return f"Say which of them it means with --map-label {quote(f'{label}=LABEL')}, or take it out of the data."

    def features(self, rows: Dataset, tokenizer: PreTrainedTokenizerBase, max_length: int) -> Dataset:
        """What :func:`encoded` gives, of the rows that have a label.

        Raises:
            DataError: if all have the same.
        """
        if len(self.labels) < 2:
            where = ", ".join(source for source, labels in self.found.items() if labels <= set(self.labels))
            raise DataError(
                f"{where or 'the training data'}: only the label {quoted(self.labels[0])}; there must be two."
            )
        with quiet_datasets():
            rows = rows.filter(lambda batch: [label is not None for label in batch["label"]], batched=True)
        return encoded(rows, self.labels, tokenizer, max_length)

    def remarks(self, rows: Dataset, features: Dataset) -> tuple[str, ...]:
        """How many rows were left out, how many texts cut, and whether labels look like numbers to be predicted."""
        found = remarks(len(rows), len(rows) - len(features), features)
        decimals = [label for label in self.labels if _DECIMAL.fullmatch(label)]
        if not decimals or not all(map(_NUMBER.fullmatch, self.labels)):
            return found
        told = f"{len(self.labels)} numbers such as {decimals[0]}"
        return (*found, f"labels are {told}: each is learned as a class of its own; regression is not trained.")

    def collator(self, tokenizer: PreTrainedTokenizerBase, seed: int) -> Collator:
        """Pads."""
        del seed
        pad = DataCollatorWithPadding(tokenizer)
        return lambda features: dict(pad([{k: v for k, v in each.items() if k != "cut"} for each in features]))

    def evaluator(self, rows: Dataset, tokenizer: PreTrainedTokenizerBase, max_length: int, seed: int) -> Evaluator:
        """Scores labels, or what else the head is for."""
        del seed
        given = (rows, self.labels, tokenizer, max_length)
        return self.problem.evaluator(*given) or SequenceEvaluator(*given)

    def write_predictions(self, source: str, predicted: Sequence[Any], path: Path) -> None:
        """The table with the predictions in its label column."""
        table, places = self._table(source)
        write_table(table, path, places[-1], self.problem.cells(predicted, table, places[-1]))


class NaturalLanguageInference(SequenceLabels):
    """Whether a premise entails a hypothesis. Pairs on which annotators did not agree are left out.

    They have "-" in SNLI, and -1 where its labels are numbers, as on the hub.
    """

    name: ClassVar[str] = "nli"
    title: ClassVar[str] = "natural language inference"
    undecided: ClassVar[tuple[str, ...]] = ("-", "-1")


class Classification(SequenceLabels):
    """Classification of texts."""

    name: ClassVar[str] = "classify"
    title: ClassVar[str] = "classification"


class SequenceEvaluator(TextsEvaluator):
    """Predicts a label for every row, and scores those that have one: accuracy, macro F1, confusion matrix."""

    def said(self, logits: torch.Tensor) -> list[tuple[str, list[float]]]:
        """The likeliest label, and the probabilities of all; logits are ``[rows, labels]``."""
        best, scores = logits.argmax(-1).tolist(), logits.softmax(-1).tolist()
        return [(self.labels[label], own) for label, own in zip(best, scores, strict=True)]

    def tally(self, predicted: Sequence[Any]) -> Tally:
        """(right, predicted, gold) of each class for each example that has a label."""
        said, gold = self._pairs(predicted)
        one_hot = np.eye(len(self.labels))
        counts = np.concatenate([one_hot[gold] * (said == gold)[:, None], one_hot[said], one_hot[gold]], axis=1)
        return Tally(counts, accuracy_and_macro_f1)

    def details(self, predicted: Sequence[Any]) -> dict[str, Any]:
        """``labels``: precision, recall, F1 and support; ``confusion``: how many of each gold label got which."""
        said, gold = self._pairs(predicted)
        confusion = np.zeros((len(self.labels), len(self.labels)), np.int64)
        np.add.at(confusion, (gold, said), 1)
        sums = np.stack([confusion.diagonal(), confusion.sum(0), confusion.sum(1)], axis=1)
        rows = [
            {"gold ↓ predicted →": label} | dict(zip(self.labels, row, strict=True))
            for label, row in zip(self.labels, confusion.tolist(), strict=True)
        ]
        return {"labels": by_name("label", self.labels, sums.astype(np.float64)), "confusion": rows}

    def _pairs(self, predicted: Sequence[str]) -> Any:
        """(predicted, gold), as numbers, of the rows that have a label."""
        number = {label: i for i, label in enumerate(self.labels)}
        said = [number[predicted[i]] for i in self.known]
        return np.array(said, np.int64), np.array([number[label] for label in self.gold], np.int64)
