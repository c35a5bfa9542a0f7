"""Plans of runs that nobody makes."""

from __future__ import annotations

from typing import Any

from sftkit.training.observer import RunPlan


def plan(**changes: Any) -> RunPlan:
    """A plan of a language's run on a CPU."""
    given: dict[str, Any] = {
        "objective": "mlm", "method": "lottery", "base": "pico", "sizes": (50,), "backbone": 1000, "maskable": 900,
        "head": 10, "frozen": "nothing", "train": 80, "dev": 8, "steps1": 100, "steps2": 100, "batch_size": 8,
        "epochs1": 10.0, "epochs2": 10.0,
    }  # fmt: skip
    return RunPlan(**(given | changes))
