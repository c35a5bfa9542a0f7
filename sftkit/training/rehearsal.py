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

from sftkit.tasks.base import Evaluator, Sharing, batches_by_length
from sftkit.training.engine.together import not_left_alone
from sftkit.training.forecast import Forecast, parts_of
from sftkit.training.lottery import Run
from sftkit.training.observer import Observer, Plan
from sftkit.training.settings import Settings
from sftkit.training.sources import Means

#: Steps of each phase, and batches of held-out data.
_STEPS, _BATCHES = 8, 6


@dataclass(frozen=True)
class Rehearsal:
    """What a rehearsal found.

    Attributes:
        plan: what the run would do.
        forecast: how long steps and evaluations take, of the whole run, and all of it.
    """

    plan: Plan
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
    each = [replace(settings, density=density, k=None) for density in densities] or [settings]
    watch = _Watch(observer or Observer())
    with tempfile.TemporaryDirectory(prefix="sftkit-") as folder, not_left_alone():
        run = Run(each, watch, Path(folder), None)
        sizes = run.prepare()
        scored: list[Any] = [_Sampled(evaluator, run.ready.objective.best_metric) for evaluator in run.ready.evaluators]
        run.ready.evaluators = scored
        run.rehearse(max(sizes), _STEPS)
    assert watch.plan is not None
    watch.forecast.begin_anew(sum(each.seconds for each in scored))
    return Rehearsal(watch.plan, watch.forecast)


class _Sampled:
    """Scores a few batches in the place of all, and says how long all would take.

    Attributes:
        seconds: that all would take, by the last time.
        sharing: as an evaluator's.
    """

    sharing: Sharing | None = None

    def __init__(self, evaluator: Evaluator, metric: str) -> None:
        self._evaluator, self._metric = evaluator, metric
        self.notes, self.seconds = evaluator.notes, 0.0

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
        self.plan: Plan | None = None
        self.forecast = Forecast([], 1)

    def loading(self, what: str) -> None:
        """As it is."""
        self._to.loading(what)

    def reading(self, what: str, lines: int, share: float | None) -> None:
        """As it is."""
        self._to.reading(what, lines, share)

    def planned(self, plan: Plan) -> None:
        """The whole run's plan."""
        self.plan, self.forecast = plan, Forecast(parts_of(plan), plan.eval_every)
        self._to.planned(plan)

    def phase(self, name: str, steps: int) -> None:
        """The next phase; which comes after phase 1, of the whole run's, is of phase 2's kind, whatever it is."""
        if steps:
            self.forecast.phase()
        self._to.phase(name, steps)

    def selecting(self, done: int, total: int) -> None:
        """As it is."""
        self._to.selecting(done, total)

    def step(self, step: int, loss: float | None) -> None:
        """A step; its loss is of no interest."""
        if loss is None:
            self.forecast.step(step)
            self._to.step(step, None)

    def waiting(self) -> None:
        """As it is."""
        self._to.waiting()

    def evaluated(self, step: int, metric: str, value: float, best: float) -> None:
        """The end of a phase, without a score that means anything."""
        del step, metric, value, best
        self._to.done()

    def note(self, text: str) -> None:
        """As it is."""
        self._to.note(text)
