"""The K largest of differences that are read block by block from disk: two passes, and the values come with it.

Beside :mod:`sftkit.operations.topk`, which ranks what lies in memory and gives positions only, this keeps the signed
values of what may be chosen, so that nothing has to be read a third time. The order is the same: by the bit pattern of
the magnitude, ties to what comes first. Zeros are never chosen. Values must be finite.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sftkit.format.encoding import Positions, Values

_SHIFT = 15  # 2^17 bins: a bin is 1/256 of an octave, so that few more than K entries are kept in the second pass
_BINS = 1 << (32 - _SHIFT)
_SIGNLESS = np.uint32(0x7FFFFFFF)
#: Entries of the deciding bin, beyond K, that are kept in memory; more, and a further pass narrows it down.
_MOST_CANDIDATES = 1 << 22


class Largest:
    """A choice in passes over the same blocks, parameters in the order of their names.

    Every block goes to :meth:`count`; if then :attr:`crowded`, to :meth:`refine`; last to :meth:`collect`.
    """

    def __init__(self, k: int) -> None:
        self.k = k
        self.moved = 0
        self._coarse = np.zeros(_BINS, np.int64)
        self._fine = np.zeros(1 << _SHIFT, np.int64)
        self._floor: int | None = None
        self._ties: int | None = None  # known once refined: how many entries exactly at the floor are taken
        self._kept: dict[str, list[tuple[Positions, Values]]] = {}

    def count(self, values: Values) -> None:
        """First pass: one block of differences, float32 ``[n]``."""
        keys = _keys(values)
        self._coarse += np.bincount(keys >> np.uint32(_SHIFT), minlength=_BINS)
        self.moved += int(np.count_nonzero(keys))

    @property
    def crowded(self) -> bool:
        """Whether so many entries share the deciding bin that a further pass must narrow it down."""
        bin_, above = self._deciding()
        return self._ties is None and int(self._coarse[bin_]) - (self.k - above) > _MOST_CANDIDATES and bin_ > 0

    def refine(self, values: Values) -> None:
        """Further pass, the same blocks: counts within the deciding bin."""
        bin_, _ = self._deciding()
        keys = _keys(values)
        inside = keys[(keys >> np.uint32(_SHIFT)) == bin_]
        self._fine += np.bincount(inside & np.uint32((1 << _SHIFT) - 1), minlength=1 << _SHIFT)

    def collect(self, name: str, start: int, values: Values) -> None:
        """Last pass: one block of the parameter ``name``, from position ``start`` on; blocks in canonical order."""
        floor = self._settle()
        keys = _keys(values)
        chosen = np.flatnonzero(keys >= np.uint32(floor))
        if self._ties is not None:
            tied = np.flatnonzero(keys[chosen] == np.uint32(floor))
            chosen = np.delete(chosen, tied[self._ties :])
            self._ties -= min(self._ties, len(tied))
        if len(chosen):
            self._kept.setdefault(name, []).append((chosen + start, values[chosen]))

    def result(self) -> dict[str, tuple[Positions, Values]]:
        """Positions and values of the K largest, by parameter; fewer than K if fewer moved."""
        found = {name: _joined(pieces) for name, pieces in self._kept.items()}
        self._kept.clear()
        surplus = sum(len(positions) for positions, _ in found.values()) - self.k
        if surplus <= 0:
            return found
        candidates = self._candidates(found)
        candidates.sort()
        threshold = candidates[surplus]  # everything below goes, and of those equal to it the last ones
        ties = int(np.count_nonzero(candidates[surplus:] == threshold))
        result = {}
        for name in sorted(found):
            kept = _at_least(found[name], threshold, ties)
            ties -= int(np.count_nonzero(_keys(kept[1]) == threshold))
            if len(kept[0]):
                result[name] = kept
        return result

    def _candidates(self, found: dict[str, tuple[Positions, Values]]) -> NDArray[np.uint32]:
        ceiling = ((self._settle() >> _SHIFT) + 1) << _SHIFT
        keys = (_keys(values) for _, values in found.values())
        return np.concatenate([own[own < np.uint32(ceiling)] for own in keys])

    def _settle(self) -> int:
        if self._floor is None:
            bin_, above = self._deciding()
            self._floor = max(bin_ << _SHIFT, 1)
            if self._fine.any():
                low, inside = _deciding_bin(self._fine, self.k - above)
                self._floor = bin_ << _SHIFT | low
                self._ties = self.k - above - inside
        return self._floor

    def _deciding(self) -> tuple[int, int]:
        return _deciding_bin(self._coarse, self.k) if self.moved > self.k else (0, self.moved)


def _deciding_bin(histogram: NDArray[np.int64], k: int) -> tuple[int, int]:
    """The bin that holds the K-th largest key, and how many keys lie above it."""
    from_top = np.cumsum(histogram[::-1])
    at = min(int(np.searchsorted(from_top, k)), len(histogram) - 1)
    return len(histogram) - 1 - at, int(from_top[at] - histogram[::-1][at])


def _keys(values: Values) -> NDArray[np.uint32]:
    return values.view(np.uint32) & _SIGNLESS


def _joined(pieces: list[tuple[Positions, Values]]) -> tuple[Positions, Values]:
    return np.concatenate([piece[0] for piece in pieces]), np.concatenate([piece[1] for piece in pieces])


def _at_least(entries: tuple[Positions, Values], threshold: np.uint32, ties: int) -> tuple[Positions, Values]:
    positions, values = entries
    keys = _keys(values)
    kept = keys > threshold
    kept[np.flatnonzero(keys == threshold)[:ties]] = True
    return positions[kept], values[kept]
