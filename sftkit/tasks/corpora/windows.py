"""The windows of tokens that a language objective learns from and is scored on, cut from lines that are on disk.

Full ones (:class:`FullWindows`): a source's lines make one row, a separator between each two, which is cut every so
many tokens, wherever that is in a line: every window is full but the last. As the paper's authors did, up to two
points: special tokens stand around each window, where the tokenizer puts them, not around each line; and the rest of a
source is not thrown away (theirs is, for each 1,000 lines). It is one short window a source, and since losses are
means over tokens, not over windows, it counts for as much as its tokens.

One line at a time (:class:`LineWindows`): no window has tokens of two lines; a line that is longer has several.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from sftkit.tasks.corpora.kept import Kept, Part, kept
from sftkit.tasks.corpora.tokens import Tokens

_CHUNK = 1 << 12  # lines


class Windows(Protocol):
    """Some windows of one source; special tokens are in them, and counted."""

    #: Tokens in all of them.
    total: int

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> list[int]:
        """One window's token ids."""

    def lengths(self) -> NDArray[np.int64]:
        """Tokens of each, ``[windows]``."""


def windows(
    tokens: Tokens, some: NDArray[np.int64], *, inside: bool, full: bool, max_length: int, shortest: int
) -> Windows:
    """The windows of those lines that are, or are not, among some.

    Args:
        tokens: of all lines.
        some: numbers of lines, ascending, int64 ``[n]``; they are kept in memory.
        inside: whether the lines meant are those, or all others.
        full: whether they run on from line to line.
        max_length: tokens of a window at most, special tokens included.
        shortest: windows of fewer tokens are left out.
    """
    kind = FullWindows if full else LineWindows
    return kind(tokens, some, inside=inside, max_length=max_length, shortest=shortest)


class FullWindows:
    """Windows of a row of lines; that row is never made, only where it lies among the tokens of all lines."""

    def __init__(
        self, tokens: Tokens, some: NDArray[np.int64], *, inside: bool, max_length: int, shortest: int
    ) -> None:
        self._tokens, self._size = tokens, _size(tokens, max_length)
        spans = np.array([tokens.ends(line, line + 1) for line in some.tolist()], np.int64).reshape(-1, 2)
        if not inside:
            edges = np.concatenate([[0], spans.ravel(), [tokens.total()]]).astype(np.int64)
            spans = edges.reshape(-1, 2)
        self._spans = spans[spans[:, 0] < spans[:, 1]]
        self._places = np.concatenate([[0], np.cumsum(self._spans[:, 1] - self._spans[:, 0])])  # in the row
        self._end = max(0, int(self._places[-1]) - tokens.separators)  # nothing comes after the last line
        around = max_length - self._size
        self._count = -(-self._end // self._size)
        if self._count and self._end - (self._count - 1) * self._size + around < shortest:
            self._count -= 1
        self.total = min(self._end, self._count * self._size) + self._count * around

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: int) -> list[int]:
        """One window's token ids."""
        start, stop = index * self._size, min((index + 1) * self._size, self._end)
        first, last = np.searchsorted(self._places, [start, stop - 1], side="right") - 1
        found: list[int] = []
        for span in range(first, last + 1):
            begin, place = int(self._spans[span, 0]), int(self._places[span])
            length = int(self._spans[span, 1]) - begin
            found += self._tokens.read(begin + max(0, start - place), begin + min(length, stop - place)).tolist()
        return _around(self._tokens, found)

    def lengths(self) -> NDArray[np.int64]:
        """Tokens of each, ``[windows]``."""
        around = len(_around(self._tokens, []))
        starts = np.arange(self._count, dtype=np.int64) * self._size
        return np.minimum(self._size, self._end - starts) + around


class LineWindows:
    """Windows of single lines. Where they begin and end is kept on disk, too: 16 bytes a window and 8 a line."""

    def __init__(
        self, tokens: Tokens, some: NDArray[np.int64], *, inside: bool, max_length: int, shortest: int
    ) -> None:
        self._tokens, self._around = tokens, len(_around(tokens, []))
        size = _size(tokens, max_length)
        self._kept: Kept = kept(["windows", *tokens.key, size, shortest], lambda: _spans(tokens, size, shortest))
        ranges = [np.arange(*self._kept.read("firsts", line, line + 2)) for line in some.tolist()]
        self._some: NDArray[np.int64] = np.concatenate([np.zeros(0, np.int64), *ranges])
        self._before = self._some - np.arange(len(self._some))  # how many that are not come before each that is
        self._inside = inside
        mine = sum(int(end - begin) for begin, end in map(self._span, self._some.tolist()))
        (every,) = self._kept.read("total", 0, 1)
        self.total = (mine if inside else int(every) - mine) + len(self) * self._around

    def __len__(self) -> int:
        return len(self._some) if self._inside else self._kept.sizes["spans"] // 2 - len(self._some)

    def __getitem__(self, index: int) -> list[int]:
        """One window's token ids."""
        return _around(self._tokens, self._tokens.read(*self._span(self._number(index))).tolist())

    def lengths(self) -> NDArray[np.int64]:
        """Tokens of each, ``[windows]``."""
        spans = (self._span(self._number(index)) for index in range(len(self)))
        return np.array([end - begin for begin, end in spans], np.int64) + self._around

    def _number(self, index: int) -> int:
        """Which of all the source's windows it is."""
        if self._inside:
            return int(self._some[index])
        return index + int(np.searchsorted(self._before, index, side="right"))

    def _span(self, number: int) -> tuple[int, int]:
        begin, end = self._kept.read("spans", 2 * number, 2 * number + 2).tolist()
        return begin, end


def _size(tokens: Tokens, max_length: int) -> int:
    return max_length - len(_around(tokens, []))


def _around(tokens: Tokens, ids: list[int]) -> list[int]:
    return [*tokens.encoder.before, *ids, *tokens.encoder.after]


def _spans(tokens: Tokens, size: int, shortest: int) -> Iterator[Part]:
    """What is kept of the windows of all lines, all int64.

    ``spans``: where each window begins and ends among the tokens, one after the other, ``[2 · windows]``; ``firsts``:
    each line's first window, and how many there are, ``[lines + 1]``; ``total``: the windows' tokens, ``[1]``.
    """
    around = len(_around(tokens, []))
    count = total = 0
    yield {"spans": np.zeros(0, np.int64), "firsts": np.zeros(1, np.int64)}
    for first in range(0, tokens.lines, _CHUNK):
        edges = tokens.ends(first, min(first + _CHUNK, tokens.lines))
        begins, ends = edges[:-1], edges[1:]
        ends = ends - np.where(ends > begins, tokens.separators, 0)
        numbers = -(-(ends - begins) // size)
        numbers -= (numbers > 0) & (ends - begins - (numbers - 1) * size + around < shortest)
        lasts = np.cumsum(numbers)
        within = np.arange(lasts[-1]) - np.repeat(lasts - numbers, numbers)
        starts = np.repeat(begins, numbers) + size * within
        stops = np.minimum(starts + size, np.repeat(ends, numbers))
        yield {"spans": np.stack([starts, stops], axis=1).ravel(), "firsts": count + lasts}
        count, total = count + int(lasts[-1]), total + int((stops - starts).sum())
    yield {"total": np.array([total], np.int64)}
