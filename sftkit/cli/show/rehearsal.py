"""``train --dry-run``: the header and the expected time on standard output, as text or as one JSON document."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from sftkit.cli.show import render
from sftkit.cli.show.plan import expected, header
from sftkit.cli.show.progress import TrainingDisplay

if TYPE_CHECKING:
    from sftkit.training.observer import RunPlan
    from sftkit.training.rehearsal import Rehearsal


class RehearsalDisplay(TrainingDisplay):
    """Shows the plan as data; the few steps that follow are shown as a run's are, but for the time of the whole."""

    def __init__(self, *, quiet: bool, first: bool, json: bool) -> None:
        """Get ready.

        Args:
            quiet: show no progress.
            first: whether this process is the one that speaks.
            json: show no plan.
        """
        super().__init__(quiet=quiet or not first)
        self._shows = first and not json
        self.rehearsed: RunPlan | None = None

    def planned(self, plan: RunPlan) -> None:
        """The header, at once: what follows takes a while."""
        self._stop()
        self.rehearsed = plan
        if self._shows:
            render.paragraph("\n".join(header(plan)), hanging="    ")


def show(rehearsal: Rehearsal, *, unsafe: bool) -> None:
    """Print the time, below the header."""
    told = expected(rehearsal.plan, rehearsal.forecast, rehearsal.seconds, unsafe=unsafe)
    render.paragraph(told, hanging="    ")


def document(rehearsal: Rehearsal) -> dict[str, Any]:
    """What ``train --dry-run --json`` prints: the plan, and what was measured."""
    forecast = rehearsal.forecast
    return asdict(rehearsal.plan) | {
        "evaluations": forecast.evaluations_in_all,
        "seconds": {
            "phase1_step": forecast.step_seconds("phase 1") if rehearsal.plan.steps1 else None,
            "phase2_step": forecast.step_seconds("phase 2"),
            "evaluation": forecast.scoring_seconds,
            "in_all": rehearsal.seconds,
        },
    }
