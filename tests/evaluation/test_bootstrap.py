"""Intervals and paired tests, on counts made by hand."""

from __future__ import annotations

import numpy as np
import pytest

from sftkit.evaluation.bootstrap import draws, intervals, p_values
from sftkit.tasks.tally import Tally, accuracy, precision_recall_f1


def tally(right: list[int]) -> Tally:
    return Tally(np.column_stack([right, np.ones(len(right))]).astype(np.float64), accuracy)


def test_an_interval_is_as_wide_as_the_binomial_one() -> None:
    low, high = intervals(draws(tally([1] * 300 + [0] * 100), 4000, seed=1))["accuracy"]
    spread = 1.96 * np.sqrt(0.75 * 0.25 / 400)
    assert [low, high] == pytest.approx([0.75 - spread, 0.75 + spread], abs=0.01)


def test_a_system_that_is_always_right_has_no_spread() -> None:
    assert intervals(draws(tally([1] * 50), 100, seed=1)) == {"accuracy": (1.0, 1.0)}


def test_two_equal_systems_differ_with_p_1() -> None:
    drawn = draws(tally([0, 1, 1, 0]), 200, seed=3)
    assert p_values(drawn, drawn, {"accuracy": 0.0}) == {"accuracy": 1.0}


def test_a_system_that_is_right_on_half_more_of_the_examples_is_better_for_certain() -> None:
    first, second = draws(tally([1] * 100), 500, seed=3), draws(tally([1, 0] * 50), 500, seed=3)
    assert p_values(first, second, {"accuracy": 0.5})["accuracy"] == pytest.approx(1 / 501)


def test_p_of_a_difference_that_chance_makes_is_that_of_the_sign_test() -> None:
    first, second = [1] * 60 + [0] * 40, [1] * 50 + [0] * 50
    first[50:60], second[50:60] = [1] * 6 + [0] * 4, [0] * 6 + [1] * 4  # 10 examples differ, 6 to 4
    difference = {"accuracy": 0.02}
    p = p_values(draws(tally(first), 4000, seed=5), draws(tally(second), 4000, seed=5), difference)["accuracy"]
    assert 0.4 < p < 0.8  # of a normal with standard deviation 3.1 examples, 2 or more off: 0.53


def test_a_ratio_of_sums_is_not_a_mean_of_ratios() -> None:
    counts = np.array([[1, 1, 1], [0, 9, 9]], np.float64)
    assert Tally(counts, precision_recall_f1).scores() == {"precision": 0.1, "recall": 0.1, "f1": 0.1}
