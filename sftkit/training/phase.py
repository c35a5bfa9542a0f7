"""One phase on the Hugging Face Trainer: trains what has ``requires_grad``, keeps the best step, tells the observer.

The Trainer does mixed precision, accumulation, schedules and devices; three callbacks add what the method needs: the L1
regulariser, evaluation with the best step set aside, and progress.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from torch import nn
from transformers import (
    PreTrainedModel,
    PrinterCallback,
    Trainer,
    TrainerCallback,
    TrainerControl,
    TrainerState,
    TrainingArguments,
    set_seed,
)

from sftkit.errors import SettingsError
from sftkit.modeling.load import quiet
from sftkit.tasks.base import Collator, Evaluator
from sftkit.training.observer import Observer
from sftkit.training.settings import Settings
from sftkit.training.snapshot import Snapshot

Regulariser = Callable[[], None]


@dataclass
class Outcome:
    """What a phase did.

    Attributes:
        steps: optimizer steps done.
        best_step, best_value: where the chosen metric was best, and its value there.
        history: [step, value] of every evaluation.
    """

    steps: int
    best_step: int = 0
    best_value: float = math.nan
    history: list[list[float]] = field(default_factory=list)


@dataclass(frozen=True)
class Phase:
    """Everything one phase needs.

    Attributes:
        model: its trainable parameters are what moves.
        kept: the tensors to set aside at the best step, by name.
        features, collator: the training data.
        evaluator: scores the held-out data.
        metric: which of its metrics decides.
        greater: whether more of it is better.
        steps: optimizer steps to do.
        folder: where the best step is kept.
        regularise: called once before each optimizer step, to add the regulariser's gradient.
    """

    model: PreTrainedModel
    kept: Mapping[str, torch.Tensor]
    features: Dataset
    collator: Collator
    evaluator: Evaluator
    metric: str
    greater: bool
    steps: int
    folder: Path
    regularise: Regulariser | None


def run_phase(phase: Phase, settings: Settings, observer: Observer) -> Outcome:
    """Train, then put the best step's values back.

    Raises:
        SettingsError: if the training diverged.
    """
    outcome = Outcome(phase.steps)
    best = Snapshot(phase.folder / "best.safetensors")
    set_seed(settings.seed)
    with quiet():
        trainer = _Trainer(
            model=phase.model,
            args=_arguments(phase, settings),
            train_dataset=phase.features,
            data_collator=phase.collator,
            callbacks=[ProgressCallback(observer), _Schedule(settings.eval_every)],
        )
        trainer.remove_callback(PrinterCallback)
        if phase.regularise is not None:
            trainer.add_callback(_Regularise(phase.regularise))
        trainer.judge = _Judge(phase, settings, observer, outcome, best)
        trainer.train()
    best.restore(phase.kept)
    best.path.unlink()
    return outcome


class _Judge:
    """Scores the held-out data and sets the best step aside."""

    def __init__(self, phase: Phase, settings: Settings, observer: Observer, outcome: Outcome, best: Snapshot) -> None:
        self._phase, self._observer, self._outcome, self._best = phase, observer, outcome, best
        self._batch_size = settings.batch_size

    def __call__(self, step: int) -> dict[str, float]:
        phase, outcome = self._phase, self._outcome
        if outcome.history and outcome.history[-1][0] == step:
            return {}  # the Trainer asks once more when an epoch ends on the step that was just scored
        self._observer.evaluating()
        phase.model.eval()
        scores = phase.evaluator(phase.model, self._batch_size)
        phase.model.train()
        value = scores.metrics[phase.metric]
        if not math.isfinite(value):
            raise SettingsError(f"The training diverged: {phase.metric} is {value} at step {step}. Try a lower --lr.")
        outcome.history.append([step, value])
        better = value > outcome.best_value if phase.greater else value < outcome.best_value
        if better or math.isnan(outcome.best_value):
            outcome.best_step, outcome.best_value = step, value
            self._best.save(phase.kept)
        self._observer.evaluated(step, phase.metric, value, outcome.best_value)
        return {f"eval_{name}": number for name, number in scores.metrics.items()}


class _Trainer(Trainer):
    """The Trainer with our scoring in place of its own, whose mean loss depends on the batch size."""

    judge: _Judge

    def evaluate(self, *args: Any, **kwargs: Any) -> dict[str, float]:
        del args, kwargs
        return self.judge(self.state.global_step)


class _Schedule(TrainerCallback):
    """Asks for an evaluation every so many steps, and always at the end."""

    def __init__(self, every: int) -> None:
        self._every = every

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        del args
        if state.global_step % self._every == 0 or state.global_step >= state.max_steps:
            control.should_evaluate = True


class _Regularise(TrainerCallback):
    def __init__(self, regularise: Regulariser) -> None:
        self._regularise = regularise

    def on_pre_optimizer_step(self, *_: Any, **__: Any) -> None:
        self._regularise()


class ProgressCallback(TrainerCallback):
    """Passes a Trainer's steps and losses on to an observer."""

    def __init__(self, observer: Observer) -> None:
        self._observer = observer

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """A step was done."""
        del args, control
        self._observer.step(state.global_step, None)

    def on_log(
        self, args: Any, state: TrainerState, control: Any, logs: Mapping[str, float] | None = None, **_: Any
    ) -> None:
        """The Trainer measured its loss."""
        del args, control
        if logs and "loss" in logs:  # the Trainer's own, without the regulariser
            self._observer.step(state.global_step, float(logs["loss"]))


def _arguments(phase: Phase, settings: Settings) -> TrainingArguments:
    return TrainingArguments(
        output_dir=str(phase.folder),
        max_steps=phase.steps,
        per_device_train_batch_size=settings.batch_size,
        gradient_accumulation_steps=settings.accumulate,
        learning_rate=settings.lr,
        lr_scheduler_type="linear",
        weight_decay=0.0,
        seed=settings.seed,
        data_seed=settings.seed,
        use_cpu=settings.device == "cpu",
        bf16=settings.precision == "bf16",
        fp16=settings.precision == "f16",
        logging_strategy="steps",
        logging_steps=max(1, min(50, phase.steps // 20)),
        eval_strategy="no",
        save_strategy="no",
        report_to=[],
        disable_tqdm=True,
        dataloader_pin_memory=False,
    )


def l1_towards(maskable: Mapping[str, nn.Parameter], before: Snapshot, strength: float) -> Regulariser | None:
    """Adds strength · sign(θ - θ(0)) to the gradients in place; None for a strength of 0.

    Args:
        maskable: what is regularised.
        before: θ(0).
        strength: λ/N.
    """
    if strength == 0:
        return None
    parameters = list(maskable.values())
    start = [before.tensor(name).to(parameter.device) for name, parameter in maskable.items()]

    @torch.no_grad()
    def regularise() -> None:
        for parameter, origin in zip(parameters, start, strict=True):
            if parameter.grad is not None:
                parameter.grad.add_((parameter - origin).sign_(), alpha=strength)

    return regularise


def l1_on(phis: list[nn.Parameter], strength: float) -> Regulariser | None:
    """Adds strength · sign(φ) to the gradients in place; None for a strength of 0."""
    if strength == 0:
        return None

    @torch.no_grad()
    def regularise() -> None:
        for phi in phis:
            if phi.grad is not None:
                phi.grad.add_(phi.sign(), alpha=strength)

    return regularise
