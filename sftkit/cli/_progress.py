"""A training run as the user sees it: a rich display on a terminal, plain lines where it is none, nothing if quiet."""

from __future__ import annotations

import time
from collections.abc import Mapping
from types import TracebackType

from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    TaskID,
    TaskProgressColumn,
    TextColumn,
    TimeRemainingColumn,
)

from sftkit.cli import _render, _signals
from sftkit.training.observer import Observer, Plan

_PLAIN_EVERY = 10.0  # seconds between lines where nobody watches a bar


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
        self._console: Console = _render.stderr()
        self._quiet = quiet
        self._title = f"{title}: " if title else ""
        self._bar: Progress | None = None
        self._task = TaskID(0)
        self._phase, self._steps, self._loss, self._best = "", 0, "", ""
        self._started = self._spoke = time.monotonic()

    def __enter__(self) -> TrainingDisplay:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Take the bar away."""
        _signals.be_patient(False)
        self._stop()

    def loading(self, what: str) -> None:
        """A line."""
        _signals.check()  # an interruption can be lost while modules are imported
        self._stop()
        if self._console.is_terminal:
            self._say(f"[dim]loading {what} …[/]")

    def reading(self, what: str, lines: int, share: float | None) -> None:
        """A bar for each text; without one, a line now and then."""
        _signals.check()
        if what != self._phase:
            self._stop()
            self._phase, self._spoke = what, time.monotonic()
            self._start(None if share is None else 1.0, TaskProgressColumn(), TextColumn("{task.fields[loss]}"))
        told = f"{lines:,} lines  " if lines else ""
        if self._bar is not None:
            self._bar.update(self._task, completed=share or 0.0, loss=told)
        elif time.monotonic() - self._spoke > _PLAIN_EVERY:
            self._spoke = time.monotonic()
            self._say(f"{self._title}{escape(what)}  {told}{'' if share is None else f'{share:.0%}'}".rstrip())

    def planned(self, plan: Plan) -> None:
        """The run's header."""
        self._stop()
        sizes = ", ".join(f"{k:,}" for k in plan.sizes)
        shares = ", ".join(_render.share(k / plan.backbone) for k in plan.sizes)
        rounds = f"{plan.rounds} × " if plan.rounds > 1 else ""
        phase1 = f"{rounds}{plan.steps1:,} + " if plan.steps1 else ""
        steps = f"{phase1}{plan.steps2:,} steps" if phase1 else _render.counted(plan.steps2, "step")
        tokens = f" ({_render.counted(plan.tokens, 'token')})" if plan.tokens else ""
        lines = [
            f"[bold]{self._title}{plan.objective}[/] on {escape(plan.base)}, {plan.method}: K = {sizes} "
            f"({shares} of {plan.backbone:,}), head {plan.head:,}",
            f"  frozen: {escape(plan.frozen)}; {_render.counted(plan.train, 'example')}, {plan.dev:,} to choose "
            f"the best step on; {steps} of {plan.batch_size}{tokens}",
            f"  on {plan.device}{_processes(plan)}",
            *(f"  memory, {phase}: {_memory(needed)}" for phase, needed in plan.memory.items()),
        ]
        self._say("\n".join(lines))

    def phase(self, name: str, steps: int) -> None:
        """A new bar, or a line."""
        _signals.check()
        _signals.be_patient(self._patient and steps > 0)  # only steps can save: everything else ends at once
        self._stop()
        self._phase, self._steps, self._loss, self._best = name, steps, "", ""
        self._started = self._spoke = time.monotonic()
        if steps:
            self._start(steps, MofNCompleteColumn(), TextColumn("{task.fields[loss]}{task.fields[best]}"))

    def _start(self, total: float | None, *columns: ProgressColumn) -> None:
        if self._quiet or not self._console.is_terminal:
            return
        left = (TimeRemainingColumn(), TextColumn("left")) if total is not None else ()
        shown = (TextColumn("{task.description}"), BarColumn(), *columns, *left)
        self._bar = Progress(*shown, console=self._console, transient=True)
        self._task = self._bar.add_task(escape(f"{self._title}{self._phase}"), total=total, loss="", best="")
        self._bar.start()

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
        _signals.check()
        if loss is not None:
            self._loss = f"training loss {loss:.3f}  "
        if self._bar is not None:
            self._bar.update(self._task, completed=step, loss=self._loss, best=self._best)
        elif loss is not None and time.monotonic() - self._spoke > _PLAIN_EVERY:
            self._spoke = time.monotonic()
            left = (self._spoke - self._started) / max(step, 1) * (self._steps - step)
            self._say(
                f"{self._title}{self._phase}  step {step:,}/{self._steps:,}  {self._loss}{self._best}{_time(left)} left"
            )

    def evaluating(self) -> None:
        """Say so beside the bar."""
        if self._bar is not None:
            self._bar.update(self._task, best="scoring …  ")

    def waiting(self) -> None:
        """A place to end."""
        _signals.check()

    def evaluated(self, step: int, metric: str, value: float, best: float) -> None:
        """A line for the last evaluation; the best value beside the bar."""
        self._best = f"best {metric} {best:.4f}  "
        if step >= self._steps:
            seconds = time.monotonic() - self._started
            self._stop()
            self._say(
                f"{self._title}{self._phase}  {_render.counted(step, 'step')} in {_time(seconds)}  "
                f"{metric} {value:.4f}, {self._best}"
            )

    def done(self) -> None:
        """A line for a phase that has no held-out data."""
        seconds = time.monotonic() - self._started
        self._stop()
        self._say(
            f"{self._title}{self._phase}  {_render.counted(self._steps, 'step')} in {_time(seconds)}  {self._loss}"
        )

    def note(self, text: str) -> None:
        """A remark."""
        if not self._quiet:
            _render.note(text)

    def _say(self, text: str) -> None:
        if not self._quiet:
            self._console.print(text, soft_wrap=True)

    def _stop(self) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None


def _time(seconds: float) -> str:
    whole = round(seconds)
    hours, rest = divmod(whole, 3600)
    return f"{hours}:{rest // 60:02d}:{rest % 60:02d}" if hours else f"{rest // 60}:{rest % 60:02d}"


def _processes(plan: Plan) -> str:
    if plan.processes == 1:
        return ""
    reduced = ", ".join(f"{_render.size(count)} in {phase}" for phase, count in plan.reduced.items())
    return f", {plan.processes} processes; gradients that they sum at a step: {reduced}"


def _memory(needed: Mapping[str, int]) -> str:
    parts = ", ".join(f"{what} {_render.size(count)}" for what, count in needed.items() if count)
    return f"{_render.size(sum(needed.values()))} ({parts}) and activations"
