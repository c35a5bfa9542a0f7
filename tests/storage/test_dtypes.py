"""Rounding to half precision: the fast way gives numpy's bits."""

from fractions import Fraction

import numpy as np

from sftkit.storage.dtypes import BFLOAT16, FLOATS, HalfRounder, all_finite, narrowed


def test_every_kind_of_float32_rounds_as_in_numpy() -> None:
    upper = np.arange(1 << 16, dtype=np.uint32) << 16
    lower = np.array([0, 1, 0xFFF, 0x1000, 0x1001, 0x2FFF, 0x3000, 0x7FFF, 0x8000, 0xF000, 0xFFFF], np.uint32)
    values = (upper[:, None] | lower).reshape(-1).view(np.float32)
    with np.errstate(over="ignore", invalid="ignore"):
        expected = values.astype(np.float16)
        found = HalfRounder(len(values))(values)
    assert np.array_equal(found.view(np.uint16), expected.view(np.uint16))


def test_scratch_arrays_of_a_larger_block_serve_a_smaller_one() -> None:
    rounder = HalfRounder(8)
    rounder(np.full(8, 1e6, np.float32))
    assert rounder(np.array([0.1, -2], np.float32)).tolist() == np.array([0.1, -2], np.float16).tolist()


def test_float64_becomes_bfloat16_by_one_rounding() -> None:
    rng = np.random.default_rng(0)
    middles = (rng.integers(0x0080, 0x7F00, 300, dtype=np.uint32) << 16 | 0x8000).view(np.float32).astype(np.float64)
    near = np.concatenate([middles * (1 + e) for e in (0, 2.0**-30, -(2.0**-30), 2.0**-52, 1e-3)])
    for value, found in zip(near, narrowed(near, BFLOAT16), strict=True):
        below, exact = np.float32(found), Fraction(float(value))
        bits = int(np.array(below).view(np.uint32))
        others = [Fraction(float(np.array(b, np.uint32).view(np.float32))) for b in (bits - 0x10000, bits + 0x10000)]
        distance = abs(Fraction(float(below)) - exact)
        assert all(distance < abs(other - exact) or (distance == abs(other - exact) and bits >> 16 & 1 == 0)
                   for other in others)  # fmt: skip


def test_infinities_and_nan_are_seen_in_every_float_dtype() -> None:
    for dtype in FLOATS:
        largest = np.array([np.finfo(np.float16).max, -1e-6, 0, -0.0]).astype(dtype)
        assert all_finite(largest)
        assert all_finite(largest[:0])
        for number in (np.inf, -np.inf, np.nan, -np.nan):
            assert not all_finite(np.append(largest, np.array([number]).astype(dtype)))
