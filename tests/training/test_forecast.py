"""How much time is left, by a clock that the test turns."""

from __future__ import annotations

import pytest

from sftkit.training.forecast import Forecast, PlannedPhase, planned_phases
from tests.training.plans import plan


class Clock:
    """Stands still until it is turned."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def run(forecast: Forecast, clock: Clock, steps: int, seconds: float) -> None:
    """Steps of so many seconds each, the first two of which are slow."""
    for step in range(1, steps + 1):
        clock.now += seconds * (10 if step <= 2 else 1)
        forecast.step(step)


def score(forecast: Forecast, clock: Clock, seconds: float) -> None:
    """An evaluation."""
    forecast.evaluating()
    clock.now += seconds
    forecast.evaluated()


def test_what_is_left_is_steps_and_evaluations_of_both_phases() -> None:
    clock = Clock()
    forecast = Forecast([PlannedPhase("phase 1", 100), PlannedPhase("phase 2", 200)], 50, clock)
    forecast.phase()
    score(forecast, clock, 3.0)
    assert forecast.left() is None
    run(forecast, clock, 20, 0.5)
    assert forecast.left() == pytest.approx(80 * 0.5 + 200 * 0.5 + (2 + 4) * 3.0)
    assert (forecast.measured("phase 1"), forecast.measured("phase 2")) == (True, False)


def test_a_run_of_a_step_or_two_is_counted_by_these() -> None:
    clock = Clock()
    forecast = Forecast([PlannedPhase("phase 1", 2), PlannedPhase("phase 2", 2)], 50, clock)
    forecast.phase()
    run(forecast, clock, 1, 0.5)
    assert forecast.left() == pytest.approx(5.0 + 2 * 5.0)


def test_phase_2_is_counted_by_its_own_steps_once_they_are_measured() -> None:
    clock = Clock()
    forecast = Forecast([PlannedPhase("phase 1", 10), PlannedPhase("phase 2", 10)], 100, clock)
    forecast.phase()
    run(forecast, clock, 10, 2.0)
    forecast.phase()
    run(forecast, clock, 5, 1.0)
    assert forecast.left() == pytest.approx(5 * 1.0)


def test_the_time_of_an_evaluation_is_not_the_next_step_s() -> None:
    clock = Clock()
    forecast = Forecast([PlannedPhase("phase 2", 10)], 5, clock)
    forecast.phase()
    run(forecast, clock, 5, 1.0)
    score(forecast, clock, 60.0)
    clock.now += 1.0
    forecast.step(6)
    assert forecast.step_seconds("phase 2") == pytest.approx(1.0)
    assert forecast.left() == pytest.approx(4 * 1.0 + 60.0)


def test_a_phase_that_goes_on_from_a_checkpoint_is_counted_from_there() -> None:
    clock = Clock()
    forecast = Forecast([PlannedPhase("phase 2", 100)], 10, clock)
    forecast.phase()
    for step in range(81, 91):
        clock.now += 1.0
        forecast.step(step)
    assert forecast.left() == pytest.approx(10.0)


def test_rounds_and_densities_are_phases_too() -> None:
    each = planned_phases(plan(steps1=10, steps2=20, sizes=(5, 6), rounds=3))
    assert [(part.kind, part.steps) for part in each] == [
        ("phase 1", 10), *[("phase 2", 10)] * 4, ("phase 2", 20), ("phase 2", 20),
    ]  # fmt: skip
    assert [part.steps for part in planned_phases(plan(steps1=0, steps2=20))] == [20]


def test_evaluations_are_every_so_often_and_at_the_end() -> None:
    forecast = Forecast([PlannedPhase("phase 2", 25)], 10, Clock())
    assert [forecast.evaluations(25, done) for done in (0, 10, 15, 20, 24)] == [3, 2, 2, 1, 1]
    assert forecast.evaluations_in_all == 4
    assert forecast.evaluations(20, 20) == 0
