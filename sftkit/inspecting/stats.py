"""Entries and magnitudes of one parameter, or of several summed up."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable


@dataclass(frozen=True, slots=True)
class Stats:
    """Entries and magnitudes of a parameter, or of several together.

    Attributes:
        name: the parameter, layer or kind.
        shape: the parameter's shape; of several, the number of their elements in brackets.
        nnz: entries.
        l1: sum of |φ|.
        l2: Euclidean norm of φ.
        max_abs: largest |φ|; 0 where there are no entries.
    """

    name: str
    shape: tuple[int, ...]
    nnz: int
    l1: float
    l2: float
    max_abs: float

    @property
    def size(self) -> int:
        """Number of elements."""
        return math.prod(self.shape)

    @property
    def density(self) -> float:
        """Entries as a share of the elements."""
        return self.nnz / self.size if self.size else 0.0

    @property
    def mean_abs(self) -> float:
        """Mean |φ| of the entries."""
        return self.l1 / self.nnz if self.nnz else 0.0

    def document(self) -> dict[str, Any]:
        """The keys that ``--json`` promises."""
        return {
            "name": self.name, "shape": list(self.shape), "nnz": self.nnz, "density": self.density,
            "l1": self.l1, "l2": self.l2, "max_abs": self.max_abs,
        }  # fmt: skip


def combined(name: str, parts: Iterable[Stats]) -> Stats:
    """Several parameters' statistics as one."""
    parts = list(parts)
    return Stats(
        name,
        (sum(part.size for part in parts),),
        sum(part.nnz for part in parts),
        math.fsum(part.l1 for part in parts),
        math.hypot(*(part.l2 for part in parts)),
        max((part.max_abs for part in parts), default=0.0),
    )


def grouped(parameters: Iterable[Stats], group_of: Callable[[str], str], order: Iterable[str]) -> tuple[Stats, ...]:
    """Statistics summed by what ``group_of`` says of each name, in the given order; empty groups are left out."""
    groups: dict[str, list[Stats]] = {}
    for stats in parameters:
        groups.setdefault(group_of(stats.name), []).append(stats)
    return tuple(combined(name, groups[name]) for name in order if name in groups)
