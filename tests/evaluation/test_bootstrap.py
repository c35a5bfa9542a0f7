"""Intervals and paired tests, on counts made by hand."""

from __future__ import annotations

import random

import numpy as np
import pytest

from sftkit.evaluation.bootstrap import Draws, draws, intervals, over_seeds, p_values
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


def together(runs: list[Tally], count: int, seed: int = 1) -> Draws:
    return over_seeds([draws(run, count, seed) for run in runs], [run.scores() for run in runs], seed)


def entities(seed: int, sentences: int = 60) -> Tally:
    """Counts of a run: (right, predicted, gold) in each sentence; the gold ones are the same whatever the seed."""
    gold = np.random.default_rng(0).integers(0, 4, sentences)
    right = np.random.default_rng(seed).binomial(gold, 0.5 + 0.1 * (seed % 4))
    return Tally(np.column_stack([right, gold, gold]).astype(np.float64), precision_recall_f1)


def test_intervals_over_seeds_are_those_of_a_plain_bootstrap_of_sentences_and_runs() -> None:
    runs = [entities(seed) for seed in range(4)]
    scores = [run.scores()["f1"] for run in runs]
    draw, found = random.Random(3), []
    for _ in range(4000):
        sentences = draw.choices(range(60), k=60)
        means = []
        for run in runs:
            right, predicted, gold = (sum(run.counts[i][which] for i in sentences) for which in range(3))
            precision, recall = right / predicted, right / gold
            means.append(2 * precision * recall / (precision + recall))
        drawn = draw.choices(scores, k=4)
        # 3.182 and 1.960: the 97.5 % quantiles of Student's t with 3 degrees of freedom and of the normal distribution
        shift = (sum(drawn) / 4 - sum(scores) / 4) * (4 / 3) ** 0.5 * 3.182 / 1.960
        found.append(sum(means) / 4 + shift)
    found.sort()
    assert intervals(together(runs, 4000))["f1"] == pytest.approx((found[100], found[-101]), abs=0.012)


def test_runs_that_score_the_same_add_nothing_to_the_interval() -> None:
    run = entities(1)
    assert intervals(together([run] * 3, 500))["f1"] == pytest.approx(intervals(draws(run, 500, 1))["f1"])


def test_one_run_has_the_draws_of_its_examples() -> None:
    run = entities(1)
    assert np.array_equal(together([run], 50)["f1"], draws(run, 50, 1)["f1"])


def test_systems_of_which_one_is_better_by_as_much_with_every_seed_differ_for_certain() -> None:
    rates = (0.5, 0.6, 0.7, 0.8)
    first, second = (
        [tally([1] * round(200 * (rate + more)) + [0] * round(200 * (1 - rate - more))) for rate in rates]
        for more in (0.1, 0.0)
    )
    low, high = intervals(together(first, 500))["accuracy"]
    assert high - low > 0.2  # seeds differ much
    drawn = together(first, 500), together(second, 500)
    assert p_values(*drawn, {"accuracy": 0.1})["accuracy"] < 0.01  # and in pairs not at all


def test_systems_with_other_numbers_of_seeds_are_drawn_apart() -> None:
    runs = [entities(seed) for seed in range(4)]
    shifts = [together(some, 2000)["f1"] - np.mean([draws(run, 2000, 1)["f1"] for run in some], axis=0)
              for some in (runs, runs[:3])]  # fmt: skip
    assert abs(np.corrcoef(*shifts)[0, 1]) < 0.1


def test_shares_stay_between_0_and_1_and_losses_above_0() -> None:
    runs = [tally([1] * 20), tally([1] * 12 + [0] * 8)]
    assert intervals(together(runs, 500))["accuracy"][1] == 1.0
    assert intervals({"loss": np.array([-1.0, 3.0])})["loss"] == pytest.approx((0.0, 2.9))


@pytest.mark.slow
@pytest.mark.long
@pytest.mark.parametrize(
    ("runs", "seeds", "sentences"), [(2, 0.3, 0.5), (3, 0.3, 0.5), (5, 0.3, 0.5), (5, 0.02, 1.5), (10, 0.12, 1.0)]
)
def test_the_true_score_is_in_the_interval_as_often_as_it_says(runs: int, seeds: float, sentences: float) -> None:
    """Runs and sentences of which some are better and easier: a logistic model with a normal effect of each."""
    draw, times = np.random.default_rng(0), 200

    def share(
        run: float, difficulty: np.ndarray[tuple[int], np.dtype[np.float64]]
    ) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
        return 1 / (1 + np.exp(-(0.8 + seeds * run + sentences * difficulty)))

    truth = np.mean([share(run, draw.normal(size=2000)).mean() for run in draw.normal(size=2000)])
    inside = 0
    for i in range(times):
        difficulty = draw.normal(size=300)
        answers = [draw.random(300) < share(run, difficulty) for run in draw.normal(size=runs)]
        low, high = intervals(together([tally([int(a) for a in own]) for own in answers], 400, seed=i))["accuracy"]
        inside += low <= truth <= high
    assert inside / times > 0.92  # of 200, with 95 % at least, for all but one in 35
