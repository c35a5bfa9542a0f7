"""Plain text for the language objectives, one sentence or paragraph a line: read line by line, never as a whole.

Lines longer than the window are split; short ones are packed only if that is asked for. A CSV, JSON or parquet file,
or a data set on the hub, has its text in the column ``text``. Local tables are streamed; a data set on the hub is
first downloaded to where ``datasets`` keeps them.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import accumulate
from typing import Any, ClassVar

import datasets
import numpy as np
from numpy.typing import NDArray
from torch.utils.data import Dataset
from transformers import PreTrainedTokenizerBase

from sftkit.errors import DataError
from sftkit.tasks.base import Objective
from sftkit.tasks.sources import HUB, digest, hub_rows, local_file, number_held_out, quiet_datasets
from sftkit.tasks.tokens import Cutter, Windows, kept_windows

#: Endings of files that hold a table; all others are plain text.
_TABLES = {".csv": "csv", ".json": "json", ".jsonl": "json", ".parquet": "parquet"}
_BATCH_LINES, _BATCH_CHARACTERS = 1000, 1 << 20


@dataclass(frozen=True, eq=False)
class Text:
    """Lines of one source that are not blank: all of them, all but some, or only some.

    Attributes:
        source: where they are.
        total: how many the source has.
        some: numbers of lines, ascending, int64 ``[n]``.
        inside: whether the lines meant are those, or all others.
    """

    source: str
    total: int
    some: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    inside: bool = False

    def __len__(self) -> int:
        return len(self.some) if self.inside else self.total - len(self.some)

    def windows(self, cutter: Cutter) -> Windows:
        """The windows of all the source's lines, whichever are meant."""
        key = ["lines", self._key(), cutter.key]
        return kept_windows(key, lambda: (line for batch in line_batches(self.source) for line in cutter.lines(batch)))

    def packed(self, cutter: Cutter) -> Windows:
        """The lines that are meant, packed into windows."""
        lines, among = self.windows(cutter), frozenset(self.some.tolist())
        key = ["packed", self._key(), cutter.key, self.inside, sorted(among)]
        return kept_windows(
            key, lambda: cutter.pack(line for i, line in enumerate(lines.walk()) if (i in among) == self.inside)
        )

    def _key(self) -> Any:
        return hub_rows(self.source)._fingerprint if self.source.startswith(HUB) else digest(self.source)["xxh3_128"]


@dataclass(frozen=True)
class Corpus:
    """The lines of several sources, one source after the other; and whether they are trained on packed."""

    parts: tuple[Text, ...]
    pack: bool = False

    def __len__(self) -> int:
        return sum(map(len, self.parts))

    def packed(self) -> Corpus:
        """The same, to be packed into windows."""
        return replace(self, pack=True)


class TokenExamples(Dataset[dict[str, Any]]):
    """``input_ids`` of windows, and each one's ``place``, one part after the other; read from disk when asked for."""

    def __init__(self, parts: Sequence[_Chosen]) -> None:
        self._parts, self._ends = parts, list(accumulate(map(len, parts)))

    def __len__(self) -> int:
        return self._ends[-1]

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return (self[index] for index in range(len(self)))

    def __getitem__(self, index: int) -> dict[str, Any]:
        part = bisect_right(self._ends, index)
        within = index - self._ends[part] + len(self._parts[part])
        return {"input_ids": self._parts[part][within].tolist(), "place": index}

    def lengths(self) -> list[int]:
        """Tokens of each window."""
        return [len(example["input_ids"]) for example in self]


class _Chosen:
    """Those windows that are, or are not, among some."""

    def __init__(self, windows: Windows, some: NDArray[np.int64], *, inside: bool) -> None:
        self._windows, self._some, self._inside = windows, some, inside
        self._before = some - np.arange(len(some))  # how many that are not come before each that is

    def __len__(self) -> int:
        return len(self._some) if self._inside else len(self._windows) - len(self._some)

    def __getitem__(self, index: int) -> NDArray[np.int32]:
        return self._windows[
            int(self._some[index] if self._inside else index + np.searchsorted(self._before, index, side="right"))
        ]


class LanguageObjective(Objective):
    """What objectives on plain text have in common."""

    is_task: ClassVar[bool] = False
    #: Windows of fewer tokens are left out.
    shortest: ClassVar[int] = 1

    def read(self, sources: Sequence[str]) -> Corpus:
        """Count the lines that are not blank; the text itself stays where it is."""
        return Corpus(tuple(Text(source, count_lines(source)) for source in sources))

    def joined(self, parts: Sequence[Corpus]) -> Corpus:
        """Several corpora, one after the other."""
        return replace(parts[0], parts=tuple(text for corpus in parts for text in corpus.parts))

    def held_out(self, rows: Corpus, share: float, seed: int, source: str) -> tuple[Corpus, Corpus]:
        """As the base class has it, from each source of its own."""
        del source
        training, dev = [], []
        for text in rows.parts:
            count = number_held_out(len(text), share, text.source)
            some = np.sort(np.random.default_rng(seed).choice(len(text), count, replace=False)).astype(np.int64)
            training.append(replace(text, some=some))
            dev.append(replace(text, some=some, inside=True))
        return replace(rows, parts=tuple(training)), replace(rows, parts=tuple(dev))

    def features(self, rows: Corpus, tokenizer: PreTrainedTokenizerBase, max_length: int) -> TokenExamples:
        """``input_ids`` of windows of at most ``max_length``, special tokens included, and their ``place``.

        Raises:
            DataError: if the tokenizer finds no tokens, or too few, in all of the text.
        """
        cutter = Cutter(tokenizer, max_length, self.shortest)
        found = TokenExamples([_chosen(text, cutter, pack=rows.pack) for text in rows.parts])
        if len(found) == 0:
            least = f"{self.shortest} tokens" if self.shortest > 1 else "a token"
            raise DataError(f"{rows.parts[0].source}: no line has {least}: there is nothing to predict.")
        return found


def _chosen(text: Text, cutter: Cutter, *, pack: bool) -> _Chosen:
    if pack:
        return _Chosen(text.packed(cutter), np.zeros(0, np.int64), inside=False)
    windows = text.windows(cutter)
    return _Chosen(windows, windows.of_lines(text.some), inside=text.inside)


def count_lines(source: str) -> int:
    """How many lines are not blank.

    Raises:
        DataError: if the source is missing, not text, or has no such line or no column ``text``.
    """
    count = sum(map(len, line_batches(source)))
    if count == 0:
        raise DataError(f"{source}: holds no text, only blank lines.")
    return count


def line_batches(source: str) -> Iterator[list[str]]:
    """The lines of a source that are not blank, many at a time; of a table, the cells of its column ``text``.

    Raises:
        DataError: if the source is missing, not text, or has no column ``text``.
    """
    batch: list[str] = []
    held = 0
    for line in _lines(source):
        if line and not line.isspace():
            batch.append(line)
            held += len(line)
            if len(batch) == _BATCH_LINES or held > _BATCH_CHARACTERS:
                yield batch
                batch, held = [], 0
    if batch:
        yield batch


def _lines(source: str) -> Iterator[str]:
    if source.startswith(HUB):
        yield from _cells(source, hub_rows(source))
        return
    path = local_file(source)
    kind = _TABLES.get(path.suffix.lower())
    if kind is not None:
        try:
            with quiet_datasets():
                rows = datasets.load_dataset(kind, data_files=str(path), split="train", streaming=True)
                yield from _cells(source, rows)
        except (ValueError, TypeError, datasets.exceptions.DatasetsError) as error:
            raise DataError(f"{source}: cannot be read as {kind} ({' '.join(str(error).split())[:200]}).") from error
        return
    try:
        with path.open(encoding="utf-8-sig") as file:
            for line in file:
                yield line.rstrip("\n")
    except UnicodeDecodeError:
        raise _not_utf8(source) from None


def _cells(source: str, rows: Any) -> Iterator[str]:
    for table in rows.with_format("arrow").iter(batch_size=_BATCH_LINES):
        if "text" not in table.column_names:
            raise DataError(f"{source}: has no column 'text', only {', '.join(table.column_names)}.")
        yield from (str(cell) for cell in table["text"].to_pylist() if cell is not None)


def _not_utf8(source: str) -> DataError:
    """Which line it is: a file object only knows the place in its buffer."""
    before = 0
    try:
        with local_file(source).open("rb") as file:
            for line in file:
                line.decode()
                before += 1
    except UnicodeDecodeError as error:
        return DataError(f"{source}, line {before + 1}: not UTF-8 text ({error.reason}).")
    return DataError(f"{source}: not UTF-8 text.")
