"""What a run would do and how long it would take, from a few steps of each phase: nothing is learned or kept.

Each phase does the first of its steps as it would, in a folder that goes away. Of the held-out data a few batches are
scored, from the longest examples to the shortest, and all of it is taken to last as long in proportion.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from transformers import PreTrainedModel

from sftkit.tasks.evaluator import Evaluator, Sharing, batches_by_length
from sftkit.training.engine.snapshot import RunFolder
from sftkit.training.engine.together import not_left_alone
from sftkit.training.engine.turns import Means
from sftkit.training.forecast import Forecast, planned_phases
from sftkit.training.lottery import for_each, planned, prepare, tune_chosen
from sftkit.training.methods.base import chooser_of
from sftkit.training.observer import Observer, RunPlan
from sftkit.training.settings import Settings
from sftkit.training.tuning import Run

#: Steps of each phase, and batches of held-out data.
_STEPS, _BATCHES = 8, 6


@dataclass(frozen=True)
class Rehearsal:
    """What a rehearsal found.

    Attributes:
        plan: what the run would do.
        forecast: how long steps and evaluations take, of the whole run, and all of it.
    """

    plan: RunPlan
    forecast: Forecast

    @property
    def seconds(self) -> float:
        """Expected seconds of the run's steps and evaluations, the one before the first step included."""
        return (self.forecast.left() or 0.0) + self.forecast.scoring_seconds


def rehearse(settings: Settings, densities: Sequence[float], observer: Observer | None = None) -> Rehearsal:
    """Load everything, do a few steps of each phase, and forget them.

    Args:
        settings: as for :func:`sftkit.training.lottery.learn_each`.
        densities: as there; the largest is tried.
        observer: is told what goes on.

    Raises:
        SftkitError: of the kind that fits, as the run itself would.
    """
    settings = replace(settings, report_to=())
    each = for_each(settings, densities)
    watch = _Watch(observer or Observer())
    with tempfile.TemporaryDirectory(prefix="sftkit-") as folder, not_left_alone():
        run = prepare(each, RunFolder(Path(folder), lasting=False), watch)
        sizes, data = planned(each, run, chooser_of(run)), run.equipment.data
        scored: list[Any] = [_Sampled(evaluator, data.objective.best_metric) for evaluator in data.evaluators]
        short = _shortened(run, scored)
        choice = chooser_of(short).choose([max(sizes)])
        tune_chosen(short, choice.masks[0], choice.rewound)
    assert watch.plan is not None
    watch.forecast.begin_anew(sum(each.seconds for each in scored))
    return Rehearsal(watch.plan, watch.forecast)


def _shortened(run: Run, evaluators: list[Any]) -> Run:
    """The same with a few steps of each phase, no further rounds and no rewinding."""
    settings = replace(run.settings, rewind_to=0, iterations=1, eval_every=_STEPS)
    equipment = replace(run.equipment, data=replace(run.equipment.data, evaluators=evaluators))
    return replace(run, settings=settings, equipment=equipment, most_steps=_STEPS)


class _Sampled:
    """Scores a few batches in the place of all, and says how long all would take.

    Attributes:
        examples: an evaluator's.
        seconds: that all would take, by the last time.
        sharing: as an evaluator's.
    """

    sharing: Sharing | None = None

    def __init__(self, evaluator: Evaluator, metric: str) -> None:
        self._evaluator, self._metric = evaluator, metric
        self.notes, self.examples, self.seconds = evaluator.notes, evaluator.examples, 0.0

    def __call__(self, model: PreTrainedModel, batch_size: int) -> Means:
        """No score that means anything."""
        began, share = time.perf_counter(), 1.0

        def some(lengths: Sequence[int], size: int) -> Iterator[list[int]]:
            nonlocal share
            every = list(batches_by_length(lengths, size))
            chosen = every[:: -(-len(every) // _BATCHES)]
            share = len(chosen) / len(every)
            yield from chosen
            raise _EnoughError

        evaluator: Any = self._evaluator
        evaluator.batches, evaluator.sharing = some, self.sharing
        try:
            evaluator.predict(model, batch_size)
        except _EnoughError:
            pass
        finally:
            del evaluator.batches
        self.seconds = (time.perf_counter() - began) / share
        return Means({self._metric: 0.0})


class _EnoughError(Exception):
    """The batches that were asked for were scored."""


class _Watch(Observer):
    """Passes on what a few steps have to tell, and measures them."""

    def __init__(self, observer: Observer) -> None:
        self._to = observer
        self.plan: RunPlan | None = None
        self.forecast = Forecast([], 1)
        for as_it_is in ("loading", "reading", "selecting", "waiting", "note"):
            setattr(self, as_it_is, getattr(observer, as_it_is))

    def planned(self, plan: RunPlan) -> None:
        """The whole run's plan."""
        self.plan, self.forecast = plan, Forecast(planned_phases(plan), plan.eval_every)
        self._to.planned(plan)

    def phase(self, name: str, steps: int) -> None:
        """The next phase; which comes after phase 1, of the whole run's, is of phase 2's kind, whatever it is."""
        if steps:
            self.forecast.phase()
        self._to.phase(name, steps)

    def step(self, step: int, loss: float | None) -> None:
        """A step; its loss is of no interest."""
        if loss is None:
            self.forecast.step(step)
            self._to.step(step, None)

    def evaluated(self, step: int, metric: str, value: float, best: float) -> None:
        """The end of a phase, without a score that means anything."""
        del step, metric, value, best
        self._to.done()
