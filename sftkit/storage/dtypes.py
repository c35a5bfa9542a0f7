"""The dtype policy: which numbers are stored, which are computed with.

On disk, values may be f32, bf16 or f16; in memory a difference is always float32, because scipy.sparse refuses 16-bit
floats. This module is the only one that knows how safetensors' dtype codes, numpy's dtypes and the canonical names
("float32") map to each other. Quantised formats (f8, int4 packings) are not covered: their tensors can be copied, not
added to.
"""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
from numpy.typing import NDArray

BFLOAT16 = np.dtype(ml_dtypes.bfloat16)

#: safetensors code -> numpy dtype, for every dtype that numpy (with ml_dtypes) can hold.
CODES: dict[str, np.dtype[Any]] = {
    "F64": np.dtype(np.float64),
    "F32": np.dtype(np.float32),
    "F16": np.dtype(np.float16),
    "BF16": BFLOAT16,
    "I64": np.dtype(np.int64),
    "I32": np.dtype(np.int32),
    "I16": np.dtype(np.int16),
    "I8": np.dtype(np.int8),
    "U64": np.dtype(np.uint64),
    "U32": np.dtype(np.uint32),
    "U16": np.dtype(np.uint16),
    "U8": np.dtype(np.uint8),
    "BOOL": np.dtype(np.bool_),
    "F8_E4M3": np.dtype(ml_dtypes.float8_e4m3fn),
    "F8_E5M2": np.dtype(ml_dtypes.float8_e5m2),
}
_CODE_OF = {dtype: code for code, dtype in CODES.items()}

#: Dtypes of parameters that a difference can be added to.
FLOATS = frozenset({CODES["F64"], CODES["F32"], CODES["F16"], BFLOAT16})
FLOAT_CODES = frozenset(code for code, dtype in CODES.items() if dtype in FLOATS)
#: How SFT values may be stored, by the name that ``--values`` takes.
VALUE_DTYPES: dict[str, np.dtype[Any]] = {"f32": CODES["F32"], "bf16": BFLOAT16, "f16": CODES["F16"]}


def code_of(dtype: np.dtype[Any]) -> str:
    """Safetensors' code for a numpy dtype.

    Raises:
        KeyError: if safetensors has no such dtype.
    """
    return _CODE_OF[np.dtype(dtype)]


def canonical_dtype(name: str) -> str:
    """``float32`` for each of ``float32``, ``torch.float32`` and ``F32``; unknown names come back unchanged."""
    name = name.removeprefix("torch.")
    return CODES[name].name if name in CODES else name


def widened(values: NDArray[Any]) -> NDArray[Any]:
    """Numbers in a dtype that numpy compares fast: 16-bit ones as float32."""
    return values.astype(np.float32) if values.dtype.itemsize == 2 else values


def all_finite(values: NDArray[Any]) -> bool:
    """Whether no number of a float array ``[n]`` is infinite or NaN: by its bits, for numpy widens bfloat16 first."""
    bits = np.dtype(f"u{values.dtype.itemsize}")
    infinity = np.asarray(np.inf, values.dtype).view(bits)
    return bool((values.view(bits) & bits.type(np.iinfo(bits).max >> 1)).max(initial=0) < infinity)


def narrowed(values: NDArray[np.float64], dtype: np.dtype[Any]) -> NDArray[Any]:
    """float64 numbers in another dtype, rounded once, to nearest and ties to even.

    ml_dtypes makes bfloat16 by way of float32, which rounds twice. That differs from once only where the float32 lies
    halfway between two bfloat16; there, rounding to odd on the way (Boldo & Melquiond 2008) gives what once would.
    """
    if dtype != BFLOAT16:
        return values.astype(dtype)
    near = values.astype(np.float32)
    result = near.astype(dtype)
    halfway = np.flatnonzero((near.view(np.uint32) & np.uint32(0xFFFF)) == np.uint32(0x8000))
    twice = halfway[near[halfway] != values[halfway]]
    if len(twice):
        result[twice] = _odd(values[twice], near[twice]).astype(dtype)
    return result


def _odd(values: NDArray[np.float64], near: NDArray[np.float32]) -> NDArray[np.float32]:
    """Of the two float32 around each number, which is none, the one whose last bit is 1; ``near`` is the nearest."""
    bits = near.view(np.uint32) - (np.abs(near) > np.abs(values))
    odd: NDArray[np.uint32] = (bits | np.uint32(1)).astype(np.uint32)
    return odd.view(np.float32)


class HalfRounder:
    """float32 -> float16 as numpy rounds (to nearest, ties to even), 2.5 times as fast; not for several threads.

    Between the smallest and the largest normal half a float32's bits need only be rounded to 10 digits and moved to
    another exponent; what lies outside (subnormals, zeros, overflow, NaN) is left to numpy.
    """

    _LOWEST, _OVERFLOW = np.uint32(0x38800000), np.uint32(0x477FF000)  # 2^-14; 65520, which rounds to infinity
    _DROPPED = np.uint32(13)  # digits of float32 that half lacks
    _HALF_ULP = np.uint32((1 << 12) - 1)
    _EXPONENT_ONE = np.uint32(1 << 23)

    def __init__(self, size: int) -> None:
        """Make scratch arrays for blocks of at most so many elements."""
        self._bits, self._even = np.empty(size, np.uint32), np.empty(size, np.uint32)
        self._outside, self._result = np.empty(size, np.bool_), np.empty(size, np.uint16)

    def __call__(self, values: NDArray[np.float32]) -> NDArray[np.float16]:
        """float16 ``[n]`` of float32 ``[n]``; overwritten by the next call."""
        size, source = len(values), values.view(np.uint32)
        bits, even = self._bits[:size], self._even[:size]
        outside, result = self._outside[:size], self._result[:size]
        np.bitwise_and(source, np.uint32(0x7FFFFFFF), out=bits)
        np.subtract(bits, self._LOWEST, out=bits)  # below the lowest wraps around, to above the highest
        np.greater_equal(bits, self._OVERFLOW - self._LOWEST, out=outside)
        np.right_shift(bits, self._DROPPED, out=even)
        np.bitwise_and(even, np.uint32(1), out=even)
        np.add(bits, even, out=bits)
        np.add(bits, self._HALF_ULP + self._EXPONENT_ONE, out=bits)
        np.right_shift(bits, self._DROPPED, out=bits)
        np.right_shift(source, np.uint32(16), out=even)
        np.bitwise_and(even, np.uint32(0x8000), out=even)
        np.bitwise_or(bits, even, out=bits)
        np.copyto(result, bits, casting="same_kind")
        halves: NDArray[np.float16] = result.view(np.float16)
        rest = np.flatnonzero(outside)
        with np.errstate(over="ignore", invalid="ignore"):
            halves[rest] = values[rest].astype(np.float16)
        return halves
