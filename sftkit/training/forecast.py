"""How long a run takes, from what its steps and evaluations took so far. No torch.

What was not measured yet is taken to be as slow as what was: a step of phase 2 as one of phase 1, which it seldom is.
Not counted: the choice of the entries, and checkpoints, which are much shorter.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sftkit.training.observer import RunPlan

#: First steps of a phase, which take longer than others: memory is asked for, kernels are chosen.
_SLOW = 2


@dataclass
class _Mean:
    """The mean of durations, in seconds."""

    total: float = 0.0
    count: int = 0

    def add(self, seconds: float) -> None:
        self.total += seconds
        self.count += 1

    @property
    def seconds(self) -> float | None:
        return self.total / self.count if self.count else None


@dataclass(frozen=True)
class PlannedPhase:
    """Steps of one kind: of "phase 1", which moves θ, or "phase 2", which moves φ."""

    kind: str
    steps: int


def planned_phases(plan: RunPlan) -> list[PlannedPhase]:
    """A run's phases, in order: further rounds of phase 1 move φ, as phase 2 does."""
    first = [PlannedPhase("phase 1", plan.steps1)] if plan.steps1 else []
    rounds = [PlannedPhase("phase 2", plan.steps1)] * (len(plan.sizes) * (plan.rounds - 1))
    return [*first, *rounds, *[PlannedPhase("phase 2", plan.steps2)] * len(plan.sizes)]


class Forecast:
    """Told of a run's steps and evaluations, as an observer is; says how much time is left.

    Attributes:
        parts: the run's phases, in order.
        seen: steps of this part that were watched.
    """

    def __init__(self, parts: Sequence[PlannedPhase], every: int, clock: Callable[[], float] = time.monotonic) -> None:
        """Say what is to be done.

        Args:
            parts: the run's phases, in order.
            every: steps between evaluations.
            clock: seconds.
        """
        self.parts, self._every, self._clock = parts, every, clock
        self._steps = {part.kind: _Mean() for part in parts}
        self._short = all(part.steps <= _SLOW for part in parts)  # then there are no others to go by
        self._scoring = _Mean()
        self._at, self._done, self.seen = -1, 0, 0
        self._mark = self._began = clock()

    def phase(self) -> None:
        """The next part begins."""
        self._at, self._done, self.seen = min(self._at + 1, len(self.parts) - 1), 0, 0

    def step(self, step: int) -> None:
        """So many steps of this part are done."""
        now = self._clock()
        if self.seen >= _SLOW or self._short:
            self._steps[self.parts[self._at].kind].add(now - self._mark)
        self._mark, self._done, self.seen = now, step, self.seen + 1

    def evaluating(self) -> None:
        """An evaluation begins."""
        self._began = self._clock()

    def evaluated(self) -> None:
        """It ended: its time is not the next step's."""
        self._mark = self._clock()
        self._scoring.add(self._mark - self._began)

    def step_seconds(self, kind: str) -> float | None:
        """Seconds of a step of this kind, or else of the other; None before any was measured."""
        known = [mean.seconds for mean in self._steps.values() if mean.seconds is not None]
        own = self._steps[kind].seconds if kind in self._steps else None
        return own if own is not None else known[0] if known else None

    def measured(self, kind: str) -> bool:
        """Whether a step of this kind was."""
        return kind in self._steps and self._steps[kind].count > 0

    @property
    def scoring_seconds(self) -> float:
        """Seconds of an evaluation; 0 before any was measured."""
        return self._scoring.seconds or 0.0

    def begin_anew(self, scoring: float) -> None:
        """Nothing of the run is done; what was measured stays, and an evaluation takes so many seconds."""
        self._at, self._done, self.seen = -1, 0, 0
        self._scoring = _Mean(scoring, 1)

    def evaluations(self, steps: int, done: int = 0) -> int:
        """How many evaluations come after a step of a part of so many steps: every so often, and at the end."""
        return -(-steps // self._every) - done // self._every

    @property
    def evaluations_in_all(self) -> int:
        """Of the whole run, the one before its first step included."""
        return 1 + sum(self.evaluations(part.steps) for part in self.parts)

    def left(self) -> float | None:
        """Seconds until the run is over; None before a step was measured."""
        seconds = 0.0
        for number, part in enumerate(self.parts[max(self._at, 0) :]):
            done = self._done if number == 0 else 0
            each = self.step_seconds(part.kind)
            if each is None:
                return None
            seconds += (part.steps - done) * each + self.evaluations(part.steps, done) * self.scoring_seconds
        return seconds
