"""Positions to gaps and back.

A parameter's entries are stored as the distance of each position from the one before (the first from -1), in the
unsigned integer width that makes the file smallest. A distance that does not fit is bridged by entries of value 0
(run-length padding, Han et al. 2016, Deep Compression, section 3). Pure functions of numpy arrays: no files, no names
beyond the one that an error needs.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from sftkit.errors import FormatError

Positions = NDArray[np.int64]
Values = NDArray[np.float32]

#: The value of an entry that was chosen but ended where it began, because a stored 0 marks a bridge: the smallest
#: positive bfloat16 (2^-133). Added to any parameter of normal size it changes no bit, and which positions were chosen
#: is not lost.
UNMOVED = np.float32(2.0**-133)

GAP_DTYPES = (np.dtype(np.uint8), np.dtype(np.uint16), np.dtype(np.uint32))


def encode(positions: Positions, values: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Gaps and values as they are stored, bridges included.

    Args:
        positions: int64 ``[n]``, strictly increasing, the first at least 0.
        values: ``[n]``, in the dtype in which they will be stored.

    Returns:
        ``(gaps, values)``, both ``[n + bridges]``; gaps are u8, u16 or u32, whichever makes the two smallest.
    """
    gaps = np.empty(len(positions), np.int64)
    gaps[:1] = positions[:1] + 1
    np.subtract(positions[1:], positions[:-1], out=gaps[1:])
    widest = int(gaps.max(initial=1))
    best: tuple[int, np.dtype[Any], NDArray[np.int64]] | None = None
    for dtype in GAP_DTYPES:
        largest = int(np.iinfo(dtype).max)
        wide = np.flatnonzero(gaps > largest) if widest > largest else np.zeros(0, np.int64)
        entries = len(gaps) + int(((gaps[wide] - 1) // largest).sum())
        size = entries * (dtype.itemsize + values.dtype.itemsize)
        if best is None or size < best[0]:
            best = (size, dtype, wide)
        if not len(wide):  # a wider dtype only costs more
            break
    assert best is not None
    return _bridged(gaps, values, best[2], best[1])


def _bridged(
    gaps: NDArray[np.int64], values: NDArray[Any], wide: NDArray[np.int64], dtype: np.dtype[Any]
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Gaps and values, with as many entries of value 0 before each of the gaps at ``wide`` as lead up to it."""
    largest = int(np.iinfo(dtype).max)
    bridges = (gaps[wide] - 1) // largest
    narrow = gaps.astype(dtype)
    narrow[wide] = gaps[wide] - bridges * largest
    if not len(wide):
        return narrow, values
    before = np.repeat(wide, bridges)
    return np.insert(narrow, before, largest), np.insert(values, before, 0)


def decode(
    gaps: NDArray[Any], values: NDArray[Any], size: int, what: str, *, last: int = -1, first: int = 0
) -> tuple[Positions, Values]:
    """Positions and float32 values of the real entries; bridge entries are dropped.

    Args:
        gaps: u8, u16 or u32 ``[n]``.
        values: f32, bf16 or f16 ``[n]``.
        size: number of elements of the parameter; no position may reach it.
        what: the parameter's name, for errors.
        last: position of the entry before these, where they are not the parameter's first.
        first: how many gaps came before these, for errors.

    Raises:
        FormatError: if a gap is 0, a position lies outside the parameter, or a value is not finite.
    """
    if len(gaps) == 0:
        return np.zeros(0, np.int64), np.zeros(0, np.float32)
    if int(gaps.min()) < 1:
        at = first + int(np.argmin(gaps))
        raise FormatError(f"diff/{what}/gaps: gap {at} is 0; every gap must be at least 1. The file is damaged.")
    positions = np.cumsum(gaps, dtype=np.int64)
    positions += last
    if int(positions[-1]) >= size:
        raise FormatError(
            f"diff/{what}/gaps: entries reach position {int(positions[-1]):,}, "
            f"but the parameter has {size:,} elements. The file is damaged."
        )
    wide: Values = values.astype(np.float32, copy=False)
    if not np.isfinite(wide).all():
        raise FormatError(f"diff/{what}/values: a value is not finite. The file is damaged, or the training diverged.")
    real = wide != 0
    if real.all():
        return positions, wide
    return positions[real], wide[real]
