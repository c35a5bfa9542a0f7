"""Sums of SFTs, parameter by parameter."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sftkit.algebra import arithmetic
from sftkit.algebra.arithmetic import SUM, Merger, Method, Weighted, added, collapse
from sftkit.algebra.window import Merged
from sftkit.errors import SettingsError
from sftkit.format.files import SftFile
from sftkit.format.metadata import Metadata, ParameterSpec
from sftkit.format.sft import RowStream, to_csr
from sftkit.storage.dtypes import BFLOAT16
from tests.helpers.build import save_sft

SIZE = 40


class Fake:
    """A difference on one parameter "w"; satisfies ``Difference``."""

    def __init__(self, entries: dict[int, float], digest: str = "") -> None:
        kept = {at: value for at, value in sorted(entries.items()) if np.float32(value)}
        self._entries = np.array(list(kept), np.int64), np.array(list(kept.values()), np.float32)
        self.metadata = Metadata({"w": ParameterSpec((SIZE,), "float32")}, len(kept))
        self.names = ("w",)
        self.head: dict[str, Any] = {}
        self.digest = digest or str(sorted(kept.items()))

    def entries(self, name: str) -> Any:
        assert name == "w"
        return self._entries


def merge(weighted: list[Weighted], name: str, size: int, method: Method = SUM) -> Merged:
    return Merger(weighted, method).parameter(name, size)


def dense(merged: Merged) -> np.ndarray[Any, Any]:
    result = np.zeros(SIZE)
    result[merged.positions] = merged.values
    return result


entry = st.dictionaries(
    st.integers(0, SIZE - 1), st.floats(-4, -(2.0**-20), width=32) | st.floats(2.0**-20, 4, width=32), max_size=SIZE
)
weights = st.floats(-2, -(2.0**-10)) | st.floats(2.0**-10, 2)
several = st.lists(st.tuples(entry, weights), min_size=1, max_size=5)


@given(several, st.randoms())
@settings(max_examples=60, deadline=None)
def test_the_sum_is_the_same_to_the_bit_in_any_order(parts: Any, random: Any) -> None:
    items = [Weighted(Fake(entries, str(number)), weight) for number, (entries, weight) in enumerate(parts)]
    shuffled = random.sample(items, len(items))
    one, two = merge(items, "w", SIZE), merge(shuffled, "w", SIZE)
    assert one.positions.tobytes() == two.positions.tobytes()
    assert one.values.tobytes() == two.values.tobytes()
    assert (one.overlap, one.sign_conflicts) == (two.overlap, two.sign_conflicts)


@given(several)
@settings(max_examples=60, deadline=None)
def test_the_sum_counts_and_positions_are_those_of_dense_arrays(parts: Any) -> None:
    items = [Weighted(Fake(entries, str(number)), weight) for number, (entries, weight) in enumerate(parts)]
    rows = np.zeros((len(items), SIZE))
    for row, item in zip(rows, items, strict=True):
        positions, values = item.sft.entries("w")
        row[positions] = item.weight * values.astype(np.float64)
    merged = merge(items, "w", SIZE)
    np.testing.assert_allclose(dense(merged), rows.sum(axis=0), atol=1e-12)
    assert merged.overlap == np.count_nonzero((rows != 0).sum(axis=0) > 1)
    assert merged.sign_conflicts == np.count_nonzero((rows > 0).any(axis=0) & (rows < 0).any(axis=0))
    assert (np.diff(merged.positions) > 0).all()
    assert merged.values.all()


def test_windows_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    items = [Weighted(Fake({i: 1.0 + i for i in range(0, SIZE, step)}, str(step))) for step in (2, 3, 5)]
    whole = merge(items, "w", SIZE)
    monkeypatch.setattr(arithmetic, "WINDOW", 7)
    pieces = merge(items, "w", SIZE)
    assert dense(whole).tobytes() == dense(pieces).tobytes()
    assert (whole.overlap, whole.sign_conflicts) == (pieces.overlap, pieces.sign_conflicts)


def test_an_sft_and_its_negative_leave_nothing() -> None:
    sft = Fake({1: 0.1, 7: -3.3})
    assert collapse([Weighted(sft, 1.0), Weighted(sft, -1.0)]) == []
    assert not len(merge([Weighted(sft, 1.0), Weighted(sft, -1.0)], "w", SIZE).positions)


def test_an_sft_given_twice_counts_twice_and_overlaps_itself() -> None:
    sft = Fake({1: 0.5})
    merged = merge([Weighted(sft), Weighted(sft)], "w", SIZE)
    assert merged.values.tolist() == [1.0]
    assert merged.overlap == 1


def test_entries_of_different_sfts_that_cancel_are_dropped_but_counted_as_a_conflict() -> None:
    merged = merge([Weighted(Fake({3: 0.5})), Weighted(Fake({3: -0.5, 4: 1.0}))], "w", SIZE)
    assert merged.positions.tolist() == [4]
    assert (merged.overlap, merged.sign_conflicts) == (1, 1)


def test_ties_takes_the_mean_of_those_that_agree_with_the_elected_sign() -> None:
    items = [
        Weighted(Fake({0: 1.0, 1: 1.0, 2: 1.0})),
        Weighted(Fake({0: 3.0, 1: -3.0, 2: -1.0})),
        Weighted(Fake({1: -1.0}), 1.0),
    ]
    merged = merge(items, "w", SIZE, Method("ties", trim=0.0))
    assert dense(merged)[:3].tolist() == [2.0, -2.0, 0.0]  # mean of 1 and 3; of -3 and -1; no sign has the majority


def test_ties_elects_the_sign_after_the_weights_are_applied() -> None:
    items = [Weighted(Fake({0: 1.0}), 5.0), Weighted(Fake({0: -3.0}), 1.0)]
    assert dense(merge(items, "w", SIZE, Method("ties", trim=0.0)))[0] == 5.0


def test_ties_trims_a_share_of_each_sfts_own_entries() -> None:
    small, large = Fake({i: 0.001 * (i + 1) for i in range(10)}), Fake({20 + i: 10.0 + i for i in range(10)})
    merged = merge([Weighted(small), Weighted(large)], "w", SIZE, Method("ties", trim=0.3))
    assert merged.positions.tolist() == [*range(3, 10), *range(23, 30)]


def test_trimming_keeps_the_first_of_equal_entries() -> None:
    merged = merge([Weighted(Fake(dict.fromkeys(range(10), 1.0)))], "w", SIZE, Method("ties", trim=0.4))
    assert merged.positions.tolist() == list(range(6))


def test_dare_is_the_same_for_the_same_seed_and_another_for_another() -> None:
    item = [Weighted(Fake(dict.fromkeys(range(SIZE), 1.0)))]
    one, again, other = (merge(item, "w", SIZE, Method("dare", drop=0.5, seed=seed)) for seed in (1, 1, 2))
    assert one.positions.tolist() == again.positions.tolist() != other.positions.tolist()
    assert set(one.values) == {2.0}


def test_dare_drops_an_sfts_entries_whatever_it_is_added_to() -> None:
    first, second = Fake(dict.fromkeys(range(20), 1.0)), Fake(dict.fromkeys(range(20, 40), 1.0))
    alone = merge([Weighted(first)], "w", SIZE, Method("dare"))
    together = merge([Weighted(second), Weighted(first)], "w", SIZE, Method("dare"))
    assert alone.positions.tolist() == [at for at in together.positions.tolist() if at < 20]


@pytest.mark.parametrize("name", ["sum", "ties", "dare"])
@given(parts=several)
@settings(max_examples=25, deadline=None)
def test_every_method_gives_sorted_positions_without_zeros(name: Literal["sum", "ties", "dare"], parts: Any) -> None:
    items = [Weighted(Fake(entries, str(number)), weight) for number, (entries, weight) in enumerate(parts)]
    merged = merge(items, "w", SIZE, Method(name))
    assert (np.diff(merged.positions) > 0).all()
    assert merged.values.all()


@pytest.mark.parametrize("settings", [{"name": "slerp"}, {"trim": 1.0}, {"trim": 1.5}, {"drop": -0.1}])
def test_settings_that_mean_nothing_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(SettingsError):
        Method(**settings)


@pytest.mark.parametrize(("dtype", "digits"), [(np.dtype(np.float16), 11), (BFLOAT16, 8)], ids=["float16", "bfloat16"])
def test_a_sum_just_above_the_middle_of_two_half_numbers_is_rounded_up(dtype: np.dtype[Any], digits: int) -> None:
    above_the_middle = np.array([2.0**-digits * (1 + 2.0**-20)])
    moved = added(np.ones(1, dtype), above_the_middle, "w")
    assert float(moved[0]) == 1 + 2.0 ** (1 - digits)  # by way of float32 it would be 1


@given(st.sets(st.integers(0, 59)), st.sampled_from([(60,), (12, 5), (3, 4, 5), (1, 60), (60, 1)]), st.integers(1, 70))
@settings(max_examples=80, deadline=None)
def test_an_sft_in_memory_is_walked_through_as_its_entries(at: set[int], shape: tuple[int, ...], step: int) -> None:
    positions = np.array(sorted(at), np.int64)
    values = (positions % 3).astype(np.float32)  # a stored 0 is no entry
    stream = RowStream(to_csr(positions, values, ParameterSpec(shape, "float32"), "w"))
    pieces = [stream.below(stop) for stop in range(step, 60 + step, step)]
    assert np.concatenate([piece[0] for piece in pieces]).tolist() == positions[values != 0].tolist()
    assert np.concatenate([piece[1] for piece in pieces]).tolist() == values[values != 0].tolist()
    assert all((piece[0] < stop).all() for piece, stop in zip(pieces, range(step, 60 + step, step), strict=True))


@pytest.mark.parametrize("holes", [False, True])
def test_stretches_of_any_length_give_every_entry_of_a_file_and_count_them(
    holes: bool, pico_base: Path, tmp_path: Path
) -> None:
    file = SftFile(save_sft(tmp_path / "x.sft", pico_base, k=2000))
    merger = Merger([Weighted(file)], SUM)  # which compares their number with what the file promises
    for name in file.names:
        found = merger.windows(name, file.metadata.parameters[name].size, 13, holes=holes)
        positions = np.concatenate([np.sort(window.positions) for window in found])
        assert positions.tolist() == file.entries(name)[0].tolist()
