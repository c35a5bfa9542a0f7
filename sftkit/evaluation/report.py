"""What an evaluation says, as the JSON document of ``--json`` and the rows of ``--csv``."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sftkit.evaluation.bootstrap import Interval
from sftkit.evaluation.grid import Grid
from sftkit.evaluation.run import Comparison, Evaluation
from sftkit.format.atomic import atomic_file

AVERAGE = "average"


def as_document(objective: str, found: Evaluation | Grid) -> dict[str, Any]:
    """The document that ``evaluate --json`` prints."""
    return _grid(objective, found) if isinstance(found, Grid) else _one(objective, found)


def _one(objective: str, found: Evaluation) -> dict[str, Any]:
    made: dict[str, Any] = {
        "objective": objective,
        "data": list(found.data),
        "examples": found.examples,
        "metrics": found.metrics,
        "intervals": _intervals(found.intervals),
    }
    if found.against is not None:
        made["against"] = _comparison(found.against)
    return made | ({"details": found.details} if found.details else {})


def _grid(objective: str, grid: Grid) -> dict[str, Any]:
    each = grid.languages
    made: dict[str, Any] = {
        "objective": objective,
        "data": {name: list(one.data) for name, one in each.items()},
        "examples": {name: one.examples for name, one in each.items()},
        "languages": {name: one.metrics for name, one in each.items()},
        "average": grid.average,
        "intervals": {name: _intervals(one.intervals) for name, one in each.items()}
        | {AVERAGE: _intervals(grid.intervals)},
    }
    if grid.against is not None:
        compared = {name: one.against for name, one in each.items()} | {AVERAGE: grid.against}
        made["against"] = {name: _comparison(one) for name, one in compared.items() if one is not None}
    details = {name: one.details for name, one in each.items() if one.details}
    return made | ({"details": details} if details else {})


def _intervals(found: Mapping[str, Interval]) -> dict[str, list[float]]:
    return {name: list(interval) for name, interval in found.items()}


def _comparison(found: Comparison) -> dict[str, Any]:
    return {"metrics": found.metrics, "difference": found.difference, "p": found.p}


def write_csv(path: Path, found: Evaluation | Grid, *, overwrite: bool = False) -> None:
    """A row a language (or the one evaluation), with its metrics, their intervals, and the comparison.

    Raises:
        OutputExistsError: if ``path`` exists and ``overwrite`` is false.
    """
    if isinstance(found, Grid):
        rows = [
            _row(name, one.examples, one.metrics, one.intervals, one.against) for name, one in found.languages.items()
        ]
        examples = sum(one.examples for one in found.languages.values())
        rows.append(_row(AVERAGE, examples, found.average, found.intervals, found.against))
    else:
        name = " ".join(found.data)
        rows = [_row(name, found.examples, found.metrics, found.intervals, found.against)]
    with atomic_file(path, overwrite=overwrite) as part, part.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def _row(
    name: str,
    examples: int,
    metrics: Mapping[str, float],
    intervals: Mapping[str, Interval],
    against: Comparison | None,
) -> dict[str, str | int | float]:
    row: dict[str, str | int | float] = {"data": name, "examples": examples}
    for metric, value in metrics.items():
        row[metric] = value
        if metric in intervals:
            row[f"{metric}_low"], row[f"{metric}_high"] = intervals[metric]
        if against is not None:
            row[f"{metric}_against"] = against.metrics[metric]
            row |= {f"{metric}_p": against.p[metric]} if metric in against.p else {}
    return row
