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
    gaps = np.diff(positions, prepend=np.int64(-1))
    widest = int(gaps.max(initial=1))
    best: tuple[int, np.dtype[Any], NDArray[np.int64] | None] | None = None
    for dtype in GAP_DTYPES:
        largest = int(np.iinfo(dtype).max)
        bridges = (gaps - 1) // largest if widest > largest else None
        entries = len(gaps) + (0 if bridges is None else int(bridges.sum()))
        size = entries * (dtype.itemsize + values.dtype.itemsize)
        if best is None or size < best[0]:
            best = (size, dtype, bridges)
        if bridges is None:  # a wider dtype only costs more
            break
    assert best is not None
    _, dtype, bridges = best
    if bridges is None:
        return gaps.astype(dtype), values
    return _bridge(gaps, values, bridges, dtype)


def _bridge(
    gaps: NDArray[np.int64], values: NDArray[Any], bridges: NDArray[np.int64], dtype: np.dtype[Any]
) -> tuple[NDArray[Any], NDArray[Any]]:
    largest = int(np.iinfo(dtype).max)
    at = np.arange(len(gaps)) + np.cumsum(bridges)  # where each real entry lands
    total = len(gaps) + int(bridges.sum())
    out_gaps = np.full(total, largest, dtype=dtype)
    out_values = np.zeros(total, dtype=values.dtype)
    out_gaps[at] = gaps - bridges * largest
    out_values[at] = values
    return out_gaps, out_values


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
