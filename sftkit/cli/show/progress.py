"""A training run as the user sees it: a rich display on a terminal, plain lines where it is none, nothing if quiet."""

from __future__ import annotations

import time
from collections import Counter
from types import TracebackType

from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    ProgressColumn,
    TaskID,
    TaskProgressColumn,
    TextColumn,
    TimeRemainingColumn,
)

from sftkit.cli.run import signals
from sftkit.cli.show import render
from sftkit.cli.show.bar import watched
from sftkit.cli.show.live import Bar
from sftkit.cli.show.plan import expected, header
from sftkit.training.forecast import Forecast, PlannedPhase, planned_phases
from sftkit.training.observer import Observer, RunPlan

_PLAIN_EVERY = 10.0  # seconds between lines where nobody watches a bar
_ROOM = 72  # letters of a line that has room for a bar
#: Steps after which it is told how long the run will take, where that is more than so many seconds.
_MEASURED, _SHORT = 20, 60.0


class TrainingDisplay(Observer):
    """Shows a run on standard error. Use as a context manager: the bar is taken away at the end, come what may."""

    def __init__(self, *, quiet: bool = False, title: str = "", patient: bool = False) -> None:
        """Get ready.

        Args:
            quiet: show nothing.
            title: what precedes every line.
            patient: let a first Ctrl-C wait for the end of a step, so that a checkpoint can be saved.
        """
        self._patient = patient
        self._quiet = quiet
        self._title = f"{title}: " if title else ""
        self._bar: Bar | None = None
        self._task = TaskID(0)
        self._phase, self._steps, self._loss, self._best = "", 0, "", ""
        self._seen: Counter[str] = Counter()  # phases that each K has
        self._started = self._spoke = time.monotonic()
        self.plan: RunPlan | None = None
        self._forecast, self._forecast_told = Forecast([], 1), False
        self._past: list[str] = []  # phases that are done
        self._done = self._before = 0  # steps of the present one; those of them that an earlier session did

    def __enter__(self) -> TrainingDisplay:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Take the bar away."""
        signals.be_patient(False)
        self._stop()

    def loading(self, what: str) -> None:
        """A line that goes when that is done."""
        signals.check()  # an interruption can be lost while modules are imported
        self._stop()
        if watched(quiet=self._quiet):
            self._bar = Bar(TextColumn("{task.description}", style="dim"))
            self._bar.add_task(escape(f"{self._title}loading {what} …"), total=None)
            self._bar.start()

    def reading(self, what: str, lines: int, share: float | None) -> None:
        """A bar for each text; without one, a line now and then."""
        signals.check()
        if what != self._phase:
            self._stop()
            self._phase, self._spoke = what, time.monotonic()
            self._start(None if share is None else 1.0, TaskProgressColumn(), TextColumn("{task.fields[loss]}"))
        told = f"{lines:,} lines  " if lines else ""
        if self._bar is not None:
            self._bar.update(self._task, completed=share or 0.0, loss=told)
        elif time.monotonic() - self._spoke > _PLAIN_EVERY:
            self._spoke = time.monotonic()
            self._say(f"{self._title}{what}  {told}{'' if share is None else f'{100 * share:.0f} %'}".rstrip())

    def planned(self, plan: RunPlan) -> None:
        """The run's header."""
        self._stop()
        self.plan, self._forecast = plan, Forecast(planned_phases(plan), plan.eval_every)
        first, *rest = header(plan)
        self._say(self._title + first, "bold")
        self._say("\n".join(rest))

    def phase(self, name: str, steps: int) -> None:
        """A new bar, or a line."""
        signals.check()
        signals.be_patient(self._patient and steps > 0)  # only steps can save: everything else ends at once
        self._stop()
        if self._steps:
            self._past.append(self._phase)
        if self.plan is not None and len(self.plan.sizes) > 1 and name not in ("phase 1", "select"):
            self._seen[name] += 1
            name = f"{name}, K = {self.plan.sizes[self._seen[name] - 1]:,}"
        self._done = self._before = 0
        self._phase, self._steps, self._loss, self._best = name, steps, "", ""
        self._started = self._spoke = time.monotonic()
        if steps:
            if self.plan is None:
                self._forecast = Forecast([PlannedPhase(name, steps)], steps + 1)
            self._forecast.phase()
            told = TextColumn("{task.fields[loss]}{task.fields[best]}{task.fields[left]}")
            self._start(steps, MofNCompleteColumn(), told, timed=False)

    def _start(self, total: float | None, *columns: ProgressColumn, timed: bool = True) -> None:
        if not watched(quiet=self._quiet):
            return
        left = (TimeRemainingColumn(), TextColumn("left")) if total is not None and timed else ()
        bar = [BarColumn()] if render.stderr().width >= _ROOM else []
        self._bar = Bar(TextColumn("{task.description}"), *bar, *columns, *left)
        self._task = self._bar.add_task(escape(f"{self._title}{self._phase}"), total=total, loss="", best="", left="")
        self._bar.start()

    def going_on(self, step: int, steps: int) -> None:
        """Say where; steps of another session are not this one's."""
        self._before = step
        where = f"going on from step {step:,}"
        self.note(f"{self._phase}: {f'{where} of {steps:,}' if step < steps else f'done before, {where}'}")
        if self._bar is not None:
            self._bar.update(self._task, completed=step)

    def selecting(self, done: int, total: int) -> None:
        """A bar for the choice, and a line once it is made."""
        if self._bar is None:
            self._start(total)
        if self._bar is not None:
            self._bar.update(self._task, completed=done)
        if done >= total:
            seconds = time.monotonic() - self._started
            self._stop()
            self._say(f"{self._title}selection  {seconds:.1f} s")

    def step(self, step: int, loss: float | None) -> None:
        """Move the bar; without one, a line now and then."""
        signals.check()
        if loss is not None:
            self._loss = f"training loss {loss:.3f}  "
        else:
            self._forecast.step(step)
            self._done = step
            self._tell_forecast()
        if self._bar is not None:
            self._bar.update(
                self._task,
                completed=step,
                loss=self._loss.removeprefix("training "),
                best=self._best,
                left=self._left(),
            )
        elif loss is not None and time.monotonic() - self._spoke > _PLAIN_EVERY:
            self._spoke = time.monotonic()
            told = f"step {step:,}/{self._steps:,}  {self._loss}{self._best}{self._left()}"
            self._say(f"{self._title}{self._phase}  {told}".rstrip())

    def _left(self) -> str:
        """How long it takes until all phases and evaluations are done."""
        left = self._forecast.left()
        in_all = " in all" if len(self._forecast.parts) > 1 else ""
        return f"{_time(left)} left{in_all}" if left is not None else ""

    def _tell_forecast(self) -> None:
        """A line for the plan, once there is something to go by."""
        left = self._forecast.left()
        if self._forecast_told or self.plan is None or self._forecast.seen < _MEASURED or left is None:
            return
        self._forecast_told = True
        if left > _SHORT:
            unsafe = not self._patient and not self._title
            self._say(f"{self._title}{expected(self.plan, self._forecast, left, unsafe=unsafe)}")

    def unsaved(self) -> str:
        """What was done of the run so far, in words; "" for nothing."""
        now = [f"{render.counted(self._done, 'step')} of {self._phase}"] if self._done else []
        return " and ".join([*self._past, *now])

    def evaluating(self) -> None:
        """Say so beside the bar; without one, say what else would look like a run that hangs."""
        self._forecast.evaluating()
        if not self._done:
            what = "the base" if not self._past else f"where {self._phase} begins"
            if self._bar is None:
                self._say(f"{self._title}scoring {what} …")
            else:
                self._bar.update(self._task, best=f"scoring {what} …  ")
        elif self._bar is not None:
            self._bar.update(self._task, best="scoring …  ")

    def scoring(self, done: int, total: int) -> None:
        """Count beside the bar; without one, in a line now and then."""
        told = f"scoring {done:,} of {total:,}  "
        if self._bar is not None:
            self._bar.update(self._task, best=told)
        elif time.monotonic() - self._spoke > _PLAIN_EVERY:
            self._spoke = time.monotonic()
            self._say(f"{self._title}{self._phase}  after step {self._done:,}: {told}".rstrip())

    def started(self, metric: str, value: float) -> None:
        """A line for the score that is to be beaten."""
        self._forecast.evaluated()
        if self._bar is not None:
            self._bar.update(self._task, best="")
        self._say(f"{self._title}{self._phase}  before the first step: {metric} {value:.4f}")

    def waiting(self) -> None:
        """A place to end."""
        signals.check()

    def evaluated(self, step: int, metric: str, value: float, best: float) -> None:
        """A line for the last evaluation; the best value beside the bar."""
        self._forecast.evaluated()
        self._best = f"best {metric} {best:.4f}  "
        if step >= self._steps:
            self._stop()
            told = f"{self._steps_done(step)}  {metric} {value:.4f}, {self._best}"
            self._say(f"{self._title}{self._phase}  {told}".rstrip())

    def done(self) -> None:
        """A line for a phase that has no held-out data."""
        self._stop()
        self._say(f"{self._title}{self._phase}  {self._steps_done(self._steps)}  {self._loss}".rstrip())

    def note(self, text: str) -> None:
        """A remark."""
        if not self._quiet:
            render.note(self._title + text)

    def _steps_done(self, step: int) -> str:
        """Steps, and the time that they took in this session."""
        steps = render.counted(step, "step") if not self._before else f"steps {self._before + 1:,} to {step:,}"
        return f"{steps} in {_time(time.monotonic() - self._started)}"

    def _say(self, text: str, style: str = "") -> None:
        if not self._quiet:
            render.said(text, style)

    def _stop(self) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None


def _time(seconds: float) -> str:
    whole = round(seconds)
    hours, rest = divmod(whole, 3600)
    return f"{hours}:{rest // 60:02d}:{rest % 60:02d}" if hours else f"{rest // 60}:{rest % 60:02d}"
