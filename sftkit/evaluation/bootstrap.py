"""Bootstrap intervals of metrics, and the paired test of two systems (Efron 1979; Koehn 2004; Berg-Kirkpatrick 2012).

Examples are drawn with replacement, as many as there are; each draw's metrics follow from the examples' counts, so
nothing is predicted again. Says how far the choice of examples matters, and nothing of the choice of seeds.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sftkit.tasks.tally import Tally

Interval = tuple[float, float]
#: Metric -> its value in every draw, float64 ``[draws]``.
Draws = dict[str, NDArray[np.float64]]


def draws(tally: Tally, count: int, seed: int) -> Draws:
    """Each metric in ``count`` draws. Two tallies of the same number of examples, with one seed, get the same draws."""
    generator, examples = np.random.default_rng(seed), len(tally.counts)
    return tally.drawn(np.bincount(generator.integers(0, examples, examples), minlength=examples) for _ in range(count))


def intervals(drawn: Draws) -> dict[str, Interval]:
    """The 95 % percentile interval of each metric."""
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
