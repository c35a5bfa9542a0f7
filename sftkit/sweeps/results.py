"""The results of a sweep as one tidy table: a row a score, of all cells that are done."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from sftkit.errors import SftkitError
from sftkit.storage.atomic import atomic_file
from sftkit.storage.documents import parse_json
from sftkit.sweeps.plan import PlannedScore

#: The columns. density, k and seconds are the task's SFT's and its training's; those of the language come after.
COLUMNS = (
    "language", "task", "method", "density", "seed", "metric", "value", "low", "high", "seconds", "k", "base",
    "language_density", "language_k", "language_seconds", "examples",
)  # fmt: skip


def rows_of(rows: Sequence[PlannedScore]) -> Iterator[dict[str, Any]]:
    """The lines of the table, in the order of the plan; scores that are not there yet are left out."""
    read = _Records()
    for row in rows:
        score = read(row.score)
        if not isinstance(score, dict) or not isinstance(score.get("metrics"), dict):
            continue
        task, language = _of(read(row.task[0]), row.task[1]), _of(read(row.language[0]), row.language[1])
        intervals = score.get("intervals") or {}
        for metric, value in score["metrics"].items():
            low, high = intervals.get(metric) or (None, None)
            made = dict(row.labels) | {"metric": metric, "value": value, "low": low, "high": high}
            yield made | {
                "density": _first(row.labels["density"], task.get("density"), score.get("density")),
                "k": _first(task.get("k"), score.get("k")),
                "seconds": _first(_seconds(task), _seconds(score)),
                "language_density": _first(row.labels["language_density"], language.get("density")),
                "language_k": language.get("k"),
                "language_seconds": _seconds(language),
                "examples": score.get("examples"),
            }


def write_results(path: Path, rows: Sequence[PlannedScore]) -> int:
    """Write the table of all scores that are there; returns how many rows it has.

    Raises:
        OSError: if it cannot be written.
    """
    text, count = io.StringIO(newline=""), 0
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    for row in rows_of(rows):
        writer.writerow({name: "" if row.get(name) is None else row[name] for name in COLUMNS})
        count += 1
    with atomic_file(path, overwrite=True) as part:
        part.write_text(text.getvalue(), encoding="utf-8")
    return count


class _Records:
    """Documents by name, each read once; None for those that are not there or no documents."""

    def __init__(self) -> None:
        self._read: dict[str, Any] = {"": None}

    def __call__(self, name: str) -> Any:
        if name not in self._read:
            self._read[name] = record(name)
        return self._read[name]


def record(name: str) -> Any:
    """The document that a cell printed; None if it is not there."""
    try:
        return parse_json(Path(name).read_text(encoding="utf-8"))
    except (OSError, ValueError, SftkitError):
        return None


def _of(document: Any, file: str) -> dict[str, Any]:
    """What ``train --json`` said of one SFT."""
    each = document if isinstance(document, list) else [document]
    return next((one for one in each if isinstance(one, dict) and one.get("sft") == file), {})


def _seconds(document: dict[str, Any]) -> float | None:
    found = document.get("seconds")
    if isinstance(found, dict):
        return round(sum(float(value) for value in found.values()), 3)
    return found if isinstance(found, int | float) else None


def _first(*values: Any) -> Any:
    return next((value for value in values if value is not None), None)
