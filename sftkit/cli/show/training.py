"""What a run learned, and what a training record says, as tables. ``inspect --json`` has the record as it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sftkit.cli.show import render
from sftkit.cli.show.render import Column
from sftkit.inspecting.training_facts import curve_rows, training_facts

if TYPE_CHECKING:
    from sftkit.training.engine.judge import Outcome
    from sftkit.training.lottery import Result


_PARTS = {"phase1": "phase 1", "phase2": "phase 2", "select": "selection"}


def show_training(training: Mapping[str, Any], method: str) -> None:
    """Print the tables; nothing for an SFT without a record."""
    rows = training_facts(training, method)
    if rows:
        render.table("Training", [Column(""), Column("")], rows)
    headings, points = curve_rows(training)
    if points:
        render.table("Learning curves", [Column(heading, number=True) for heading in headings], points)


def show_results(results: Sequence[Result], outputs: Sequence[Path]) -> None:
    """Print what a run learned, a column for each SFT."""
    rows = [
        ("objective, method", [f"{r.sft.metadata.objective}, {r.sft.metadata.method}" for r in results]),
        ("K", [f"{r.sft.k:,} ({render.share(r.sft.density)} of the backbone)" for r in results]),
        ("before", [_start(r) for r in results]),
        ("phase 1", [_outcome(r.phase1, r.best_metric) if r.phase1 else "none" for r in results]),
        ("phase 2", [_outcome(r.phase2, r.best_metric) for r in results]),
        (
            "time",
            [
                "  ".join(f"{_PARTS.get(part, part)} {value:,.1f} s" for part, value in r.seconds.items())
                for r in results
            ],
        ),
    ]
    columns = [Column("SFT"), *(Column(str(output)) for output in outputs)]
    render.table("", columns, [(name, *cells) for name, cells in rows])


def _start(result: Result) -> str:
    """The score before the first step."""
    value = (result.phase1 or result.phase2).start
    return f"{result.best_metric} {value:.4f}" if value is not None else "not scored"


def _outcome(outcome: Outcome, metric: str) -> str:
    return f"{metric} {outcome.best_value:.4f} at step {outcome.best_step:,} of {outcome.steps:,}"


def document(result: Result, output: Path) -> dict[str, Any]:
    """What ``train --json`` prints of an SFT."""
    metadata, phase2 = result.sft.metadata, result.phase2
    return {
        "sft": str(output),
        "objective": metadata.objective,
        "method": metadata.method,
        "k": metadata.k,
        "density": metadata.density,
        "steps": {"phase1": result.phase1.steps if result.phase1 else 0, "phase2": phase2.steps},
        "start": metadata.training["start"],
        "best": {"step": phase2.best_step, "metric": result.best_metric, "value": phase2.best_value},
        "seconds": {part: round(seconds, 3) for part, seconds in result.seconds.items()},
    }
