"""Scores as other commands wrote them, as tables of a page: the JSON of ``evaluate``, or a sweep's CSV."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from sftkit.errors import DataError
from sftkit.evaluation.results.table import read_scores
from sftkit.inspecting.page.frame import Cell
from sftkit.inspecting.page.report import ScoreTable
from sftkit.storage.documents import read_object

_NOT_THAT = "it is to be what evaluate --json prints, or a sweep's CSV."


def score_tables(path: Path) -> list[ScoreTable]:
    """The tables of a file.

    Raises:
        DataError: if it is neither of the two.
    """
    if path.suffix.lower() == ".csv":
        return [_of_sweep(path)]
    document = read_object(path, DataError)
    try:
        found = list(_of_evaluation(document))
    except (KeyError, TypeError, ValueError, AttributeError, IndexError):
        raise DataError(f"{path}: not as sftkit writes it; {_NOT_THAT}") from None
    if not found:
        raise DataError(f"{path}: holds no scores; {_NOT_THAT}")
    return found


def _of_sweep(path: Path) -> ScoreTable:
    rows = tuple(
        (
            row.language, row.task, row.method, _number(row.setting.density), row.seed, row.metric,
            _scored(row.value, row.interval),
        )
        for row in read_scores(path)
    )  # fmt: skip
    return ScoreTable(path.name, ("language", "task", "method", "density", "seed", "metric", "score"), rows)


def _of_evaluation(document: Mapping[str, Any]) -> Iterator[ScoreTable]:
    if "tasks" in document:
        for each in document["tasks"].values():
            yield from _of_evaluation(each)
        return
    title = str(document["objective"])
    if "metrics" in document:
        spans = document.get("intervals", {})
        cells = [_scored(value, spans.get(name)) for name, value in document["metrics"].items()]
        data = ", ".join(map(str, document["data"]))
        yield ScoreTable(title, ("data", "examples", *document["metrics"]), ((data, _count(document), *cells),))
        return
    systems = document.get("systems", {"": document})
    metrics = list(next(iter(systems.values()))["average"])
    rows = tuple(
        (language, name, *(_scored(values[metric], _span(system, language, metric)) for metric in metrics))
        for name, system in systems.items()
        for language, values in {**system["languages"], "average": system["average"]}.items()
    )
    yield ScoreTable(title, ("language", "system", *metrics), rows)


def _span(system: Mapping[str, Any], language: str, metric: str) -> Any:
    return system.get("intervals", {}).get(language, {}).get(metric)


def _count(document: Mapping[str, Any]) -> Cell:
    return f"{document['examples']:,}", float(document["examples"])


def _number(value: float | None) -> Cell:
    return ("–", -math.inf) if value is None else (f"{value:.4g}", float(value))


def _scored(value: float | None, interval: Any) -> Cell:
    if value is None:
        return "–", -math.inf
    span = f" [{float(interval[0]):.4f}, {float(interval[1]):.4f}]" if interval else ""
    return f"{float(value):.4f}{span}", float(value)
