"""Scores as tables: one evaluation, or a row a language with the average below, as the paper's Table 5."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from sftkit.cli import _render
from sftkit.cli._render import Column

if TYPE_CHECKING:
    from sftkit.evaluation.bootstrap import Interval
    from sftkit.evaluation.grid import Grid
    from sftkit.evaluation.run import Comparison, Evaluation


def show(title: str, found: Evaluation | Grid) -> None:
    """What was found, as a table."""
    from sftkit.evaluation.grid import Grid

    if isinstance(found, Grid):
        _show_grid(title, found)
    else:
        _show_evaluation(title, found)


def _show_evaluation(title: str, found: Evaluation) -> None:
    """One evaluation: its metrics, and what the objective has to say beside."""
    cells = _cells(found.metrics, found.intervals, found.against)
    columns = [Column("data"), Column("examples", True), *_columns(found.metrics, found.against)]
    _render.table(
        title, columns, [(", ".join(found.data), f"{found.examples:,}", *cells)],
        caption=_caption(found.intervals, found.against),
    )  # fmt: skip
    _show_details(found.details)


def _show_grid(title: str, grid: Grid) -> None:
    """A row a language, and the average."""
    rows: list[tuple[str, ...]] = [
        (name, f"{one.examples:,}", *_cells(one.metrics, one.intervals, one.against))
        for name, one in grid.languages.items()
    ]
    rows.append(("average", "", *_cells(grid.average, grid.intervals, grid.against)))
    columns = [Column("language"), Column("examples", True), *_columns(grid.average, grid.against)]
    _render.table(title, columns, rows, caption=_caption(grid.intervals, grid.against))


def _show_details(details: Mapping[str, Any]) -> None:
    """Tables of what is more than one number: ``details`` maps a title to rows under their headings."""
    for title, rows in details.items():
        if not rows:
            continue
        columns = [Column(name, number=i > 0) for i, name in enumerate(rows[0])]
        _render.table(title, columns, [[_cell(value) for value in row.values()] for row in rows])


def _columns(metrics: Mapping[str, float], against: Comparison | None) -> list[Column]:
    compared = ("against", "p") if against is not None else ()
    return [Column(name, True) for metric in metrics for name in (metric, *compared)]


def _cells(metrics: Mapping[str, float], intervals: Mapping[str, Interval], against: Comparison | None) -> list[str]:
    cells = []
    for name, value in metrics.items():
        low_high = "[{:.4f}, {:.4f}]".format(*intervals[name]) if name in intervals else ""
        cells.append(f"{value:.4f} {low_high}".rstrip())
        if against is not None:
            cells += [f"{against.metrics[name]:.4f}", f"{against.p[name]:.3g}" if name in against.p else "–"]
    return cells


def _cell(value: object) -> str:
    return f"{value:.4f}" if isinstance(value, float) else str(value)


def _caption(intervals: Mapping[str, Interval], against: Comparison | None) -> str:
    parts = ["[95 % bootstrap interval]"] if intervals else []
    if against is not None and against.p:
        parts.append("p: paired bootstrap, two-sided")
    return "; ".join(parts)
