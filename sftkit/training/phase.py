"""One phase on the Hugging Face Trainer: trains what has ``requires_grad``, keeps the best step, tells the observer.

The Trainer does mixed precision, accumulation, schedules, devices and checkpoints; callbacks add what the method needs:
the regulariser, evaluation with the best step set aside, and progress. A checkpoint holds what moves, not the model. A
phase that was killed goes on from its last checkpoint, and on a CPU ends as it would have ended, to the bit.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
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
from sftkit.tasks.base import Collator, DrawsByEpoch, Evaluator
from sftkit.training.checkpoints import drop_checkpoints, latest_checkpoint, mark_complete, write_json
from sftkit.training.observer import Observer
from sftkit.training.ranks import is_first
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
        counted: other tensors that a checkpoint must hold, by name: scores that grow while training.
        features, collator: the training data.
        evaluator: scores the held-out data.
        metric: which of its metrics decides.
        greater: whether more of it is better.
        steps: optimizer steps to do.
        folder: where checkpoints are, and the best step is kept in the end; the same for all processes.
        model_counts: whether the model itself divides its loss by the number of labels in the whole step.
        aside: where this process keeps the best step meanwhile; by default there, too.
        regularise: called once before each optimizer step, to add the regulariser's gradient.
        lasting: whether the folder outlives the run, so that checkpoints are worth their time.
        snapshot: (step, where): set what is kept aside at that step, too.
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
    counted: Mapping[str, torch.Tensor] = field(default_factory=dict)
    lasting: bool = False
    snapshot: tuple[int, Snapshot] | None = None
    aside: Path | None = None
    model_counts: bool = False


def run_phase(phase: Phase, settings: Settings, observer: Observer) -> Outcome:
    """Train, then put the best step's values back. A phase that is done already in its folder is only put back.

    Raises:
        SettingsError: if the training diverged.
        KeyboardInterrupt: if the observer asked for an end; a lasting phase has saved a checkpoint then.
    """
    phase.folder.mkdir(parents=True, exist_ok=True)
    kept, done = Snapshot(phase.folder / "best.safetensors"), phase.folder / "done.json"
    best = Snapshot((phase.aside or phase.folder) / "best.safetensors")
    if phase.lasting and done.is_file():
        kept.restore({**phase.kept, **phase.counted})
        return Outcome(**json.loads(done.read_text(encoding="utf-8")))
    outcome = Outcome(phase.steps)
    set_seed(settings.seed)
    with quiet():
        progress = ProgressCallback(observer, saving=phase.lasting)
        trainer = _Trainer(
            model=phase.model,
            args=_arguments(phase, settings),
            train_dataset=phase.features,
            data_collator=phase.collator,
            compute_loss_func=None if phase.model_counts else _mean_over_labels,
            callbacks=[progress, _Schedule(settings.eval_every, saving=phase.lasting), _Epochs(phase.collator)],
        )
        trainer.remove_callback(PrinterCallback)
        if phase.regularise is not None:
            trainer.add_callback(_Regularise(phase.regularise))
        if phase.snapshot is not None:
            trainer.add_callback(_SetAside(*phase.snapshot, phase.kept))
        trainer.judge = _Judge(phase, settings, observer, outcome, best)
        trainer.moving = {**phase.kept, **phase.counted}
        trainer.train(resume_from_checkpoint=latest_checkpoint(phase.folder) if phase.lasting else None)
    if progress.interrupt is not None:
        raise progress.interrupt
    best.restore(phase.kept)
    if not phase.lasting:
        best.path.unlink()
    elif is_first():
        kept.save({**phase.kept, **phase.counted})
        write_json(done, asdict(outcome))
        drop_checkpoints(phase.folder)
    return outcome


def _mean_over_labels(outputs: Any, labels: torch.Tensor, num_items_in_batch: torch.Tensor | None = None) -> Any:
    """Cross-entropy, the mean over all labels of an optimizer step, whatever batches and processes they came in.

    The mean of each batch's mean, which models give, would weigh a label by how few others came with it.
    """
    total = nn.functional.cross_entropy(
        outputs.logits.flatten(0, -2).float(), labels.flatten(), ignore_index=-100, reduction="sum"
    )
    return total / (num_items_in_batch if num_items_in_batch is not None else (labels != -100).sum())


class _Judge:
    """Scores the held-out data and sets the best step aside."""

    def __init__(self, phase: Phase, settings: Settings, observer: Observer, outcome: Outcome, best: Snapshot) -> None:
        self._phase, self._observer, self.outcome, self._best = phase, observer, outcome, best
        self._batch_size = settings.batch_size

    def __call__(self, step: int) -> dict[str, float]:
        phase, outcome = self._phase, self.outcome
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
    """The Trainer with checkpoints of what moves, and scores that, unlike its own, do not depend on the batch size."""

    judge: _Judge
    moving: Mapping[str, torch.Tensor]

    def save_model(self, output_dir: str | None = None, _internal_call: bool = False) -> None:
        """What moves, and what was scored so far."""
        del _internal_call
        assert output_dir is not None
        if self.args.should_save:
            folder = Path(output_dir)
            folder.mkdir(parents=True, exist_ok=True)
            Snapshot(folder / "moving.safetensors").save(self.moving)
            write_json(folder / "outcome.json", asdict(self.judge.outcome))

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: nn.Module | None = None) -> None:
        del model
        folder = Path(resume_from_checkpoint)
        Snapshot(folder / "moving.safetensors").restore(self.moving)
        for key, value in json.loads((folder / "outcome.json").read_text(encoding="utf-8")).items():
            setattr(self.judge.outcome, key, value)

    def evaluate(self, *args: Any, **kwargs: Any) -> dict[str, float]:
        del args, kwargs
        return self.judge(self.state.global_step)


class _Schedule(TrainerCallback):
    """Asks for an evaluation every so many steps and at the end, and for a checkpoint after each but the last."""

    def __init__(self, every: int, *, saving: bool) -> None:
        self._every, self._saving = every, saving

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        del args
        if state.global_step >= state.max_steps:
            control.should_evaluate = True
        elif state.global_step % self._every == 0:
            control.should_evaluate = True
            control.should_save = control.should_save or self._saving

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        del control
        if torch.distributed.is_initialized():
            torch.distributed.barrier()  # every process has put its part there
        if not state.is_world_process_zero:
            return
        mark_complete(Path(args.output_dir or "."), state.global_step)


class _Epochs(TrainerCallback):
    """Tells a collator which epoch it is."""

    def __init__(self, collator: Collator) -> None:
        self._drawing: Any = collator if isinstance(collator, DrawsByEpoch) else None

    def on_epoch_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        del args, control
        if self._drawing is not None:
            self._drawing.epoch = int(state.epoch or 0)


class _SetAside(TrainerCallback):
    """Keeps what moves as it was after one step."""

    def __init__(self, step: int, where: Snapshot, kept: Mapping[str, torch.Tensor]) -> None:
        self._step, self._where, self._kept = step, where, kept

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        del args, control
        if state.global_step == self._step:
            self._where.save(self._kept)


class _Regularise(TrainerCallback):
    def __init__(self, regularise: Regulariser) -> None:
        self._regularise = regularise

    def on_pre_optimizer_step(self, *_: Any, **__: Any) -> None:
        self._regularise()


class ProgressCallback(TrainerCallback):
    """Passes a Trainer's steps and losses on to an observer.

    An observer that asks for an end gets it at once; or, where that makes sense, once a checkpoint was saved: then
    whoever called the Trainer has to raise ``interrupt``.
    """

    def __init__(self, observer: Observer, *, saving: bool = False) -> None:
        self._observer, self._saving = observer, saving
        self.interrupt: KeyboardInterrupt | None = None

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """A step was done."""
        del args
        try:
            self._observer.step(state.global_step, None)
        except KeyboardInterrupt as interrupt:
            if not self._saving:
                raise
            self.interrupt = interrupt
            control.should_save = control.should_training_stop = True

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
        save_total_limit=2,
        ddp_broadcast_buffers=False,
        remove_unused_columns=False,
        gradient_checkpointing=settings.checkpoint_gradients,
        report_to=list(settings.report_to),
        disable_tqdm=True,
        dataloader_pin_memory=False,
    )


def both(first: Regulariser | None, second: Regulariser | None) -> Regulariser | None:
    """The two one after the other."""
    if first is None or second is None:
        return first or second

    def call() -> None:
        first()
        second()

    return call


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
