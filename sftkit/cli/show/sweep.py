"""What ``sftkit sweep`` says: what a sweep would do and take, and what became of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sftkit.cli.show import render
from sftkit.cli.show.plan import duration
from sftkit.sweeps.cells import SweepCell
from sftkit.sweeps.document import Sweep
from sftkit.sweeps.engine import WorkflowOutcome
from sftkit.sweeps.forecast import START, SweepForecast
from sftkit.sweeps.plan import SweepPlan
from sftkit.sweeps.states import DONE, OLD, states


def missing(names: list[str], read: list[str]) -> str:
    """Files that are not there, of those that are read, in a line."""
    shown = ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
    of = render.counted(len(read), "file")
    return f"{len(names)} of {of} that cells read {'is' if len(names) == 1 else 'are'} not there: {shown}."


def expected(cells: Mapping[str, SweepCell], found: SweepForecast) -> dict[str, float]:
    """Record -> expected seconds; those of which nothing is known are taken to be as the others are on the average."""
    each = {record: found.seconds(cell) for record, cell in cells.items()}
    known = [seconds for seconds in each.values() if seconds is not None]
    mean = sum(known) / len(known) if known else START
    return {record: mean if seconds is None else seconds for record, seconds in each.items()}


def forecast(sweep: Sweep, plan: SweepPlan, found: SweepForecast, jobs: int) -> dict[str, Any]:
    """The document of ``--dry-run --json``."""
    now = states(plan.cells)
    cells: list[dict[str, Any]] = [
        {
            "title": cell.title, "kind": cell.work.kind, "state": now[record], "seconds": found.seconds(cell),
            "bytes": found.bytes(cell), "command": cell.plain, "log": cell.log,
        }
        for record, cell in plan.cells.items()
    ]  # fmt: skip
    todo = [cell for cell in cells if cell["state"] != DONE]
    seconds = [cell["seconds"] for cell in todo]
    whole = sum(each for each in seconds if each is not None)
    return {
        "sweep": sweep.name, "output": str(plan.place), "cells": cells,
        "done": len(cells) - len(todo), "todo": len(todo), "rows": len(plan.rows),
        "seconds": whole, "unknown": sum(each is None for each in seconds),
        "hours": whole / 3600 * max(1, sweep.resources.gpu or sweep.resources.threads),
        "unit": "GPU" if sweep.resources.gpu else "core", "jobs": jobs,
        "bytes": sum(cell["bytes"] or 0 for cell in cells),
        "unsized": sum(cell["bytes"] is None for cell in cells),
    }  # fmt: skip


def show_forecast(document: dict[str, Any], sweep: Sweep) -> None:
    """Print it: a line a kind of cell, and the whole."""
    kinds = dict.fromkeys(cell["kind"] for cell in document["cells"])
    render.table(
        f"{document['sweep']}, in {document['output']}/",
        [
            render.Column("cells"),
            *(render.Column(name, True) for name in ("all", "done", "old", "to do", "a cell", "time")),
        ],
        [_line(kind, [cell for cell in document["cells"] if cell["kind"] == kind]) for kind in kinds],
    )
    unknown = (
        f" and {render.counted(document['unknown'], 'cell')} of which nothing is known" if document["unknown"] else ""
    )
    at_a_time = document["seconds"] / document["jobs"]
    lines = [
        f"{document['todo']} of {render.counted(len(document['cells']), 'cell')} to do, for "
        f"{render.counted(document['rows'], 'score')}: {document['hours']:.3g} {document['unit']} hours{unknown}; "
        f"about {duration(at_a_time)} with {document['jobs']} at a time",
    ]
    if sweep.costs.on:
        lines.append(f"times of what was not measured yet are those of {sweep.costs.on}")
    unsized = render.counted(document["unsized"], "cell")
    sized = f", and the SFTs of {unsized} whose base has no size in [cost.bases]" if document["unsized"] else ""
    lines.append(f"disk: about {render.size(round(document['bytes']))}{sized}")
    if any(cell["state"] == OLD for cell in document["cells"]):
        lines.append("old: made with other settings or of other data, and to be done again")
    render.data("\n".join(lines))


def _line(kind: str, cells: list[dict[str, Any]]) -> tuple[object, ...]:
    count = Counter(cell["state"] for cell in cells)
    seconds = [cell["seconds"] for cell in cells if cell["state"] != DONE]
    known = [each for each in seconds if each is not None]
    each = duration(sum(known) / len(known)) if known else "?" if seconds else ""
    whole = duration(sum(known)) if len(known) == len(seconds) else "?"
    return kind, len(cells), count[DONE], count[OLD], len(cells) - count[DONE], each, whole


def summary(plan: SweepPlan, outcome: WorkflowOutcome, results: Path, rows: int, seconds: float) -> dict[str, Any]:
    """The document of ``--json``."""
    return {
        "output": str(plan.place), "results": str(results), "rows": rows,
        "cells": {
            "all": len(plan.cells), "made": len(outcome.made), "failed": len(outcome.failures),
            "left": len(outcome.left),
        },
        "failures": [{"cell": each.title, "log": each.log, "line": each.line} for each in outcome.failures],
        "left": list(outcome.left), "notes": plan.notes, "seconds": round(seconds, 1),
    }  # fmt: skip


def show_summary(document: dict[str, Any]) -> None:
    """Print it in a line or two."""
    cells = document["cells"]
    there = cells["all"] - cells["made"] - cells["failed"] - cells["left"]
    parts = [f"{cells['made']} made", f"{there} there already" if there else "",
             f"{cells['failed']} failed" if cells["failed"] else "",
             f"{cells['left']} not begun for it" if cells["left"] else ""]  # fmt: skip
    render.data(
        f"{render.counted(cells['all'], 'cell')}: {', '.join(part for part in parts if part)}; "
        f"{duration(document['seconds'])}\n{document['results']}: {render.counted(document['rows'], 'row')}"
    )
