"""Sums over all pairs of files, taken block by block of positions: common entries, equal signs, dot products.

The counting itself, apart from files and metrics. Common entries are bits, 64 to a word: for 35 files at 4.3 % density
a sparse matrix product takes twice as long, far longer when supports coincide, and a dense one ten times as long.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from sftkit.format.encoding import Positions, Values

Bits = NDArray[np.uint64]

# Positions at a time in a dense product: the files' float32 rows stay in the processor's cache.
_STRIP = 1 << 15
# Multiply-adds below which OpenBLAS does not share a product among threads.
_SINGLE_THREADED = 1 << 18


@dataclass
class PairSums:
    """Sums for every pair of ``count`` files over some positions.

    Attributes:
        count: number of files, n below.
        size: how many positions there are, entries or not.
        k: each file's entries, int64 ``[n]``.
        chance: common entries of positions drawn at random within each parameter, on average, float64 ``[n, n]``; see
            :meth:`close`.
        shared: common entries, int64 ``[n, n]``; not for ``cosine``, which has no use for them.
        differing: common entries of opposite signs, int64 ``[n, n]``; only for the metric that asks.
        dot: sums of products, float64 ``[n, n]``; only for the metric that asks.
    """

    count: int
    size: int = 0
    k: NDArray[np.int64] = field(init=False)
    chance: NDArray[np.float64] = field(init=False)
    shared: NDArray[np.int64] = field(init=False)
    differing: NDArray[np.int64] = field(init=False)
    dot: NDArray[np.float64] = field(init=False)

    def __post_init__(self) -> None:
        shape = (self.count, self.count)
        self.k, self.chance = np.zeros(self.count, np.int64), np.zeros(shape)
        self.shared, self.differing, self.dot = np.zeros(shape, np.int64), np.zeros(shape, np.int64), np.zeros(shape)

    def close(self) -> None:
        """A parameter is counted: each file has its own density in it, which is what chance has to go by."""
        k = self.k.astype(np.float64)
        self.chance = np.outer(k, k) / max(self.size, 1)

    def __iadd__(self, other: PairSums) -> PairSums:
        self.size += other.size
        self.k += other.k
        self.chance += other.chance
        self.shared += other.shared
        self.differing += other.differing
        self.dot += other.dot
        return self


def block_size(files: int) -> int:
    """Positions a block: a power of two for which the files' bits, and one file's bytes, stay in the cache."""
    fitting = 1 << ((1 << 25) // files).bit_length() >> 1
    return max(1 << 16, min(1 << 20, fitting))


class Counter:
    """Counts one block after another: ``start``, ``add`` for each file that has entries, ``finish``."""

    def __init__(self, files: int, metric: str) -> None:
        self._signs, self._products = metric == "sign", metric == "cosine"
        self._bytes = np.zeros(block_size(files), np.uint8)
        self._added: list[tuple[int, Positions, Values]] = []
        self._words = 0

    def start(self, length: int) -> None:
        """Begin a block of ``length`` positions."""
        self._words = -(-length // 64)
        self._added = []

    def add(self, file: int, positions: Positions, values: Values) -> None:
        """One file's entries in the block; positions count from the block's beginning."""
        if len(positions):
            self._added.append((file, positions, values))

    def finish(self, sums: PairSums) -> None:
        """Add the block's counts."""
        if not self._added:
            return
        files = [file for file, _, _ in self._added]
        at = np.ix_(files, files)
        sums.k[files] += [len(positions) for _, positions, _ in self._added]
        if self._products:
            sums.dot[at] += _products([(positions, values) for _, positions, values in self._added], self._words * 64)
            return
        support = self._bits([positions for _, positions, _ in self._added])
        negative = self._bits([positions[values < 0] for _, positions, values in self._added]) if self._signs else None
        shared, differing = _common(support, negative)
        sums.shared[at] += shared
        sums.differing[at] += differing

    def _bits(self, supports: list[Positions]) -> Bits:
        """One bit a position: uint64 ``[files, words]``."""
        bits = np.empty((len(supports), self._words), np.uint64)
        block = self._bytes[: self._words * 64]
        for row, positions in zip(bits, supports, strict=True):
            block[:] = 0
            block[positions] = 1
            row[:] = np.packbits(block).view(np.uint64)
        return bits


def _common(support: Bits, negative: Bits | None) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """For each two rows, how many bits of ``support`` they share, and in how many of those ``negative`` differs."""
    files = len(support)
    shared, differing = np.zeros((files, files), np.int64), np.zeros((files, files), np.int64)
    both, ones = np.empty_like(support), np.empty(support.shape, np.uint8)
    for at in range(files):
        np.bitwise_and(support[at], support[at:], out=both[at:])
        shared[at, at:] = _ones(both[at:], ones[at:])
        if negative is not None:
            both[at:] &= negative[at] ^ negative[at:]
            differing[at, at:] = _ones(both[at:], ones[at:])
    return _mirrored(shared), _mirrored(differing)


def _ones(bits: Bits, counts: NDArray[np.uint8]) -> NDArray[np.int64]:
    total: NDArray[np.int64] = np.bitwise_count(bits, out=counts).sum(axis=1, dtype=np.int64)
    return total


def _mirrored(upper: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.triu(upper) + np.triu(upper, 1).T


def _products(entries: list[tuple[Positions, Values]], length: int) -> NDArray[np.float64]:
    """Dot products of sparse vectors of ``length``, float64 ``[n, n]``, as dense float32 products of short strips.

    A sparse product would take longer where many files meet; the dense one's time depends on the length alone. Each row
    is scaled by a power of two meanwhile, so that no square overflows or vanishes.
    """
    exponents = np.array([np.frexp(np.abs(values).max())[1] for _, values in entries])
    scaled = [np.ldexp(values, -exponent) for (_, values), exponent in zip(entries, exponents, strict=True)]
    borders = np.arange(0, length + _STRIP, _STRIP)
    cuts = [np.searchsorted(positions, borders) for positions, _ in entries]
    count, width = len(entries), _product_width(len(entries))
    strip = np.empty((count, min(_STRIP, -(-length // width) * width)), np.float32)
    pieces = strip.reshape(count, -1, width).transpose(1, 0, 2)
    result = np.zeros((count, count))
    for step, begin in enumerate(borders[:-1]):
        strip[:] = 0
        for row, (positions, _), values, cut in zip(strip, entries, scaled, cuts, strict=True):
            piece = slice(cut[step], cut[step + 1])
            row[positions[piece] - begin] = values[piece]
        result += np.matmul(pieces, pieces.transpose(0, 2, 1)).sum(axis=0, dtype=np.float64)
    unscaled: NDArray[np.float64] = np.ldexp(result, np.add.outer(exponents, exponents))
    return unscaled


def _product_width(files: int) -> int:
    """Columns of one small product: few enough that BLAS takes no threads for it.

    Its threads spin while they wait for each other: where the processor has other work they take ten times as long.
    """
    fitting = 1 << (_SINGLE_THREADED // files**2).bit_length() >> 1
    return max(32, min(1024, fitting))
