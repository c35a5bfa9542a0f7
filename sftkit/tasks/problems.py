"""What a classifier's head is for: a choice of one label, several labels at once, or a number.

Heads of the latter two are scored and never taken for the first; they are not trained. A number is the head's output as
it is: cross-encoders that put a sigmoid over it rank alike, so that Spearman's correlation is theirs, too.
"""

from __future__ import annotations

import ast
import json
import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any, ClassVar

import numpy as np
import torch
from datasets import Dataset
from transformers import PreTrainedTokenizerBase

from sftkit.errors import DataError, MismatchError
from sftkit.tasks.base import shortened
from sftkit.tasks.evaluator import Scores
from sftkit.tasks.readers.tables import Column, Table, cell, raw
from sftkit.tasks.tally import ExampleTally, Tally, by_name, correlations, micro_and_macro_f1
from sftkit.tasks.text_inputs import TextsEvaluator

#: What a label of the data is taken for; None for no label.
Take = Callable[[str], str | None]
#: A label is predicted where its probability is above this, as in transformers' own examples.
THRESHOLD = 0.5


class Problem:
    """A choice of one label."""

    #: Transformers' name for it.
    name: ClassVar[str] = "single_label_classification"
    #: What else than a label's column the right answers' may be called, the likeliest first.
    columns: ClassVar[tuple[str, ...]] = ()

    def of_file(self, table: Table, place: Column, take: Take) -> list[str | None]:
        """The labels of a table's rows, as text.

        Raises:
            DataError: naming the line.
        """
        labels = [(line, cell(table, line, row, place).strip()) for line, row in table.rows]
        for line, label in labels:
            if not label:
                raise DataError(f"{table.source}, line {line}: the label is empty.")
        return [take(label) for _, label in labels]

    def of_hub(self, source: str, values: Sequence[Any], take: Take) -> list[str | None]:
        """The labels of a column of a data set on the hub, as text; None where there is none."""
        del source
        return [None if value is None else take(str(value)) for value in values]

    def labels_in(self, labels: Iterable[str]) -> set[str]:
        """Single labels in labels as the two above give them."""
        return set(labels)

    def cells(self, predicted: Sequence[Any], table: Table, place: Column) -> list[Any]:
        """What is predicted as it is written into a table."""
        del table, place
        return list(predicted)

    def evaluator(
        self, rows: Dataset, labels: Sequence[str], tokenizer: PreTrainedTokenizerBase, max_length: int
    ) -> TextsEvaluator | None:
        """What scores it; None for the objective's own."""
        del rows, labels, tokenizer, max_length
        return None


class Number(Problem):
    """A number: regression, and similarity of two texts."""

    name: ClassVar[str] = "regression"
    columns: ClassVar[tuple[str, ...]] = ("score", "similarity_score", "similarity", "rating", "stars", "relevance")

    def of_file(self, table: Table, place: Column, take: Take) -> list[str | None]:
        """Numbers, as they are written."""
        found = super().of_file(table, place, take)
        for (line, _), label in zip(table.rows, found, strict=True):
            _check_number(label, f"{table.source}, line {line}")
        return found

    def of_hub(self, source: str, values: Sequence[Any], take: Take) -> list[str | None]:
        """Numbers, as they are written."""
        found = super().of_hub(source, values, take)
        for number, label in enumerate(found, start=1):
            _check_number(label, f"{source}, row {number}")
        return found

    def labels_in(self, labels: Iterable[str]) -> set[str]:
        """None: any number may come."""
        del labels
        return set()

    def evaluator(
        self, rows: Dataset, labels: Sequence[str], tokenizer: PreTrainedTokenizerBase, max_length: int
    ) -> TextsEvaluator | None:
        """Scores numbers.

        Raises:
            MismatchError: if the head gives several.
        """
        if len(labels) != 1:
            raise MismatchError(f"The model's head gives {len(labels)} numbers a text; one is what can be scored.")
        return NumberEvaluator(rows, labels, tokenizer, max_length)


class Several(Problem):
    """Any number of labels a text: a list in JSONL, ``a|b`` or ``a,b`` elsewhere; an empty cell for none."""

    name: ClassVar[str] = "multi_label_classification"
    columns: ClassVar[tuple[str, ...]] = ()

    def of_file(self, table: Table, place: Column, take: Take) -> list[str | None]:
        """Lists of labels as JSON."""
        values = [raw(row, place) for _, row in table.rows]
        between = separator(values)
        places = [f"{table.source}, line {line}" for line, _ in table.rows]
        return [_listed(value, where, between, take) for value, where in zip(values, places, strict=True)]

    def of_hub(self, source: str, values: Sequence[Any], take: Take) -> list[str | None]:
        """Lists of labels as JSON."""
        between = separator(values)
        return [_listed(value, f"{source}, row {i}", between, take) for i, value in enumerate(values, start=1)]

    def labels_in(self, labels: Iterable[str]) -> set[str]:
        """The members of all lists."""
        return {name for label in labels for name in json.loads(label)}

    def cells(self, predicted: Sequence[Any], table: Table, place: Column) -> list[Any]:
        """Lists in JSONL; elsewhere with what is between the table's own labels."""
        if table.kind == "jsonl":
            return list(predicted)
        between = separator([raw(row, place) for _, row in table.rows])
        return [between.join(names) for names in predicted]

    def evaluator(
        self, rows: Dataset, labels: Sequence[str], tokenizer: PreTrainedTokenizerBase, max_length: int
    ) -> TextsEvaluator | None:
        """Scores sets of labels."""
        return SeveralEvaluator(rows, labels, tokenizer, max_length)


PROBLEMS: dict[str, Problem] = {kind.name: kind() for kind in (Problem, Number, Several)}
ONE_LABEL = PROBLEMS[Problem.name]


class NumberEvaluator(TextsEvaluator):
    """Spearman's and Pearson's correlation of numbers with what the data say."""

    def said(self, logits: torch.Tensor) -> list[tuple[float, list[float]]]:
        """The output itself; ``[rows, 1]``."""
        return [(value, [value]) for value in logits[:, 0].tolist()]

    def tally(self, predicted: Sequence[Any]) -> Tally:
        """(predicted, gold) of each example.

        Raises:
            DataError: if all gold numbers are the same, or the model gives one that is not finite.
        """
        gold = np.array(list(map(float, self.gold)), np.float64)
        said = np.array([predicted[i] for i in self.known], np.float64)
        if len(set(gold.tolist())) < 2:
            raise DataError("All scores in the data are the same: a correlation needs two that differ.")
        if not np.isfinite(said).all():
            raise DataError("The model gives numbers that are not finite: one of its weights is damaged.")
        return ExampleTally(np.stack([said, gold], axis=1), correlations)

    def scores(self, predicted: Sequence[Any]) -> Scores:
        """Score predictions; a model that tells no texts apart gets 0, and a note."""
        found = super().scores(predicted)
        if len(set(found.tally.counts[:, 0].tolist())) > 1:
            return found
        note = "the model gives every text the same number, so that correlations are not defined: 0 stands for them."
        return Scores(found.metrics, found.examples, found.tally, found.details, (*found.notes, note))


class SeveralEvaluator(TextsEvaluator):
    """Micro and macro F1 of sets of labels: those whose probability by the sigmoid is above the threshold."""

    def said(self, logits: torch.Tensor) -> list[tuple[list[str], list[float]]]:
        """The labels above the threshold; logits are ``[rows, labels]``."""
        scores = logits.sigmoid().tolist()
        named = ([n for n, score in zip(self.labels, row, strict=True) if score > THRESHOLD] for row in scores)
        return list(zip(named, scores, strict=True))

    def tally(self, predicted: Sequence[Any]) -> Tally:
        """(right, predicted, gold) of each label for each example."""
        said = self._indicators([predicted[i] for i in self.known])
        gold = self._indicators([json.loads(label) for label in self.gold])
        return Tally(np.concatenate([said * gold, said, gold], axis=1), micro_and_macro_f1)

    def details(self, predicted: Sequence[Any]) -> dict[str, Any]:
        """``labels``: precision, recall, F1 and support."""
        sums = self.tally(predicted).counts.sum(0).reshape(3, -1).T
        return {"labels": by_name("label", self.labels, sums)}

    def _indicators(self, sets: Sequence[Sequence[str]]) -> Any:
        """Float64 ``[examples, labels]``, 1 where an example has a label."""
        return np.array([[name in own for name in self.labels] for own in map(set, sets)], np.float64).reshape(
            len(sets), len(self.labels)
        )


def separator(values: Iterable[Any]) -> str:
    """What is between labels in a column: "|" if that is anywhere in it, else ","."""
    return "|" if any("|" in value for value in values if isinstance(value, str)) else ","


def _listed(value: Any, where: str, between: str, take: Take) -> str | None:
    """One cell's labels as a JSON list, in their order and each once; None for JSON's null."""
    if value is None:
        return None
    found = (take(name) for name in _names(value, where, between))
    return json.dumps(list(dict.fromkeys(name for name in found if name is not None)), ensure_ascii=False)


def _names(value: Any, where: str, between: str) -> list[str]:
    if isinstance(value, str):
        text = value.strip()
        if not text.startswith("["):
            return [name.strip() for name in text.split(between) if name.strip()]
        value = _literal(text)
    if isinstance(value, int | float) and not isinstance(value, bool):
        value = [value]
    if not isinstance(value, list | tuple) or not all(isinstance(each, str | int) for each in value):
        shown = shortened([str(value)[:60]])
        raise DataError(f"{where}: {shown} is no list of labels. Write a|b, a,b or a JSON list; nothing for none.")
    return [str(each) for each in value]


def _literal(text: str) -> Any:
    """A list as JSON or Python writes it, which is how pandas puts one into a table; None if it is none."""
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, RecursionError, MemoryError):
        return None


def _check_number(label: str | None, where: str) -> None:
    try:
        finite = label is None or math.isfinite(float(label))
    except ValueError:
        finite = False
    if not finite:
        raise DataError(f"{where}: {str(label)[:40]!r} is no number, and the model's head is for regression.")
