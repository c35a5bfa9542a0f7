"""What all data without labels has in common: it is read, labelled and written a batch at a time, never kept whole."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import IO, Any, TypeVar

from datasets import Dataset
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from sftkit.errors import DataError
from sftkit.tasks.base import Objective
from sftkit.tasks.readers.encodings import check_line_ends, check_packed, conversion
from sftkit.tasks.readers.local import local_file

#: Standard input, as a source.
STANDARD_INPUT = "-"
#: Examples that are read, sorted by length and labelled together.
BATCH = 1024
#: How many pieces, about, are looked at for unknown ones.
ENOUGH = 200_000

_T = TypeVar("_T")


@dataclass(frozen=True)
class Labeller:
    """What labels: a model with what it takes.

    Attributes:
        objective: with the model's labels.
        model: on its device, ready.
        tokenizer: fits the model.
        length: tokens a window.
        batch_size: windows a batch.
        counts: ``examples`` that were labelled so far, and how many of them the window ``cut``; ``pieces`` of the first
            texts, and how many of those are ``unknown`` to the tokenizer.
    """

    objective: Objective
    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    length: int
    batch_size: int
    counts: Counter[str] = field(default_factory=Counter)

    def said(self, rows: Dataset) -> list[tuple[Any, Any]]:
        """What the model says of each row, and how sure it is."""
        evaluator = self.objective.evaluator(rows, self.tokenizer, self.length, 0)
        self.counts.update(cut=evaluator.cut, examples=len(rows))
        if self.counts["pieces"] < ENOUGH:
            self.count(self.tokenizer(self._texts(rows), add_special_tokens=False, verbose=False)["input_ids"])
        return evaluator.scored(self.model, self.batch_size)

    def count(self, ids: Iterable[Sequence[int]]) -> None:
        """Count texts' pieces, and those of them that are unknown."""
        unknown = self.tokenizer.unk_token_id
        for each in ids:
            self.counts.update(pieces=len(each), unknown=each.count(unknown) if unknown is not None else 0)

    def _texts(self, rows: Dataset) -> list[str]:
        """What of each row is text, the last column of several."""
        if "words" in rows.column_names:
            return [" ".join(words) for words in rows["words"]]
        return list(rows["context"]) if "context" in rows.column_names else [texts[-1] for texts in rows["texts"]]


class Unlabelled(ABC):
    """Data without labels, as a stream.

    Attributes:
        notes: what the user may want to know: of how it is read, and, once all is labelled, of what was cut.
        examples: how many were labelled so far.
    """

    examples = 0

    def __init__(self, notes: Iterable[str] = ()) -> None:
        self.notes = list(notes)

    @abstractmethod
    def labelled(self, labeller: Labeller) -> Iterator[tuple[Any, Any, Any]]:
        """(example as it was read, what is said of it, how sure that is) for every example, in their order."""

    @abstractmethod
    def written(self, found: Iterable[tuple[Any, Any, Any]], labels: Sequence[str]) -> Iterator[str]:
        """The same in the task's own format, piece by piece."""

    @abstractmethod
    def objects(self, found: Iterable[tuple[Any, Any, Any]], labels: Sequence[str]) -> Iterator[dict[str, Any]]:
        """The same as JSON objects: ``text`` or ``words``, ``labels``, and their probabilities, ``scores``."""


def batched(examples: Iterator[_T]) -> Iterator[list[_T]]:
    """Many examples at a time."""
    while batch := list(islice(examples, BATCH)):
        yield batch


def lines_of(source: str, stdin: IO[bytes] | None = None) -> Iterator[str]:
    """The lines of a file or of standard input, without their ends.

    Raises:
        DataError: if the file is missing or empty, or a line is not UTF-8; names it.
    """
    if source == STANDARD_INPUT:
        if stdin is None:
            raise DataError("-: there is no standard input here.")
        yield from _decoded("standard input", stdin)
        return
    with local_file(source).open("rb") as file:
        yield from _decoded(source, file)


def _decoded(source: str, file: IO[bytes]) -> Iterator[str]:
    for number, raw in enumerate(file, start=1):
        if number == 1:
            check_packed(source, raw)
            check_line_ends(source, raw)
        try:
            line = raw.decode("utf-8-sig" if number == 1 else "utf-8")
        except UnicodeDecodeError as error:
            told = conversion(source, raw, error.start)
            raise DataError(f"{source}, line {number}: not UTF-8 text ({error.reason}).{told}") from None
        if "\0" in line:
            told = conversion(source, raw, raw.index(0))
            raise DataError(f"{source}, line {number}: a NUL byte, so it is not UTF-8 text.{told}")
        yield line.rstrip("\n").removesuffix("\r")
