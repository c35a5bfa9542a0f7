"""The lines of one source of text, read from beginning to end, a batch at a time, and never kept.

Plain text has a line each; a CSV, JSON or parquet file, or a data set on the hub, has them in its column ``text``.
Local files are read where they are. A data set on the hub is fetched whole to where ``datasets`` keeps them, or read as
a stream, of which nothing is kept. A long line comes in pieces (:mod:`sftkit.tasks.corpora.pieces`), and of plain text
no more than a few pieces are in memory; of a table ``datasets`` has a batch of rows there, however long they are. Not
covered: a stream that breaks off for good (``datasets`` tries for minutes to go on with it) is read from its beginning
in the next run.
"""

from __future__ import annotations

import codecs
import io
from collections.abc import Callable, Iterator
from functools import cached_property
from typing import Any

import datasets

from sftkit.errors import DataError
from sftkit.tasks.corpora.pieces import LONGEST, Piece, pieces
from sftkit.tasks.options import TaskOptions
from sftkit.tasks.readers.annotation import check_is_text
from sftkit.tasks.readers.local import HUB, local_file
from sftkit.tasks.readers.sources import Reading, digest, hub_text, nobody, understood

#: Endings of files that hold a table; all others are plain text.
_TABLES = {".csv": "csv", ".json": "json", ".jsonl": "json", ".parquet": "parquet"}
#: A tokenizer's notes take some 170 bytes a character while it is at work: 45 MB for such a batch.
_BATCH_LINES, _BATCH_CHARACTERS = 1000, 1 << 18
_PAGE = 1 << 20  # bytes


class Lines:
    """The lines of a source that are not blank: all, or the first of them.

    Attributes:
        source: where they are.
        total: how many they are, once somebody knows; ``len`` reads them if nobody does.
    """

    def __init__(self, source: str, options: TaskOptions, watch: Reading = nobody) -> None:
        """Look at the first lines: most that can be wrong shows there.

        Args:
            source: a local file, or ``hf://dataset[:config][:split]``.
            options: how many lines at most, and whether the hub is streamed.
            watch: told how far it is, whenever all are read.

        Raises:
            DataError: if it is missing, not text, or has no line that is not blank or no column ``text``.
        """
        check_is_text(source)
        self.source, self.watch = source, watch
        self.total: int | None = None
        self._most, self._streaming = options.max_lines, options.streaming
        self._share: Callable[[], float | None] = lambda: None  # what share of the source was read
        if next(self._pieces(), None) is None:
            raise DataError(f"{source}: holds no text, only blank lines.")

    def __len__(self) -> int:
        if self.total is None:
            self.total = sum(piece.ends for batch in self.batches() for piece in batch)
        return self.total

    @cached_property
    def key(self) -> list[Any]:
        """What the lines follow from, of JSON's types.

        A local file's bytes; of a stream the files that it is made of, each with the commit that it is from; of what
        was fetched, the files that it was fetched into.
        """
        if self.source.startswith(HUB):
            return [*self._hub.key, self._most]
        found = digest(self.source, lambda share: self.watch(f"looking through {self.source}", 0, share))
        return [_TABLES.get(local_file(self.source).suffix.lower(), "plain"), found["xxh3_128"], self._most]

    def batches(self) -> Iterator[list[Piece]]:
        """The lines in pieces, many at a time, about ``_BATCH_CHARACTERS`` at most.

        Raises:
            DataError: if some of it is not text, or cannot be read.
        """
        batch: list[Piece] = []
        held = done = 0
        for piece in self._pieces():
            batch.append(piece)
            held += len(piece.text)
            if len(batch) == _BATCH_LINES or held > _BATCH_CHARACTERS:
                yield batch
                done += sum(piece.ends for piece in batch)
                self.watch(f"reading {self.source}", done, self._progress(done))
                batch, held = [], 0
        if batch:
            yield batch

    def _progress(self, done: int) -> float | None:
        shares = [self._share() or 0.0, done / self._most if self._most else 0.0]
        return min(1.0, max(shares)) or None

    def _pieces(self) -> Iterator[Piece]:
        if self.source.startswith(HUB):
            found = self._cells(self._hub.rows, self._hub.count)
        elif kind := _TABLES.get(local_file(self.source).suffix.lower()):
            found = self._cells(_table(self.source, kind), None)
        else:
            found = self._plain()
        done = 0
        for piece in pieces(found):
            yield piece
            done += piece.ends
            if done == self._most:
                return

    @cached_property
    def _hub(self) -> Any:
        self.watch(f"{'opening' if self._streaming else 'fetching'} {self.source}", 0, None)
        return hub_text(self.source, streaming=self._streaming)

    def _plain(self) -> Iterator[tuple[str, bool]]:
        """Text of lines, no more than ``LONGEST`` characters at once, and whether a line ends there."""
        path = local_file(self.source)
        size = path.stat().st_size
        ended = True
        try:
            with path.open("rb") as raw, io.TextIOWrapper(raw, encoding="utf-8-sig") as file:
                self._share = lambda: raw.tell() / size
                while text := file.readline(LONGEST):
                    if "\0" in text:  # UTF-16 without a mark would pass as UTF-8 with them
                        raise _not_text(self.source)
                    ended = text.endswith("\n")
                    yield text.removesuffix("\n"), ended
                if not ended:
                    yield "", True
        except UnicodeDecodeError:
            raise _not_text(self.source) from None
        except OSError as error:
            raise DataError(f"{self.source}: cannot be read ({error.strerror or error}).") from error

    def _cells(self, rows: Any, count: int | None) -> Iterator[tuple[str, bool]]:
        seen = 0
        self._share = lambda: seen / count if count else None
        with understood(self.source, "cannot be read"):
            for table in rows.with_format("arrow").iter(batch_size=_BATCH_LINES):
                if "text" not in table.column_names:
                    raise DataError(f"{self.source}: has no column 'text', only {', '.join(table.column_names)}.")
                seen += len(table)
                yield from ((str(cell.as_py()), True) for cell in table["text"] if cell.is_valid)


def _table(source: str, kind: str) -> Any:
    with understood(source, f"cannot be read as {kind}"):
        return datasets.load_dataset(kind, data_files=source, split="train", streaming=True)


def _not_text(source: str) -> DataError:
    """Which line it is: a file object only knows the place in its buffer."""
    decoder, before = codecs.getincrementaldecoder("utf-8")(), 0
    with local_file(source).open("rb") as file:
        while page := file.read(_PAGE):
            end, reason = page.find(0), r"a NUL byte; take a stray one out with tr -d '\0'"
            try:
                decoder.decode(page, final=len(page) < _PAGE)
            except UnicodeDecodeError as error:
                begun = len(error.object) - len(page)  # bytes of a character that the page before began
                if end < 0 or error.start - begun < end:
                    end, reason = max(0, error.start - begun), error.reason
            if end >= 0:
                line = before + page.count(b"\n", 0, end) + 1
                return DataError(f"{source}, line {line}: not UTF-8 text ({reason}).")
            before += page.count(b"\n")
    return DataError(f"{source}: not UTF-8 text.")
