"""Bootstrap intervals of metrics, and the paired test of two systems (Efron 1979; Koehn 2004; Berg-Kirkpatrick 2012).

Examples are drawn with replacement, as many as there are; each draw's metrics follow from the examples' counts, so
nothing is predicted again. Where a system was trained with several seeds, those are drawn, too (:func:`over_seeds`);
with one, the intervals say how far the choice of examples matters, and nothing of that of seeds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

from sftkit.tasks.tally import Tally

Interval = tuple[float, float]
#: Metric -> its value in every draw, float64 ``[draws]``.
Draws = dict[str, NDArray[np.float64]]
#: Metrics that may be above 1.
_UNBOUNDED = ("loss", "perplexity")
#: Metrics that may be below 0: correlations.
_SIGNED = ("spearman", "pearson")


def draws(tally: Tally, count: int, seed: int) -> Draws:
    """Each metric in ``count`` draws. Two tallies of the same number of examples, with one seed, get the same draws."""
    generator, examples = np.random.default_rng(seed), len(tally.counts)
    return tally.drawn(np.bincount(generator.integers(0, examples, examples), minlength=examples) for _ in range(count))


def over_seeds(each: Sequence[Draws], scores: Sequence[Mapping[str, float]], seed: int) -> Draws:
    """The mean over a system's runs, in every draw of examples and of runs.

    All runs of a draw have the same examples. What drawing the runs anew changes in the mean of their scores is added,
    times ``sqrt(n / (n - 1)) · t / z`` with the 97.5 % quantiles of Student's t with n - 1 degrees of freedom and of
    the normal distribution: a plain bootstrap of so few runs is too narrow (Hesterberg 2015, section 5.3). Systems with
    as many runs get the same draws of them: they are compared in pairs.

    Args:
        each: the metrics of each run in the draws of examples.
        scores: the metrics of each run over all examples.
        seed: of the draws of runs.
    """
    runs = len(each)
    if runs < 2 or not each[0]:
        return each[0]
    count = len(next(iter(each[0].values())))
    chosen = np.random.default_rng([seed, runs]).integers(0, runs, (count, runs))
    weights = np.stack([(chosen == run).mean(1) for run in range(runs)], axis=1) - 1 / runs
    weights *= np.sqrt(runs / (runs - 1)) * stdtrit(runs - 1, 0.975) / stdtrit(np.inf, 0.975)
    return {
        name: np.mean([drawn[name] for drawn in each], axis=0) + weights @ np.array([own[name] for own in scores])
        for name in each[0]
    }


def intervals(drawn: Draws) -> dict[str, Interval]:
    """The 95 % percentile interval of each metric, within what it can be."""
    return {
        name: (max(low, -1.0 if name in _SIGNED else 0.0), high if name in _UNBOUNDED else min(high, 1.0))
        for name, (low, high) in percentiles(drawn).items()
    }


def percentiles(drawn: Draws) -> dict[str, Interval]:
    """Between which values 95 % of the draws lie."""
    return {
        name: (float(np.quantile(values, 0.025)), float(np.quantile(values, 0.975))) for name, values in drawn.items()
    }


def p_values(first: Draws, second: Draws, observed: dict[str, float]) -> dict[str, float]:
    """Two-sided: how often a difference as large as the observed one comes up among draws, were the true one 0.

    Args:
        first: a system's metrics.
        second: another's, in the same draws.
        observed: first less second over all examples.

    Returns:
        (1 + draws with ``|d - observed| >= |observed|``) / (1 + draws), by metric.
    """
    result = {}
    for name, difference in observed.items():
        strayed = np.abs(first[name] - second[name] - difference) >= abs(difference)
        result[name] = float((1 + np.count_nonzero(strayed)) / (1 + len(strayed)))
    return result
