"""What an evaluation looks like in a notebook."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sftkit.inspecting.pictures.html import table

if TYPE_CHECKING:
    from sftkit.evaluation.bootstrap import Interval
    from sftkit.evaluation.run import Evaluation


def as_html(found: Evaluation) -> str:
    """Small tables, for notebooks: the metrics, and rows under their headings for each of the details."""
    other = found.against
    headings = ["metric", "score", "95 % interval", *(["against", "difference", "p"] if other else [])]
    rows = [
        [
            name, f"{value:.4f}", _span(found.intervals.get(name)),
            *([f"{other.metrics[name]:.4f}", f"{other.difference[name]:+.4f}", _p(other.p.get(name))] if other else []),
        ]
        for name, value in found.metrics.items()
    ]  # fmt: skip
    made = [table(headings, rows, f"{', '.join(found.data)}: {found.examples:,} examples")]
    for title, each in found.details.items():
        if isinstance(each, list) and each:
            made.append(table(list(each[0]), [list(map(_cell, row.values())) for row in each], title))
    return "".join(made)


def _span(interval: Interval | None) -> str:
    return "" if interval is None else f"{interval[0]:.4f} to {interval[1]:.4f}"


def _p(value: float | None) -> str:
    return "–" if value is None else f"{value:.3g}"


def _cell(value: object) -> str:
    return f"{value:.4f}" if isinstance(value, float) else str(value)
