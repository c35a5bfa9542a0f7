"""Scores as tables: one evaluation, or a row a language with the average below, as the paper's Table 5; and systems."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from sftkit.cli.show import render
from sftkit.cli.show.layout import short_path
from sftkit.cli.show.render import Column

if TYPE_CHECKING:
    from sftkit.evaluation.bootstrap import Interval
    from sftkit.evaluation.grid import Grid
    from sftkit.evaluation.run import Comparison, Evaluation


def show(added: Sequence[str], found: Evaluation | Grid) -> None:
    """What was found, as a table.

    Args:
        added: the model and the SFTs that were scored, as they were given.
        found: their scores.
    """
    from sftkit.evaluation.grid import Grid

    title = " + ".join(map(short_path, added))
    if isinstance(found, Grid):
        _show_grid(title, found)
    else:
        _show_evaluation(title, found)


def _show_evaluation(title: str, found: Evaluation) -> None:
    """One evaluation: its metrics, and what the objective has to say beside."""
    cells = _cells(found.metrics, found.intervals, found.against)
    columns = [Column("data"), Column("examples", True), *_columns(found.metrics, found.against)]
    render.table(
        title, columns, [(", ".join(map(short_path, found.data)), f"{found.examples:,}", *cells)],
        caption=_caption(found.intervals, found.against),
    )  # fmt: skip
    _show_details(found.details)


def _show_grid(title: str, grid: Grid) -> None:
    """A row a language, and the average; of several systems a column each, in a table for each metric."""
    from sftkit.evaluation.report import OWN, compared

    caption = _caption(next(iter(grid.systems.values())).intervals, compared(grid).get("average"), _runs(grid))
    if OWN not in grid.systems:
        _show_systems(title, grid, caption)
        return
    system, against = grid.systems[OWN], compared(grid)
    rows: list[tuple[str, ...]] = [
        (name, f"{one.examples:,}", *_cells(one.metrics, one.intervals, against.get(name)))
        for name, one in system.languages.items()
    ]
    rows.append(("average", "", *_cells(system.average, system.intervals, against.get("average"))))
    columns = [Column("language"), Column("examples", True), *_columns(system.average, against.get("average"))]
    render.table(title, columns, rows, caption=caption)


def _show_systems(title: str, grid: Grid, caption: str) -> None:
    systems = grid.systems.values()
    first = next(iter(systems))
    columns = [Column("language"), Column("examples", True), *(Column(name, True) for name in grid.systems)]
    for metric in first.average:
        rows = [
            (name, f"{one.examples:,}", *(_score(system.languages[name], metric) for system in systems))
            for name, one in first.languages.items()
        ]
        rows.append(("average", "", *(_with_interval(each.average, each.intervals, metric) for each in systems)))
        render.table(f"{title}: {metric}", columns, rows, caption=caption)
    if not grid.pairs:
        return
    rows = [(f"{pair.first} − {pair.second}", *_cells_of_difference(pair.average)) for pair in grid.pairs]
    columns = [Column("systems"), *(Column(name, True) for metric in first.average for name in (metric, "p"))]
    told = "p: paired bootstrap, two-sided" if first.drawn else ""
    more = ", not corrected for the number of comparisons; by language: --json" if told and len(rows) > 1 else ""
    render.table("differences of the averages", columns, rows, caption=told + more)


def _runs(grid: Grid) -> str:
    """Of how many runs scores are means."""
    counts = sorted({len(system.seeds) for system in grid.systems.values() if system.seeds})
    if not counts:
        return ""
    return f"means of {' to '.join(map(str, counts[:: max(1, len(counts) - 1)]))} seed{'s' * (counts[-1] > 1)}"


def _score(found: Evaluation, metric: str) -> str:
    return _with_interval(found.metrics, found.intervals, metric)


def _cells_of_difference(found: Comparison) -> list[str]:
    cells = []
    for metric, value in found.difference.items():
        low_high = "[{:+.4f}, {:+.4f}]".format(*found.intervals[metric]) if metric in found.intervals else ""
        cells += [f"{value:+.4f} {low_high}".rstrip(), f"{found.p[metric]:.3g}" if metric in found.p else "–"]
    return cells


def _show_details(details: Mapping[str, Any]) -> None:
    """Tables of what is more than one number: ``details`` maps a title to rows under their headings."""
    for title, rows in details.items():
        if not rows:
            continue
        columns = [Column(name, number=i > 0) for i, name in enumerate(rows[0])]
        render.table(title, columns, [[_cell(value) for value in row.values()] for row in rows])


def _columns(metrics: Mapping[str, float], against: Comparison | None) -> list[Column]:
    compared = ("against", "p") if against is not None else ()
    return [Column(name, True) for metric in metrics for name in (metric, *compared)]


def _cells(metrics: Mapping[str, float], intervals: Mapping[str, Interval], against: Comparison | None) -> list[str]:
    cells = []
    for name in metrics:
        cells.append(_with_interval(metrics, intervals, name))
        if against is not None:
            cells += [f"{against.metrics[name]:.4f}", f"{against.p[name]:.3g}" if name in against.p else "–"]
    return cells


def _with_interval(metrics: Mapping[str, float], intervals: Mapping[str, Interval], name: str) -> str:
    low_high = "[{:.4f}, {:.4f}]".format(*intervals[name]) if name in intervals else ""
    return f"{metrics[name]:.4f} {low_high}".rstrip()


def _cell(value: object) -> str:
    return f"{value:.4f}" if isinstance(value, float) else str(value)


def _caption(intervals: Mapping[str, Interval], against: Comparison | None, runs: str = "") -> str:
    parts = [runs] if runs else []
    if intervals:
        parts.append("[95 % bootstrap interval]")
    if against is not None and against.p:
        parts.append("p: paired bootstrap, two-sided")
    return "; ".join(parts)
