"""Leaving out part of an SFT's own entries before it is added to others: TIES' trimming and DARE's dropping.

Both look at one SFT alone, so the result does not depend on what it is added to, nor in which order.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

import numpy as np
import xxhash

from sftkit.format.difference import Difference
from sftkit.format.encoding import Positions, Values

#: From a parameter's name and its entries to the entries that stay.
Thinner = Callable[[str, Positions, Values], tuple[Positions, Values]]


def trim(sft: Difference, share: float) -> Thinner:
    """Leave out the smallest entries by magnitude: ``share`` of the SFT's own K, rounded down.

    Exact: of entries with the deciding magnitude those that come first by name, then position, stay. Reads every entry.
    """
    magnitudes = {name: np.abs(sft.entries(name)[1]) for name in sft.names}
    together = np.concatenate([*magnitudes.values(), np.zeros(0, np.float32)])
    left_out = int(Fraction(repr(float(share))) * len(together))  # as it was written: 0.29 of 100 are 29, and not 28
    if not left_out:
        return lambda _, positions, values: (positions, values)
    threshold = np.partition(together, left_out - 1)[left_out - 1]  # the largest that goes, if it were alone
    ties = len(together) - left_out - int(np.count_nonzero(together > threshold))
    stay: dict[str, int] = {}  # of the entries with exactly that magnitude: how many of each parameter stay
    for name, own in magnitudes.items():
        stay[name] = min(ties, int(np.count_nonzero(own == threshold)))
        ties -= stay[name]

    def apply(name: str, positions: Positions, values: Values) -> tuple[Positions, Values]:
        size = np.abs(values)
        kept = size > threshold
        kept[np.flatnonzero(size == threshold)[: stay[name]]] = True
        return positions[kept], values[kept]

    return apply


def drop(digest: str, rate: float, seed: int) -> Thinner:
    """Leave out each entry with probability ``rate``, drawn from (seed, digest, parameter) and nothing else."""

    def apply(name: str, positions: Positions, values: Values) -> tuple[Positions, Values]:
        state = xxhash.xxh3_128_intdigest(f"{seed}\n{digest}\n{name}".encode())
        kept = np.random.Generator(np.random.PCG64(state)).random(len(values)) >= rate
        return positions[kept], values[kept]

    return apply
