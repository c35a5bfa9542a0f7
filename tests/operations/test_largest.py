"""The K largest of differences that are read block by block."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from sftkit.operations import largest
from sftkit.operations.largest import Largest


def run(parameters: dict[str, np.ndarray[Any, Any]], k: int, block: int = 8) -> tuple[Largest, list[tuple[str, int]]]:
    chooser = Largest(k)
    pieces = [
        (n, at, values[at : at + block])
        for n, values in sorted(parameters.items())
        for at in range(0, len(values), block)
    ]
    for _, _, piece in pieces:
        chooser.count(piece)
    if chooser.crowded:
        for _, _, piece in pieces:
            chooser.refine(piece)
    for name, start, piece in pieces:
        chooser.collect(name, start, piece)
    found = chooser.result()
    for name, (positions, values) in found.items():
        assert parameters[name][positions].tobytes() == values.tobytes()
    return chooser, [(name, int(at)) for name, (positions, _) in sorted(found.items()) for at in positions]


def reference(parameters: dict[str, np.ndarray[Any, Any]], k: int) -> list[tuple[str, int]]:
    every = [(-abs(float(v)), name, at) for name, values in parameters.items() for at, v in enumerate(values) if v != 0]
    return sorted((name, at) for _, name, at in sorted(every)[:k])


values = hnp.arrays(
    np.float32, st.integers(0, 40), elements=st.sampled_from([0.0, -0.0, 1e-40, -1.0, 1.0, 1.001, -2.5, 3e38])
)


@pytest.mark.parametrize("most_candidates", [largest._MOST_CANDIDATES, 0], ids=["two passes", "three passes"])
@given(a=values, b=values, k=st.integers(1, 60))
@settings(max_examples=80, deadline=None)
def test_the_choice_is_that_of_a_full_sort(most_candidates: int, a: Any, b: Any, k: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(largest, "_MOST_CANDIDATES", most_candidates)
        _, found = run({"a": a, "b": b}, k)
    assert found == reference({"a": a, "b": b}, k)


def test_ties_go_to_the_lowest_position_by_name_then_place() -> None:
    _, found = run({"a": np.ones(20, np.float32), "b": np.ones(20, np.float32)}, 25)
    assert found == [("a", at) for at in range(20)] + [("b", at) for at in range(5)]


def test_zeros_are_never_chosen() -> None:
    chooser, found = run({"a": np.array([0, 1, 0, -2], np.float32)}, 3)
    assert found == [("a", 1), ("a", 3)]
    assert chooser.moved == 2
