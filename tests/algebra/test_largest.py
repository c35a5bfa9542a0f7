"""The K largest of differences that are read block by block."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from sftkit.algebra import largest
from sftkit.algebra.largest import Block, choose_largest


def run(
    parameters: dict[str, np.ndarray[Any, Any]], k: int, sample: np.ndarray[Any, Any] | None = None
) -> tuple[int, list[tuple[str, int]]]:
    """How many moved, and the places of the chosen, by blocks of 8."""
    total = sum(map(len, parameters.values()))

    def blocks() -> Iterator[Block]:
        for name, values in sorted(parameters.items()):
            for at in range(0, len(values), 8):
                yield name, at, values[at : at + 8]

    chosen = choose_largest(blocks, k, np.zeros(0, np.float32) if sample is None else sample, total)
    for name, (positions, values) in chosen.entries.items():
        assert parameters[name][positions].tobytes() == values.tobytes()
    return chosen.moved, [(name, int(at)) for name, (places, _) in sorted(chosen.entries.items()) for at in places]


def reference(parameters: dict[str, np.ndarray[Any, Any]], k: int) -> list[tuple[str, int]]:
    every = [(-abs(float(v)), name, at) for name, values in parameters.items() for at, v in enumerate(values) if v != 0]
    return sorted((name, at) for _, name, at in sorted(every)[:k])


values = hnp.arrays(
    np.float32, st.integers(0, 40), elements=st.sampled_from([0.0, -0.0, 1e-40, -1.0, 1.0, 1.001, -2.5, 3e38])
)


MISLEADING = np.full(4000, 1e30, np.float32)


@pytest.mark.parametrize("most_surplus", [largest._MOST_SURPLUS, -200], ids=["roomy", "cramped"])
@pytest.mark.parametrize("sample", [None, MISLEADING], ids=["no sample", "misleading sample"])
@given(a=values, b=values, k=st.integers(1, 60))
@settings(max_examples=60, deadline=None)
def test_the_choice_is_that_of_a_full_sort(most_surplus: int, sample: Any, a: Any, b: Any, k: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(largest, "_MOST_SURPLUS", most_surplus)
        patch.setattr(largest._collect, "__defaults__", (None, most_surplus))
        moved, found = run({"a": a, "b": b}, k, sample)
    assert found == reference({"a": a, "b": b}, k)
    assert moved == np.count_nonzero(a) + np.count_nonzero(b)


def test_a_sample_that_is_like_the_whole_saves_the_other_passes() -> None:
    passes, values = 0, np.random.default_rng(0).standard_normal(100_000).astype(np.float32)

    def blocks() -> Iterator[Block]:
        nonlocal passes
        passes += 1
        yield "w", 0, values

    chosen = choose_largest(blocks, 5_000, values[::10], len(values))
    assert len(chosen.entries["w"][0]) == 5_000
    assert passes == 1


def test_ties_go_to_the_lowest_position_by_name_then_place() -> None:
    _, found = run({"a": np.ones(20, np.float32), "b": np.ones(20, np.float32)}, 25)
    assert found == [("a", at) for at in range(20)] + [("b", at) for at in range(5)]


def test_zeros_are_never_chosen() -> None:
    moved, found = run({"a": np.array([0, 1, 0, -2], np.float32)}, 3)
    assert found == [("a", 1), ("a", 3)]
    assert moved == 2
