"""Learning curves out of a training record, which is another program's JSON as far as this one knows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

#: Phases of a training record, and what they are called.
PHASES = {"phase1": "phase 1", "phase2": "phase 2"}
#: step -> value.
Curve = dict[int, float]


def curves(training: Mapping[str, Any], what: str) -> dict[str, Curve]:
    """One kind of curve of each phase that has it.

    Args:
        training: an SFT's training record.
        what: "history", the metric on held-out data, from step 0 on; or "losses", the training loss.

    Returns:
        "phase1" and "phase2" -> the curve; what is not in the form that sftkit writes is left out.
    """
    found = training.get(what)
    phases = found if isinstance(found, Mapping) else {}
    read = {phase: _curve(phases.get(phase)) for phase in PHASES}
    return {phase: curve for phase, curve in read.items() if curve}


def best(training: Mapping[str, Any]) -> tuple[int, float, str] | None:
    """The step of phase 2 that was kept, the metric's value there and its name; None where that is not told."""
    found = training.get("best")
    try:
        return int(found["step"]), float(found["value"]), str(found["metric"])  # type: ignore[index]  # caught below
    except (TypeError, KeyError, ValueError, OverflowError):
        return None


def start(training: Mapping[str, Any]) -> float | None:
    """The metric's value before the first step; None where that is not told."""
    found = training.get("start")
    try:
        return float(found["value"])  # type: ignore[index]  # caught below
    except (TypeError, KeyError, ValueError, OverflowError):
        return None


def _curve(points: Any) -> Curve:
    try:
        return {int(step): float(value) for step, value in points}
    except (TypeError, ValueError, OverflowError):
        return {}
