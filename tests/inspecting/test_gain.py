"""What a training record says of a run that was for nothing."""

from __future__ import annotations

from typing import Any

import pytest

from sftkit.inspecting.gain import no_gain, worse_than_phase1


def record(
    before: float, after: float, *, metric: str = "loss", lr: float = 5e-5, steps: int = 1000, **more: Any
) -> dict[str, Any]:
    return {
        "start": {"metric": metric, "value": before}, "best": {"step": steps, "metric": metric, "value": after},
        "lr": lr, "history": {"phase2": [[0, before], [steps, after]]}, **more,
    }  # fmt: skip


@pytest.mark.parametrize(("before", "after", "metric"), [(5.0, 4.9, "loss"), (0.3, 0.31, "accuracy")])
def test_a_run_that_gained_is_not_spoken_of(before: float, after: float, metric: str) -> None:
    assert no_gain(record(before, after, metric=metric)) == ""


@pytest.mark.parametrize(
    ("made", "said"),
    [
        (record(5.0, 1308.0, lr=500.0), "likely too high (500): try --lr 5e-05"),
        (record(5.0, 5.5, lr=1e-4), "likely too high (0.0001): try --lr 1e-05"),
        (record(0.3, 0.2, metric="accuracy", lr=1.0), "likely too high"),
        (record(0.3, 0.3, metric="f1", losses={"phase2": [[500, 1.0], [1000, 9.0]]}), "likely too high"),
        (record(0.3, 0.3, metric="las", steps=12), "12 steps are likely too few"),
        (record(2.0, 2.001), "nothing that the base does not know"),
    ],
)
def test_the_likely_cause_and_what_to_try_are_named(made: dict[str, Any], said: str) -> None:
    told = no_gain(made)
    assert "nothing was gained" in told
    assert said in told


@pytest.mark.parametrize(
    "odd", [{}, {"start": None, "best": {"step": 1, "metric": "loss", "value": 2.0}}, {"start": 3, "best": 4}]
)
def test_a_record_without_a_start_says_nothing(odd: dict[str, Any]) -> None:
    assert no_gain(odd) == ""


def test_a_record_of_another_program_is_judged_as_far_as_it_goes() -> None:
    told = no_gain({"start": {"value": 1.0}, "best": {"step": 2, "metric": "loss", "value": 3.0}, "lr": "high"})
    assert "likely too high: try a lower one" in told


@pytest.mark.parametrize(
    ("phase1", "phase2", "metric", "told"),
    [
        (4.0, 4.5, "loss", True), (4.0, 4.1, "loss", False), (4.0, 3.0, "loss", False),
        (0.8, 0.7, "accuracy", True), (0.8, 0.79, "accuracy", False), (0.8, 0.9, "accuracy", False),
        (float("nan"), 0.9, "accuracy", False),
    ],
)  # fmt: skip
def test_a_phase_2_that_ends_worse_than_phase_1_is_told_with_what_to_try(
    phase1: float, phase2: float, metric: str, told: bool
) -> None:
    assert ("A larger --k or --density" in worse_than_phase1(phase1, phase2, metric)) is told
