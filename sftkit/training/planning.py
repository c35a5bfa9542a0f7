"""What a run will do, for the observer."""

from __future__ import annotations

from collections.abc import Sequence

from sftkit.training import memory
from sftkit.training.engine.ranks import world
from sftkit.training.engine.together import has_bf16
from sftkit.training.examples import TrainingData, per_step
from sftkit.training.loading import Equipment
from sftkit.training.methods.registry import TWO_PHASES
from sftkit.training.observer import RunPlan
from sftkit.training.settings import Settings
from sftkit.training.tunable import DTYPES, Tunable

#: Epochs of which more are told: the paper's languages have 100, or more where their text is small.
_MANY_EPOCHS = 200


def plan_of(settings: Settings, equipment: Equipment, sizes: Sequence[int]) -> RunPlan:
    """The plan of a run whose SFTs have so many entries."""
    data, tunable = equipment.data, equipment.tunable
    first = settings.method in TWO_PHASES
    steps1 = data.steps(settings.phase1, settings) if first else 0
    steps2, epoch = data.steps(settings.phase2, settings), len(data.order) / per_step(settings)
    costs = _sizes(settings, tunable, max(sizes))
    reduced = ({"phase 1": memory.reduced1(costs, settings)} if first else {}) | {"phase 2": memory.reduced2(costs)}
    return RunPlan(
        objective=settings.objective,
        method=settings.method,
        base=settings.base_name,
        under=tuple(str(sft) for sft in (settings.source_sft, *(source.sft for source in settings.sources)) if sft),
        sizes=tuple(sizes),
        backbone=tunable.size,
        maskable=tunable.movable.size,
        head=costs.head,
        frozen=tunable.movable.frozen,
        train=data.examples,
        dev=sum(evaluator.examples for evaluator in data.evaluators),
        steps1=steps1,
        steps2=steps2,
        epochs1=steps1 / epoch,
        epochs2=steps2 / epoch,
        eval_every=settings.eval_every,
        rounds=settings.iterations,
        batch_size=per_step(settings),
        tokens=data.tokens_per_step(settings),
        bf16_faster=settings.precision == "f32" and has_bf16(tunable.model.device),
        device=str(tunable.model.device),
        processes=world(),
        memory=({"phase 1": memory.phase1(costs, settings)} if first else {}) | {"phase 2": memory.phase2(costs)},
        reduced=reduced if world() > 1 else {},
        notes=_by_heart(settings, data, steps1, steps2),
    )


def _by_heart(settings: Settings, data: TrainingData, *steps: int) -> tuple[str, ...]:
    """What to say of data so small that the steps of phase 1 or 2 go through it very often."""
    most, asked = max(zip(steps, (settings.phase1.epochs or 0, settings.phase2.epochs or 0), strict=True))
    epochs = most * per_step(settings) / len(data.order)
    if epochs <= max(_MANY_EPOCHS, asked + 1):
        return ()
    what = "example" if data.objective.is_task else "window"
    return (
        f"so little to learn from ({data.examples:,} {what}{'s' if data.examples != 1 else ''}) that {most:,} steps "
        f"go through it {epochs:,.0f} times, and it is learned by heart. --steps N makes them fewer.",
    )


def _sizes(settings: Settings, tunable: Tunable, k: int) -> memory.Sizes:
    return memory.Sizes(
        weights=sum(parameter.nbytes for parameter in tunable.model.parameters()),
        maskable=tunable.movable.size,
        largest=max(parameter.numel() for parameter in tunable.movable.maskable.values()),
        head=sum(tensor.numel() for tensor in tunable.head().values()),
        k=k,
        elsewhere=_theta_elsewhere(tunable),
        width=DTYPES[settings.base_dtype].itemsize,
        processes=world(),
        fsdp=settings.fsdp,
    )


def _theta_elsewhere(tunable: Tunable) -> int:
    """Number of entries whose θ(0) takes no memory of its own: see ``theta_of``."""
    if tunable.model.device.type == "cpu":
        return tunable.movable.size
    untied, maskable = tunable.movable.untied, tunable.movable.maskable
    return maskable[untied.input].numel() if untied is not None and untied.input in maskable else 0
