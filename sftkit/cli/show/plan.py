"""What a run is about to do and how long it takes, in words: the header of ``train``, and what ``--dry-run`` says."""

from __future__ import annotations

from collections.abc import Mapping

from sftkit.cli.show import render
from sftkit.training.forecast import Forecast
from sftkit.training.observer import RunPlan

#: A run of more seconds than this is worth a directory that keeps it.
_LONG = 600.0


def header(plan: RunPlan) -> list[str]:
    """The lines of a run's header, without markup."""
    sizes = ", ".join(f"{k:,}" for k in plan.sizes)
    shares = ", ".join(render.share(k / plan.backbone) for k in plan.sizes)
    base = " + ".join([plan.base, *plan.under])
    lines = [
        f"{plan.objective} on {base}, {plan.method}: K = {sizes} ({shares} of {plan.backbone:,}), head {plan.head:,}",
        f"  frozen: {plan.frozen}; {render.counted(plan.train, 'example')}, {plan.dev:,} to choose "
        f"the best step on; {_steps(plan)} of {plan.batch_size}{_tokens(plan)}, {_epochs(plan)}",
        f"  on {plan.device}{_processes(plan)}",
        *(f"  memory, {phase}: {in_words(needed)}" for phase, needed in plan.memory.items()),
    ]
    if plan.bf16_faster:
        lines.append("  --precision bf16 may be faster, with large models above all: this device computes in it")
    return lines


def expected(plan: RunPlan, forecast: Forecast, seconds: float, *, unsafe: bool) -> str:
    """The line of the time that a run takes.

    Args:
        plan: the run.
        forecast: what was measured of it.
        seconds: what is left of it.
        unsafe: whether an end before the end would lose what was done.
    """
    each = [_phase(phase, steps, forecast) for phase, steps in _phases(plan)]
    each.append(f"{render.counted(forecast.evaluations_in_all, 'evaluation')} × {_seconds(forecast.scoring_seconds)}")
    keep = "; --run-dir DIR keeps it safe" if unsafe and seconds > _LONG else ""
    return f"  time: {' + '.join(each)}: about {duration(seconds)}{keep}"


def duration(seconds: float) -> str:
    """A time in the two largest units: "9 h 30 min"."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes = round(seconds / 60)
    if minutes < 60:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return f"{hours} h {minutes} min"
    days, hours = divmod(round(seconds / 3600), 24)
    return f"{days} d {hours} h"


def _phases(plan: RunPlan) -> list[tuple[str, int]]:
    """Phase -> steps of it in the whole run."""
    steps2 = len(plan.sizes) * (plan.steps2 + (plan.rounds - 1) * plan.steps1)
    return [*([("phase 1", plan.steps1)] if plan.steps1 else []), ("phase 2", steps2)]


def _phase(phase: str, steps: int, forecast: Forecast) -> str:
    guessed = "" if forecast.measured(phase) else " (taken to be as slow as phase 1's)"
    return f"{render.counted(steps, 'step')} of {phase} × {_seconds(forecast.step_seconds(phase))}{guessed}"


def _seconds(seconds: float | None) -> str:
    return f"{seconds:.3g} s" if seconds is not None else "?"


def _tokens(plan: RunPlan) -> str:
    return f" ({render.counted(plan.tokens, 'token')})" if plan.tokens else ""


def _steps(plan: RunPlan) -> str:
    rounds = f"{plan.rounds} × " if plan.rounds > 1 else ""
    return f"{rounds}{plan.steps1:,} + {plan.steps2:,} steps" if plan.steps1 else render.counted(plan.steps2, "step")


def _epochs(plan: RunPlan) -> str:
    each = [*([plan.epochs1] if plan.steps1 else []), plan.epochs2]
    numbers = " + ".join(f"{epochs:,.0f}" if epochs >= 100 else f"{epochs:.3g}" for epochs in each)
    return f"{numbers} {'epoch' if each == [1] else 'epochs'}"


def _processes(plan: RunPlan) -> str:
    if plan.processes == 1:
        return ""
    reduced = ", ".join(f"{render.size(count)} in {phase}" for phase, count in plan.reduced.items())
    return f", {plan.processes} processes; gradients that they sum at a step: {reduced}"


def in_words(needed: Mapping[str, int]) -> str:
    """Memory: in all, and what for."""
    parts = ", ".join(f"{what} {render.size(count)}" for what, count in needed.items() if count)
    return f"{render.size(sum(needed.values()))} ({parts}) and activations"
