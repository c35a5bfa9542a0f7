"""What an evaluation says, as the JSON document of ``--json``, the rows of ``--csv`` and the bars of ``--plot``."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from sftkit.evaluation.bootstrap import Interval
from sftkit.evaluation.grid import Grid, System
from sftkit.evaluation.run import Comparison, Evaluation
from sftkit.inspecting.pictures.data import AVERAGE as AVERAGE
from sftkit.inspecting.pictures.data import Bars
from sftkit.storage.atomic import atomic_file

#: The two systems of a grid without {system}: the user's, and that of --against.
OWN, AGAINST = "", "against"
Row = dict[str, str | int | float]


def as_document(objective: str, found: Evaluation | Grid) -> dict[str, Any]:
    """The document that ``evaluate --json`` prints."""
    return _grid(objective, found) if isinstance(found, Grid) else _one(objective, found)


def compared(grid: Grid) -> dict[str, Comparison]:
    """The comparison with the system of --against, by language and on the average; none if there is none."""
    if OWN not in grid.systems or not grid.pairs:
        return {}
    return {**grid.pairs[0].languages, AVERAGE: grid.pairs[0].average}


def deviations(seeds: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
    """The standard deviation of each metric over runs with different seeds (n - 1 in the denominator)."""
    runs = list(seeds.values())
    return {name: float(np.std([run[name] for run in runs], ddof=1)) for name in runs[0]} if len(runs) > 1 else {}


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
    first = next(iter(grid.systems.values()))
    made: dict[str, Any] = {
        "objective": objective,
        "data": {name: list(one.data) for name, one in first.languages.items()},
        "examples": {name: one.examples for name, one in first.languages.items()},
    }
    if OWN in grid.systems:
        against = {name: _comparison(one) for name, one in compared(grid).items()}
        return made | _system(grid.systems[OWN]) | ({"against": against} if against else {})
    made["systems"] = {name: _system(system) for name, system in grid.systems.items()}
    made["comparisons"] = [
        {
            "first": pair.first,
            "second": pair.second,
            "languages": {name: _difference(one) for name, one in pair.languages.items()},
            "average": _difference(pair.average),
        }
        for pair in grid.pairs
    ]
    return made


def _system(system: System) -> dict[str, Any]:
    each = system.languages
    made: dict[str, Any] = {
        "languages": {name: one.metrics for name, one in each.items()},
        "average": system.average,
        "intervals": {name: _intervals(one.intervals) for name, one in each.items()}
        | {AVERAGE: _intervals(system.intervals)},
    }
    if system.seeds:
        seeds = {name: one.seeds for name, one in each.items()} | {AVERAGE: system.seeds}
        made["seeds"] = seeds
        made["deviations"] = {name: deviations(runs) for name, runs in seeds.items()}
    details = {name: one.details for name, one in each.items() if one.details}
    return made | ({"details": details} if details else {})


def _intervals(found: Mapping[str, Interval]) -> dict[str, list[float]]:
    return {name: list(interval) for name, interval in found.items()}


def _difference(found: Comparison) -> dict[str, Any]:
    return {"difference": found.difference, "intervals": _intervals(found.intervals), "p": found.p}


def _comparison(found: Comparison) -> dict[str, Any]:
    return {"metrics": found.metrics} | _difference(found)


def bars_of(found: Evaluation | Grid, metric: str) -> list[Bars]:
    """What there is to draw of one metric, a system after the other."""
    if isinstance(found, Evaluation):
        name = ", ".join(Path(data).name for data in found.data)
        against = [Bars(AGAINST, {name: found.against.metrics[metric]}, {})] if found.against else []
        return [Bars("as given", {name: found.metrics[metric]}, _pick({name: found.intervals}, metric)), *against]
    several = len(found.languages) > 1  # the average of one is that one
    return [
        Bars(
            name or "as given",
            {language: one.metrics[metric] for language, one in system.languages.items()}
            | ({AVERAGE: system.average[metric]} if several else {}),
            _pick(
                {language: one.intervals for language, one in system.languages.items()}
                | ({AVERAGE: system.intervals} if several else {}),
                metric,
            ),
        )
        for name, system in found.systems.items()
    ]


def _pick(found: Mapping[str, Mapping[str, Interval]], metric: str) -> dict[str, Interval]:
    return {name: intervals[metric] for name, intervals in found.items() if metric in intervals}


def write_csv(path: Path, found: Mapping[str, Evaluation | Grid], *, overwrite: bool = False) -> None:
    """A row a language and system (or the one evaluation): metrics, their intervals, and the comparison.

    Args:
        path: where.
        found: by objective; of several, a column says which.
        overwrite: replace an existing file.

    Raises:
        OutputExistsError: if ``path`` exists and ``overwrite`` is false.
    """
    of_each: dict[str, list[Row]] = {
        name: list(_rows(one)) if isinstance(one, Grid) else [_row(" ".join(one.data), one, one.against)]
        for name, one in found.items()
    }
    rows: list[Row] = []
    for name, each in of_each.items():
        own: Row = {"task": name} if len(found) > 1 else {}
        rows += [own | row for row in each]
    with atomic_file(path, overwrite=overwrite) as part, part.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, dict.fromkeys(name for row in rows for name in row), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def _rows(grid: Grid) -> Iterator[Row]:
    against = compared(grid)
    for name, system in grid.systems.items():
        if name == AGAINST and against:
            continue
        own: Row = {} if name == OWN else {"system": name}
        for language, one in system.languages.items():
            yield own | _row(language, one, against.get(language))
        examples = sum(one.examples for one in system.languages.values())
        average = Evaluation((), examples, system.average, system.intervals, system.seeds)
        yield own | _row(AVERAGE, average, against.get(AVERAGE))


def _row(name: str, found: Evaluation, against: Comparison | None) -> Row:
    row: Row = {"data": name, "examples": found.examples}
    row |= {"seeds": len(found.seeds)} if found.seeds else {}
    spread = deviations(found.seeds) if found.seeds else {}
    for metric, value in found.metrics.items():
        row[metric] = value
        if metric in found.intervals:
            row[f"{metric}_low"], row[f"{metric}_high"] = found.intervals[metric]
        if found.seeds:
            row[f"{metric}_sd"] = spread.get(metric, "")
        if against is not None:
            row[f"{metric}_against"] = against.metrics[metric]
            row |= {f"{metric}_p": against.p[metric]} if metric in against.p else {}
    return row
