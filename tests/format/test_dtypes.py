"""Rounding to half precision: the fast way gives numpy's bits."""

import numpy as np

from sftkit.format.dtypes import HalfRounder


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
