"""What compose and subtract say of what they did."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from sftkit.algebra.arithmetic import Weighted


@dataclass(frozen=True)
class ArithmeticReport:
    """What compose or subtract did.

    Attributes:
        output: where the result is; None for a dry run.
        sfts: path, weight and k of each SFT, as they were given.
        entries: positions changed, or entries of the SFT that was written.
        overlap: positions that more than one SFT changes.
        sign_conflicts: those of them where the signs differ.
        head: whose head the result has.
        notes: what the user may want to know.
        lost: entries that rounding took away entirely.
        exact: whether no number was rounded and nothing left out.
        extra: further keys of the JSON document.
    """

    output: str | None
    sfts: tuple[dict[str, Any], ...]
    entries: int
    overlap: int
    sign_conflicts: int
    head: dict[str, Any] | None = None
    notes: tuple[str, ...] = ()
    lost: int = 0
    exact: bool = True
    extra: dict[str, Any] = field(default_factory=dict)

    def document(self) -> dict[str, Any]:
        """The document that ``--json`` prints."""
        return {
            "output": self.output, "sfts": list(self.sfts), "entries": self.entries, "overlap": self.overlap,
            "sign_conflicts": self.sign_conflicts, "head": self.head, "lost": self.lost, "exact": self.exact,
            "notes": list(self.notes), **self.extra,
        }  # fmt: skip


def uses(weighted: Sequence[Weighted]) -> tuple[dict[str, Any], ...]:
    """Path, weight and K of each SFT, as given."""
    return tuple({"path": item.path, "weight": item.weight, "k": item.sft.metadata.k} for item in weighted)
