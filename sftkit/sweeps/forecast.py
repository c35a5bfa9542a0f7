"""What a sweep will take: seconds of each cell, and bytes, from what was measured, declared or rehearsed."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from statistics import median
from typing import Any

from sftkit.sweeps.cells import SweepCell, Work, elapsed
from sftkit.sweeps.costs import BaseSize, Costs, DeclaredCosts, learned
from sftkit.sweeps.results import record
from sftkit.training.recipes import LANGUAGE_DENSITY, TASK_DENSITY

#: Seconds to begin a cell and to end it, where none was measured: Python, torch, the model, the base's score.
START = 6.0
#: Bytes of an entry of φ, in f32.
_ENTRY = 5.0
#: Rehearses a cell: the document of ``train --dry-run --json``, or None if that cannot be.
Rehearse = Callable[[SweepCell], Any]


@dataclass(frozen=True)
class Measured:
    """Seconds of a step of phase 1 and 2, and how many steps there are; None for what is not known."""

    step1: float | None
    step2: float | None
    steps1: int | None
    steps2: int | None

    def seconds(self, work: Work, start: float) -> float | None:
        """Of a cell that takes some seconds besides its steps."""
        steps1 = (work.steps[0] if work.steps[0] is not None else self.steps1) if work.phase1 else 0
        steps2 = work.steps[1] if work.steps[1] is not None else self.steps2
        step1, step2 = self.step1 or self.step2, self.step2 or self.step1
        if steps1 is None or steps2 is None or step1 is None or step2 is None:
            return None
        return start + steps1 * step1 + work.phases * steps2 * step2


class SweepForecast:
    """Seconds and bytes of cells: measured on those that are done, else declared, else rehearsed."""

    def __init__(self, cells: Mapping[str, SweepCell], costs: Costs, rehearse: Rehearse | None = None) -> None:
        """Begin.

        Args:
            cells: by record; the records of those that are done are read.
            costs: declared.
            rehearse: asked once for all cells that are alike, if neither tells.
        """
        self._costs, self._rehearse = costs, rehearse
        self._known: dict[str, Measured | None] = {}
        for cell in cells.values():
            if cell.work.phases and cell.work.alike not in self._known and (found := _measured(cell)):
                self._known[cell.work.alike] = found
        self._beside = _besides(cells.values())

    def seconds(self, cell: SweepCell) -> float | None:
        """Expected seconds of a cell; None where nothing is known of it."""
        work = cell.work
        beside = self._beside.get((work.kind, work.alike))
        if not work.phases:
            return beside if beside is not None else self._unlearned(work)
        base = self._costs.bases.get(work.base, BaseSize())
        declared = self._costs.kinds.get(work.kind)
        if work.alike not in self._known and declared is not None:
            self._known[work.alike] = _of_declared(declared, base.slower)
        if work.alike not in self._known and self._rehearse is not None:
            self._known[work.alike] = _of_rehearsal(self._rehearse(cell))
        measured = self._known.get(work.alike)
        return measured.seconds(work, START if beside is None else beside) if measured is not None else None

    def _unlearned(self, work: Work) -> float | None:
        """Of a cell that learns nothing and is the first of its kind."""
        if work.kind == "score" and self._costs.score is not None:
            return self._costs.score
        if work.seconds is not None:
            return START + work.seconds
        return START if work.kind in ("score", "sum") else None

    def bytes(self, cell: SweepCell) -> float | None:
        """Bytes of what a cell left, or is expected to; None where the base's size was not declared."""
        if all(map(os.path.isfile, cell.outputs)):
            return float(sum(map(os.path.getsize, cell.outputs)))
        parameters = self._costs.bases.get(cell.work.base, BaseSize()).parameters
        if not cell.work.phases:
            return 10_000.0
        if parameters is None:
            return None
        recipe = LANGUAGE_DENSITY if cell.work.kind == "language" else TASK_DENSITY
        return sum(_ENTRY * parameters * (recipe if share is None else share) for share in cell.work.shares)


def _measured(cell: SweepCell) -> Measured | None:
    try:
        steps1, seconds1, steps2, seconds2 = learned(record(cell.record))
        phases = max(1, cell.work.phases)
        return Measured(
            seconds1 / steps1 if steps1 else None, seconds2 / steps2, steps1 if cell.work.phase1 else None,
            steps2 // phases,
        )  # fmt: skip
    except (LookupError, TypeError, ValueError, ZeroDivisionError):
        return None


def _besides(cells: Iterable[SweepCell]) -> dict[tuple[str, str], float]:
    """(kind, alike) -> median seconds of the cells that are done, without those of steps."""
    found: dict[tuple[str, str], list[float]] = {}
    for cell in cells:
        seconds = elapsed(cell)
        if seconds is not None:
            steps = _stepping(cell) if cell.work.phases else 0.0
            found.setdefault((cell.work.kind, cell.work.alike), []).append(max(0.0, seconds - steps))
    return {key: median(each) for key, each in found.items()}


def _stepping(cell: SweepCell) -> float:
    """Seconds of all steps and the evaluations among them, as the record has them."""
    try:
        _, first, _, second = learned(record(cell.record))
    except (LookupError, TypeError, ValueError):
        return 0.0
    return first + second


def _of_declared(declared: DeclaredCosts, slower: float) -> Measured:
    return Measured(declared.step * slower, declared.step * slower, declared.phase1, declared.steps)


def _of_rehearsal(document: Any) -> Measured | None:
    try:
        each = document["seconds"]
        evaluations = each["evaluation"] / document["eval_every"]  # shared out over the steps
        one, two = each["phase1_step"], each["phase2_step"]
        return Measured(
            one + evaluations if one else None, two + evaluations if two else None,
            document["steps1"] or None, document["steps2"],
        )  # fmt: skip
    except (LookupError, TypeError, ZeroDivisionError):
        return None
