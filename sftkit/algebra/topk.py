"""The K largest of very many scores: exact, in two passes over memory, without a sort or a list of them all.

A non-negative float32 read as an unsigned integer keeps its order, so a histogram of the upper 16 bits says in which
bin the K-th largest score lies. What is in that bin or above is collected in a second pass, and the bin's few scores
decided among themselves. Where very many share the bin (most entries did not move, say), a second histogram, of the
lower 16 bits inside it, finds the K-th largest first. Extra memory is two histograms, one block, and the result. Ties
go to the lowest position in the order in which the blocks come. NaN scores are not covered: as bit patterns they would
rank above everything.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Keys = NDArray[np.uint32]
#: A block of scores: parameter name, flat position of the first, sortable keys.
Block = tuple[str, int, Keys]
#: Flat positions, ascending: int32, or int64 where one does not fit.
Positions = NDArray[np.integer[Any]]
#: Elements a block should have: its temporaries then stay in the processor's cache.
BLOCK = 1 << 18
#: How often the blocks are gone through, if not very many scores are nearly the same.
PASSES = 2

_BINS = 1 << 16
_HALF = 16
#: The most scores to decide among themselves after one histogram: some tens of MB.
_CANDIDATES = 1 << 22


@dataclass(frozen=True)
class Selection:
    """Which entries were chosen.

    Attributes:
        positions: parameter name -> flat positions, strictly increasing; only parameters with entries.
        threshold: the smallest chosen key.
        tied: how many chosen entries have that very key.
    """

    positions: dict[str, Positions]
    threshold: int
    tied: int

    @property
    def k(self) -> int:
        """Number of chosen entries."""
        return sum(len(positions) for positions in self.positions.values())


def select(blocks: Callable[[], Iterable[Block]], k: int) -> Selection:
    """The K entries with the largest keys.

    Args:
        blocks: gives the same blocks in the same order every time it is called; it is called two or three times.
        k: how many; all entries if there are no more than that.
    """
    coarse = _coarse(keys for _, _, keys in blocks()) if k > 0 else None
    if coarse is None or not coarse.any():
        return Selection({}, 0, 0)
    upper, above = _deciding_bin(coarse, k)
    if coarse[upper] <= _CANDIDATES:
        return _decided(blocks(), upper, k - above)
    lower, above_inside = _deciding_bin(_fine((keys for _, _, keys in blocks()), upper), k - above)
    return _collected(blocks(), (upper << _HALF) | lower, k - above - above_inside)


def threshold(blocks: Callable[[], Iterable[Keys]], k: int) -> tuple[int, int]:
    """The K-th largest key (the smallest if there are fewer), and how many with that very key are among the K largest.

    Args:
        blocks: gives the same keys in the same blocks; it is called twice.
        k: at least 1.
    """
    upper, above = _deciding_bin(_coarse(blocks()), k)
    lower, above_inside = _deciding_bin(_fine(blocks(), upper), k - above)
    return (upper << _HALF) | lower, k - above - above_inside


def narrow(positions: NDArray[np.int64]) -> Positions:
    """Ascending positions in as few bytes as they need."""
    return positions.astype(np.int32) if not len(positions) or positions[-1] < 1 << 31 else positions


def _coarse(blocks: Iterable[Keys]) -> NDArray[np.int64]:
    """How many keys have each upper half."""
    histogram = np.zeros(_BINS, np.int64)
    for keys in blocks:
        histogram += np.bincount(keys >> np.uint32(_HALF), minlength=_BINS)
    return histogram


def _fine(blocks: Iterable[Keys], upper: int) -> NDArray[np.int64]:
    """How many of the keys with one upper half have each lower half."""
    histogram = np.zeros(_BINS, np.int64)
    for keys in blocks:
        inside = keys[(keys >> np.uint32(_HALF)) == upper]
        if len(inside):
            histogram += np.bincount(inside & np.uint32(_BINS - 1), minlength=_BINS)
    return histogram


def _deciding_bin(histogram: NDArray[np.int64], k: int) -> tuple[int, int]:
    """The bin that holds the K-th largest key (the smallest if there are fewer), and how many keys lie above it."""
    from_top = np.cumsum(histogram[::-1])
    at = int(np.searchsorted(from_top, min(k, from_top[-1])))
    return len(histogram) - 1 - at, int(from_top[at] - histogram[::-1][at])


def _decided(blocks: Iterable[Block], upper: int, left: int) -> Selection:
    """All keys above those with one upper half, and so many of these, the largest."""
    floor, last = np.uint32(upper << _HALF), np.uint32((upper << _HALF) | (_BINS - 1))
    parts, candidates = list[tuple[str, Positions, NDArray[np.int64]]](), list[Keys]()
    for name, start, keys in blocks:
        at = np.flatnonzero(keys >= floor)
        values = keys[at]
        open_ = np.flatnonzero(values <= last)
        parts.append((name, narrow(at + start), open_))
        candidates.append(values[open_])
    among = np.concatenate(candidates)
    left = min(left, len(among))
    threshold = int(np.partition(among, len(among) - left)[len(among) - left])
    stays = among > threshold
    tied = left - int(stays.sum())
    stays[np.flatnonzero(among == threshold)[:tied]] = True
    ends = np.cumsum([len(open_) for _, _, open_ in parts])
    found = dict[str, list[Positions]]()
    for (name, where, open_), stay in zip(parts, np.split(stays, ends[:-1]), strict=True):
        if len(chosen := np.delete(where, open_[~stay])):
            found.setdefault(name, []).append(chosen)
    return Selection({name: np.concatenate(each) for name, each in found.items()}, threshold, tied)


def _collected(blocks: Iterable[Block], threshold: int, ties: int) -> Selection:
    """All keys above a threshold, and so many of those at it, the first."""
    found = dict[str, list[Positions]]()
    left = ties
    for name, start, keys in blocks:
        chosen = np.flatnonzero(keys >= np.uint32(threshold))
        tied = np.flatnonzero(keys[chosen] == np.uint32(threshold))
        if len(tied) > left:
            chosen = np.delete(chosen, tied[left:])
            tied = tied[:left]
        left -= len(tied)
        if len(chosen):
            found.setdefault(name, []).append(narrow(chosen + start))
    return Selection({name: np.concatenate(parts) for name, parts in found.items()}, threshold, ties - left)
