"""Positions to gaps and back."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sftkit.errors import FormatError
from sftkit.format.encoding import UNMOVED, decode, encode
from sftkit.storage.dtypes import BFLOAT16, VALUE_DTYPES

DTYPES = [np.dtype(np.float32), np.dtype(np.float16), BFLOAT16]
# gaps on both sides of every width's limit, and of twice it
GAPS = st.one_of(
    st.integers(1, 300), st.integers(60_000, 140_000), st.integers(2**32 - 3, 2**32 + 3), st.integers(1, 2**34)
)


def entries(gaps: list[int], dtype: np.dtype[Any]) -> tuple[Any, Any]:
    positions = np.cumsum(np.array(gaps, np.int64)) - 1
    values = np.where(np.arange(len(gaps)) % 2, -1.5, 0.25).astype(dtype)
    return positions, values


@settings(deadline=None, max_examples=150)
@given(st.lists(GAPS, max_size=20), st.sampled_from(DTYPES))
def test_decoding_gives_back_what_was_encoded(gaps: list[int], dtype: np.dtype[Any]) -> None:
    positions, values = entries(gaps, dtype)
    if len(gaps) and max(gaps) > 2**33:  # each bridge of 2**32 costs an entry: keep the example small
        return
    stored, stored_values = encode(positions, values)
    size = int(positions[-1]) + 1 if gaps else 0
    back, back_values = decode(stored, stored_values, size, "p")
    assert back.tolist() == positions.tolist()
    assert back.dtype == np.int64
    assert back_values.dtype == np.float32
    assert back_values.tolist() == values.astype(np.float32).tolist()


@settings(deadline=None, max_examples=60)
@given(st.lists(st.integers(1, 100_000), min_size=1, max_size=30), st.integers(0, 30))
def test_decoding_in_two_pieces_gives_the_same(gaps: list[int], cut: int) -> None:
    positions, values = entries(gaps, DTYPES[0])
    stored, stored_values = encode(positions, values)
    size, cut = int(positions[-1]) + 1, min(cut, len(stored))
    first, _ = decode(stored[:cut], stored_values[:cut], size, "p")
    last = int(stored[:cut].sum(dtype=np.int64)) - 1
    second, _ = decode(stored[cut:], stored_values[cut:], size, "p", last=last)
    assert np.concatenate([first, second]).tolist() == positions.tolist()


@pytest.mark.parametrize(
    ("gap", "stored"),
    [(255, [255]), (256, [255, 1]), (510, [255, 255]), (511, [255, 255, 1])],
)
def test_a_gap_over_255_among_small_ones_is_bridged_by_zeros(gap: int, stored: list[int]) -> None:
    small = [1] * 10  # enough small gaps that one byte each pays
    positions, values = entries([*small, gap], DTYPES[0])
    gaps, stored_values = encode(positions, values)
    assert gaps.dtype == np.uint8
    assert gaps.tolist() == small + stored
    assert (stored_values == 0).sum() == len(stored) - 1
    assert stored_values[-1] == values[-1]


@pytest.mark.parametrize(("gap", "dtype"), [(200, np.uint8), (3000, np.uint16), (10_000_000, np.uint32)])
def test_the_width_that_makes_the_file_smallest_is_chosen(gap: int, dtype: Any) -> None:
    gaps, _ = encode(*entries([gap] * 50, DTYPES[0]))
    assert gaps.dtype == dtype


@pytest.mark.parametrize(("gaps", "dtype"), [([256, 1, 1, 1], np.uint16), ([256, 1, 1, 1, 1, 1], np.uint8)])
def test_the_entry_that_bridges_a_gap_is_counted(gaps: list[int], dtype: Any) -> None:
    assert encode(*entries(gaps, DTYPES[0]))[0].dtype == dtype  # 25 bytes beside 24; 35 beside 36


@pytest.mark.parametrize("beyond", [0, 1, 1000])
def test_positions_at_or_beyond_the_end_are_refused(beyond: int) -> None:
    with pytest.raises(FormatError, match=rf"reach position {300 + beyond:,}, but the parameter has 300 elements"):
        decode(np.array([1, 300 + beyond], np.uint16), np.ones(2, np.float32), 300, "p")


def test_a_gap_of_0_is_named_by_its_place_in_the_whole_parameter() -> None:
    with pytest.raises(FormatError, match="gap 1003 is 0"):
        decode(np.array([1, 2, 0], np.uint8), np.ones(3, np.float32), 9999, "p", last=5, first=1001)


def test_what_did_not_move_is_the_smallest_number_that_bf16_has() -> None:
    assert np.array([1], np.uint16).view(VALUE_DTYPES["bf16"])[0] == UNMOVED


@settings(deadline=None, max_examples=60)
@given(st.lists(st.integers(1, 3000), min_size=1, max_size=40), st.sampled_from(DTYPES))
def test_no_other_width_would_be_smaller(gaps: list[int], dtype: np.dtype[Any]) -> None:
    stored, values = encode(*entries(gaps, dtype))
    sizes = []
    for width, largest in ((1, 255), (2, 65_535), (4, 2**32 - 1)):
        count = sum(-(-gap // largest) for gap in gaps)
        sizes.append(count * (width + dtype.itemsize))
    assert stored.nbytes + values.nbytes == min(sizes)


def test_nothing_encodes_to_nothing() -> None:
    gaps, values = encode(np.zeros(0, np.int64), np.zeros(0, np.float32))
    assert (len(gaps), len(values)) == (0, 0)
    assert decode(gaps, values, 0, "p")[0].tolist() == []


def test_positions_beyond_two_billion_survive() -> None:
    positions = np.array([0, 2**31 + 5, 2**33], np.int64)
    gaps, values = encode(positions, np.ones(3, np.float32))
    assert decode(gaps, values, 2**34, "p")[0].tolist() == positions.tolist()
