"""The K largest of differences that are read block by block from disk: one pass as a rule, and the values come with it.

Beside :mod:`sftkit.algebra.topk`, which ranks what lies in memory and gives positions only, this keeps the signed
values of what may be chosen, so that nothing has to be read again. A sample says from which magnitude on entries are
kept; where it misled, topk's histograms say it exactly. The order is the same: by the bit pattern of the
magnitude, ties to what comes first. Zeros are never chosen. Values must be finite.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sftkit.algebra.topk import threshold
from sftkit.format.encoding import Positions, Values

#: One block of differences: parameter, position of its first element, float32 ``[n]``. Parameters come sorted by name.
Block = tuple[str, int, Values]

_SIGNLESS = np.uint32(0x7FFFFFFF)
#: Entries beyond K that may be kept in memory: what a sample overestimates.
_MOST_SURPLUS = 1 << 22


@dataclass(frozen=True)
class Chosen:
    """The K largest entries by parameter, each sorted by position, and how many differences are not 0 at all."""

    entries: dict[str, tuple[Positions, Values]]
    moved: int


def choose_largest(blocks: Callable[[], Iterable[Block]], k: int, sample: Values, total: int) -> Chosen:
    """The K largest; fewer if fewer differ from 0.

    Args:
        blocks: gives the same blocks in the same order every time it is called: once, or up to four times.
        k: how many, at least 1.
        sample: differences drawn evenly from all of them; decides speed only, never the result.
        total: number of elements in all blocks together.
    """
    kept = _collect(blocks(), k, _guess(sample, k, total))
    if kept is None or kept.found < min(k, kept.moved):
        floor, ties = threshold(lambda: (_keys(values) for _, _, values in blocks()), k)
        kept = _collect(blocks(), k, max(floor, 1), ties if floor else None, most=None)
    assert kept is not None
    return Chosen(_cut(kept.join(), k), kept.moved)


@dataclass
class _Kept:
    """Entries from a floor on."""

    pieces: dict[str, list[tuple[Positions, Values]]]
    found: int = 0
    moved: int = 0

    def join(self) -> dict[str, tuple[Positions, Values]]:
        """The pieces joined; each parameter's are given up as soon as they are."""
        joined = {}
        for name in list(self.pieces):
            own = self.pieces.pop(name)
            joined[name] = np.concatenate([piece[0] for piece in own]), np.concatenate([piece[1] for piece in own])
        return joined


def _guess(sample: Values, k: int, total: int) -> int:
    """A key that somewhat more than K entries reach, if the sample is like the whole."""
    expected = k * len(sample) / max(total, 1)
    rank = math.ceil(1.05 * expected + 4 * math.sqrt(expected) + 64)
    if rank >= len(sample):
        return 1
    keys = _keys(sample)
    return max(int(np.partition(keys, len(keys) - rank)[len(keys) - rank]), 1)


def _collect(
    blocks: Iterable[Block], k: int, floor: int, ties: int | None = None, most: int | None = _MOST_SURPLUS
) -> _Kept | None:
    """Every entry whose key reaches the floor, of those exactly there the first ``ties`` if given; None if too many."""
    kept = _Kept({})
    for name, start, values in blocks:
        keys = _keys(values)
        kept.moved += int(np.count_nonzero(keys))
        chosen = np.flatnonzero(keys >= np.uint32(floor))
        if ties is not None:
            tied = np.flatnonzero(keys[chosen] == np.uint32(floor))
            chosen = np.delete(chosen, tied[ties:])
            ties -= min(ties, len(tied))
        if len(chosen):
            kept.pieces.setdefault(name, []).append((chosen + start, values[chosen]))
            kept.found += len(chosen)
            if most is not None and kept.found > 2 * k + most:
                return None
    return kept


def _cut(entries: dict[str, tuple[Positions, Values]], k: int) -> dict[str, tuple[Positions, Values]]:
    """The K largest of the entries that were kept, which are given up on the way."""
    surplus = sum(len(positions) for positions, _ in entries.values()) - k
    if surplus <= 0:
        return entries
    keys = np.concatenate([_keys(values) for _, values in entries.values()])
    keys.partition(surplus)
    threshold = keys[surplus].copy()  # the smallest that stays
    ties = int(np.count_nonzero(keys[surplus:] == threshold))
    del keys
    result = {}
    for name in list(entries):
        positions, values = entries.pop(name)
        own = _keys(values)
        stays = own > threshold
        tied = np.flatnonzero(own == threshold)[:ties]
        ties -= len(tied)
        stays[tied] = True
        if stays.any():
            result[name] = positions[stays], values[stays]
    return result


def _keys(values: Values) -> NDArray[np.uint32]:
    return values.view(np.uint32) & _SIGNLESS
