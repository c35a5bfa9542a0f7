"""The K largest of very many scores: exact, in three passes over memory, without a sort or a list.

A non-negative float32 read as an unsigned integer keeps its order, so a histogram of the upper 16 bits and one of the
lower 16 bits inside the deciding bin give the K-th largest score exactly. Extra memory is two histograms, one block,
and the result. Ties go to the lowest position in the order in which the blocks come. NaN scores are not covered: as
bit patterns they would rank above everything.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Keys = NDArray[np.uint32]
#: A block of scores: parameter name, flat position of the first, sortable keys.
Block = tuple[str, int, Keys]
#: Elements a block should have: its temporaries then stay in the processor's cache.
BLOCK = 1 << 18
#: How often the blocks are gone through.
PASSES = 3

_BINS = 1 << 16
_HALF = 16


@dataclass(frozen=True)
class Selection:
    """Which entries were chosen.

    Attributes:
        positions: parameter name -> int64 flat positions, strictly increasing; only parameters with entries.
        threshold: the smallest chosen key.
        tied: how many chosen entries have that very key.
    """

    positions: dict[str, NDArray[np.int64]]
    threshold: int
    tied: int

    @property
    def k(self) -> int:
        """Number of chosen entries."""
        return sum(len(positions) for positions in self.positions.values())


def select(blocks: Callable[[], Iterable[Block]], k: int) -> Selection:
    """The K entries with the largest keys.

    Args:
        blocks: gives the same blocks in the same order every time it is called; it is called three times.
        k: how many; all entries if there are no more than that.
    """
    if k <= 0:
        return Selection({}, 0, 0)
    floor, ties = threshold(lambda: (keys for _, _, keys in blocks()), k)
    return _collect(blocks(), floor, ties)


def threshold(blocks: Callable[[], Iterable[Keys]], k: int) -> tuple[int, int]:
    """The K-th largest key (the smallest if there are fewer), and how many with that very key are among the K largest.

    Args:
        blocks: gives the same keys in the same blocks; it is called twice.
        k: at least 1.
    """
    coarse = np.zeros(_BINS, np.int64)
    for keys in blocks():
        coarse += np.bincount(keys >> np.uint32(_HALF), minlength=_BINS)
    upper, above = _deciding_bin(coarse, k)
    fine = np.zeros(_BINS, np.int64)
    for keys in blocks():
        inside = keys[(keys >> np.uint32(_HALF)) == upper]
        if len(inside):
            fine += np.bincount(inside & np.uint32(_BINS - 1), minlength=_BINS)
    lower, above_inside = _deciding_bin(fine, k - above)
    return (upper << _HALF) | lower, k - above - above_inside


def _deciding_bin(histogram: NDArray[np.int64], k: int) -> tuple[int, int]:
    """The bin that holds the K-th largest key (the lowest bin if there are fewer), and how many keys lie above it."""
    from_top = np.cumsum(histogram[::-1])
    at = min(int(np.searchsorted(from_top, k)), len(histogram) - 1)
    return len(histogram) - 1 - at, int(from_top[at] - histogram[::-1][at])


def _collect(blocks: Iterable[Block], threshold: int, ties: int) -> Selection:
    found: dict[str, list[NDArray[np.int64]]] = {}
    left = ties
    for name, start, keys in blocks:
        chosen = np.flatnonzero(keys >= np.uint32(threshold))
        tied = np.flatnonzero(keys[chosen] == np.uint32(threshold))
        if len(tied) > left:
            chosen = np.delete(chosen, tied[left:])
            tied = tied[:left]
        left -= len(tied)
        if len(chosen):
            found.setdefault(name, []).append(chosen + start)
    return Selection({name: np.concatenate(parts) for name, parts in found.items()}, threshold, ties - left)
