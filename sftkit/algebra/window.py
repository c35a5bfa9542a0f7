"""What entries of several SFTs come to on one stretch of a parameter: one sum a position, and where they meet.

The counting itself, apart from SFTs and files. Positions are found by a table of the stretch, not by sorting.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sftkit.format.encoding import Positions, Values


@dataclass(frozen=True, slots=True)
class Merged:
    """The sum on (a stretch of) one parameter.

    Attributes:
        positions: int64 ``[n]``, flat, unique; strictly increasing for a whole parameter.
        values: float64 ``[n]``, none 0.
        overlap: positions on which more than one SFT has an entry, also where the sum is 0.
        sign_conflicts: those of them on which the weighted entries have both signs.
        start: first element of the stretch.
        stop: its end.
    """

    positions: Positions
    values: NDArray[np.float64]
    overlap: int
    sign_conflicts: int
    start: int
    stop: int


@dataclass(frozen=True, slots=True)
class Part:
    """Some of one SFT's entries on one parameter.

    Attributes:
        positions: int64 ``[n]``, strictly increasing.
        values: float32 ``[n]``.
        weight: the factor that they get.
        times: how often the SFT was given; the weight is the sum of all.
        opposed: with weights of both signs.
    """

    positions: Positions
    values: Values
    weight: float
    times: int = 1
    opposed: bool = False


#: Positions within a window and weighted values of one part.
_Added = tuple[Positions, NDArray[np.float64]]


class Scratch:
    """Finds, within one window, the entries that lie on one position. Cleared after each use where it was touched."""

    def __init__(self, size: int, *, elect: bool) -> None:
        """Make the table for stretches of at most so many elements; ``elect`` a sign a position, as TIES does."""
        self._places = np.full(size, -1, np.int32)  # element of the window -> its place in the union
        self._elect = elect

    def merge(self, parts: Sequence[Part], start: int, stop: int) -> Merged:
        """The sum of one window's entries, whose positions count from the parameter's start."""
        if not parts:
            return Merged(np.zeros(0, np.int64), np.zeros(0), 0, 0, start, stop)
        if len(parts) == 1:
            only = parts[0]
            count = len(only.positions)
            overlap, conflicts = count if only.times > 1 else 0, count if only.opposed else 0
            factor = only.weight / only.times if self._elect else only.weight
            return _without_zeros(only.positions, only.values * np.float64(factor), overlap, conflicts, start, stop)
        added = [(part.positions - start, part.values * np.float64(part.weight)) for part in parts]
        union, sums, met = self._union(added)
        opposite = [place[(values < 0) != (sums[place] < 0)] for place, values in met]
        for place, values in met:
            sums[place] += values
        places = [self._places[at].astype(np.int64) if part.times > 1 or self._elect else None
                  for part, (at, _) in zip(parts, added, strict=True)]  # fmt: skip
        again = [place for part, place in zip(parts, places, strict=True) if part.times > 1 and place is not None]
        against = [place for part, place in zip(parts, places, strict=True) if part.opposed and place is not None]
        overlap = _distinct([place for place, _ in met] + again)
        conflicts = _distinct(opposite + against)
        if self._elect:
            sums = _agreed(sums, [
                (place, values, part.times)
                for part, place, (_, values) in zip(parts, places, added, strict=True) if place is not None
            ])  # fmt: skip
        self._places[union] = -1
        return _without_zeros(union + start, sums, overlap, conflicts, start, stop)

    def _union(self, added: Sequence[_Added]) -> tuple[Positions, NDArray[np.float64], list[_Added]]:
        """Every position once, as the parts bring them, and its first value; the entries that came later, by place."""
        fresh, later, known = [added[0]], [], len(added[0][0])
        self._places[added[0][0]] = np.arange(known, dtype=np.int32)
        for at, values in added[1:]:
            place = self._places[at]
            again = place >= 0
            later.append((place[again].astype(np.int64), values[again]))
            fresh.append((at[~again], values[~again]))
            self._places[fresh[-1][0]] = np.arange(known, known + len(fresh[-1][0]), dtype=np.int32)
            known += len(fresh[-1][0])
        return np.concatenate([at for at, _ in fresh]), np.concatenate([values for _, values in fresh]), later


def _distinct(places: Sequence[NDArray[Any]]) -> int:
    return len(np.unique(np.concatenate(places))) if len(places) > 1 else len(places[0])


def _agreed(
    sums: NDArray[np.float64], added: Sequence[tuple[Positions, NDArray[np.float64], int]]
) -> NDArray[np.float64]:
    """TIES: the mean, over the SFTs whose weighted entry has the sign of the sum, of their weighted entries.

    An SFT that was given several times counts as often.
    """
    elected = np.sign(sums)
    totals, counts = np.zeros(len(sums)), np.zeros(len(sums))
    for place, values, times in added:
        agrees = np.sign(values) == elected[place]
        totals[place[agrees]] += values[agrees]
        counts[place[agrees]] += times
    means: NDArray[np.float64] = totals / np.maximum(counts, 1)
    return means


def _without_zeros(
    positions: Positions, values: NDArray[np.float64], overlap: int, conflicts: int, start: int, stop: int
) -> Merged:
    real = values != 0
    if not real.all():
        positions, values = positions[real], values[real]
    return Merged(positions, values, overlap, conflicts, start, stop)
