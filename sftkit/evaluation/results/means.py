"""Means over runs and languages, their intervals, and paired tests, by Student's t.

What counts as one observation is a seed: its mean over the languages. With one seed it is a language.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtr, stdtrit

#: (language, seed) -> value.
Values = Mapping[tuple[str, str], float]


@dataclass(frozen=True)
class Mean:
    """A mean with its 95 % interval; both ends are None of one observation.

    Attributes:
        value: the mean.
        low, high: the interval's ends.
        over: what the observations are: "seeds" or "languages".
        count: how many.
        p: of the mean being 0, two-sided; None of one observation.
    """

    value: float
    low: float | None
    high: float | None
    over: str
    count: int
    p: float | None = None

    def document(self) -> dict[str, Any]:
        """For ``--json``."""
        return {"mean": self.value, "low": self.low, "high": self.high, "over": self.over, "count": self.count}


def mean(values: Values, units: Collection[tuple[str, str]]) -> Mean:
    """The mean over some languages and seeds.

    The interval is that of t: ``m ± t(0.975, n - 1) · s / sqrt(n)`` for n observations with standard deviation s.
    """
    over, observed = _observed(values, units)
    count, middle = len(observed), float(observed.mean())
    if count < 2:
        return Mean(middle, None, None, over, count)
    error = float(observed.std(ddof=1)) / count**0.5
    reach = float(stdtrit(count - 1, 0.975)) * error
    return Mean(middle, middle - reach, middle + reach, over, count, _p(middle, error, count))


def difference(first: Values, second: Values, units: Collection[tuple[str, str]]) -> Mean:
    """First less second, paired: the same languages and seeds of both (the paired t test)."""
    return mean({unit: first[unit] - second[unit] for unit in units}, units)


def _observed(values: Values, units: Collection[tuple[str, str]]) -> tuple[str, NDArray[np.float64]]:
    by_seed: dict[str, list[float]] = {}
    for unit in units:
        by_seed.setdefault(unit[1], []).append(values[unit])
    if len(by_seed) > 1:
        return "seeds", np.array([np.mean(each) for each in by_seed.values()])
    return "languages", np.array([values[unit] for unit in units])


def _p(middle: float, error: float, count: int) -> float:
    if error <= 1e-12 * max(1.0, abs(middle)):  # no spread at all, but for rounding
        return 1.0 if abs(middle) <= 1e-12 else 0.0
    return float(2 * stdtr(count - 1, -abs(middle / error)))
