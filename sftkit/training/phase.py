"""One phase on the Hugging Face Trainer: trains what has ``requires_grad``, keeps the best step, tells the observer.

The Trainer does mixed precision, accumulation, schedules, devices and checkpoints; callbacks add what the method needs:
the regulariser, evaluation with the best step set aside, and progress. A checkpoint holds what moves, not the model. A
phase that was killed goes on from its last checkpoint, and on a CPU ends as it would have ended, to the bit.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers import (
    PreTrainedModel,
    PrinterCallback,
    Trainer,
    TrainingArguments,
    set_seed,
)
from transformers.trainer import SCHEDULER_NAME

from sftkit.modeling.load import device_of, quiet
from sftkit.tasks.base import Collator, Evaluator, mean_over_labels
from sftkit.training.callbacks import ProgressCallback, Regularise, Schedule, SetAside
from sftkit.training.checkpoints import drop_checkpoints, latest_checkpoint, step_of, write_json
from sftkit.training.judge import Judge, Outcome
from sftkit.training.observer import Observer
from sftkit.training.order import Draws, FirstDraws, Order
from sftkit.training.ranks import is_first, world
from sftkit.training.regularisers import Regulariser
from sftkit.training.settings import Settings
from sftkit.training.sharded import load_optimizer, save_optimizer
from sftkit.training.snapshot import Snapshot
from sftkit.training.sources import SOURCE, Sourced, SourcesEvaluator, SourceSfts, marked

#: What the folder of a phase that is done holds, if it lasts: the phase's outcome.
DONE = "done.json"


@dataclass(frozen=True)
class Phase:
    """Everything one phase needs.

    Attributes:
        model: its trainable parameters are what moves.
        kept: the tensors to set aside at the best step, by name.
        counted: other tensors that a checkpoint must hold, by name: scores that grow while training.
        features, collator: the training data, by index.
        order: in which the features are drawn; by default all of them, shuffled.
        sources: the SFTs that are put on in turns, each for its own source's batches.
        evaluator: scores the held-out data.
        metric: which of its metrics decides.
        greater: whether more of it is better.
        steps: optimizer steps to do.
        folder: where checkpoints and the best step are kept; if it lasts, the same for all processes.
        loss: the objective's; None where the model itself divides its loss by the labels of a whole step.
        regularise: called once before each optimizer step, to add the regulariser's gradient.
        lasting: whether the folder outlives the run, so that checkpoints are worth their time.
        sharded: whether the model is.
        snapshot: (step, where): set what is kept aside at that step, too.
        own_lr: parameters that have another learning rate than the rest, and that rate; it falls as the others do.
    """

    model: PreTrainedModel
    kept: Mapping[str, torch.Tensor]
    features: Any
    collator: Collator
    evaluator: Evaluator | SourcesEvaluator
    metric: str
    greater: bool
    steps: int
    folder: Path
    regularise: Regulariser | None
    counted: Mapping[str, torch.Tensor] = field(default_factory=dict)
    lasting: bool = False
    sharded: bool = False
    snapshot: tuple[int, Snapshot] | None = None
    loss: Callable[..., Any] | None = mean_over_labels
    own_lr: tuple[Sequence[nn.Parameter], float] = ((), 0.0)
    order: Order | None = None
    sources: SourceSfts | None = None


def run_phase(phase: Phase, settings: Settings, observer: Observer) -> Outcome:
    """Train, then put the best step's values back. A phase that is done already in its folder is only put back.

    Raises:
        SettingsError: if the training diverged.
        KeyboardInterrupt: if the observer asked for an end; a lasting phase has saved a checkpoint then.
    """
    phase.folder.mkdir(parents=True, exist_ok=True)
    best, done = Snapshot(phase.folder / "best.safetensors", shared=phase.lasting), phase.folder / DONE
    if phase.lasting and done.is_file():
        if is_first():
            drop_checkpoints(phase.folder)  # a process that was killed may have left some
        best.restore({**phase.kept, **phase.counted})
        return Outcome(**json.loads(done.read_text(encoding="utf-8")))
    outcome = Outcome(phase.steps)
    _train(phase, settings, observer, outcome, best)
    best.restore(phase.kept)
    if not phase.lasting:
        best.path.unlink()
        return outcome
    best.save({**phase.kept, **phase.counted})
    if is_first():
        write_json(done, asdict(outcome))
        drop_checkpoints(phase.folder)
    return outcome


def _train(phase: Phase, settings: Settings, observer: Observer, outcome: Outcome, best: Snapshot) -> None:
    set_seed(settings.seed)
    saving = phase.lasting
    progress = ProgressCallback(observer, saving=saving)
    order = phase.order or Order([len(phase.features)], settings.seed)
    drawn, collator = Draws(phase.features), phase.collator
    schedule = Schedule(settings.eval_every, phase.steps, saving=saving, moving=bool(phase.kept))
    with quiet():
        trainer = _Trainer(
            model=phase.model,
            args=_arguments(phase, settings),
            train_dataset=Sourced(drawn, order) if phase.sources else drawn,
            data_collator=marked(collator) if phase.sources else collator,
            compute_loss_func=phase.loss,
            callbacks=[progress, schedule],
        )
        trainer.accelerator.device_placement = False  # see _move_model_to_device
        trainer.remove_callback(PrinterCallback)
        if phase.regularise is not None:
            trainer.add_callback(Regularise(phase.regularise))
        if phase.snapshot is not None:
            trainer.add_callback(SetAside(*phase.snapshot, phase.kept))
        trainer.judge = Judge(
            phase.model, phase.evaluator, settings.batch_size, phase.metric, phase.greater, phase.kept, best, observer,
            outcome,
        )  # fmt: skip
        trainer.moving, trainer.progress, trainer.schedule = {**phase.kept, **phase.counted}, progress, schedule
        trainer.order, trainer.sources = order, phase.sources
        trainer.own_lr, trainer.sharded = phase.own_lr, phase.sharded
        checkpoint = latest_checkpoint(phase.folder) if saving else None
        if checkpoint is not None and step_of(Path(checkpoint)) >= phase.steps:
            trainer._load_from_checkpoint(checkpoint)  # the Trainer would do one step more
        else:
            trainer.train(resume_from_checkpoint=checkpoint)
    if progress.interrupt is not None:
        raise progress.interrupt


class _Trainer(Trainer):
    """The Trainer with checkpoints of what moves, and scores that, unlike its own, do not depend on the batch size."""

    judge: Judge
    moving: Mapping[str, torch.Tensor]
    own_lr: tuple[Sequence[nn.Parameter], float]
    sharded: bool
    progress: ProgressCallback
    schedule: Schedule
    order: Order
    sources: SourceSfts | None

    def _move_model_to_device(self, model: nn.Module, device: torch.device) -> None:
        """The model is there: moving it to the "cpu:0" of several processes would copy what others hold already."""
        del model, device

    def create_optimizer(self, model: nn.Module | None = None) -> torch.optim.Optimizer:
        """The Trainer's, with a group of their own for parameters that have their own learning rate."""
        optimizer = super().create_optimizer(model)
        own, lr = self.own_lr
        apart = {id(parameter) for parameter in own}
        for group in optimizer.param_groups:
            group["params"] = [parameter for parameter in group["params"] if id(parameter) not in apart]
        if own:
            optimizer.add_param_group({"params": list(own), "lr": lr, "weight_decay": 0.0})
        return optimizer

    def _get_train_sampler(self, train_dataset: Any = None) -> FirstDraws:
        del train_dataset
        per_step = self.args.per_device_train_batch_size * self.args.gradient_accumulation_steps * world()
        return FirstDraws(self.order, self.args.max_steps * per_step)

    def training_step(self, *args: Any, **kwargs: Any) -> torch.Tensor:
        """One batch, forwards and backwards."""
        source = args[1].pop(SOURCE, None)
        with self.sources.on(int(source)) if self.sources is not None else nullcontext():
            loss: torch.Tensor = super().training_step(*args, **kwargs)
        self.judge.learned(loss)
        return loss

    @contextmanager
    def _defer_fsdp_gradient_reduction(self) -> Iterator[None]:
        """Sum gradients over processes once a step; the Trainer's own asks a config that only its loader makes."""
        model: Any = self.model
        model.set_requires_gradient_sync(False)
        try:
            yield
        finally:
            model.set_requires_gradient_sync(True)

    def evaluate(self, *args: Any, **kwargs: Any) -> dict[str, float]:
        """Score the step that was done, unless the observer asks for an end meanwhile: then once it is gone on with."""
        del args, kwargs
        self.control.should_evaluate = False
        try:
            scores = self.judge(self.state.global_step)
        except KeyboardInterrupt as interrupt:
            self.progress.end(interrupt, self.control)
            return {}
        return {f"eval_{name}": number for name, number in scores.items()}

    def save_model(self, output_dir: str | None = None, _internal_call: bool = False) -> None:
        """What moves, and what was scored so far."""
        del _internal_call
        assert output_dir is not None
        folder = Path(output_dir)
        folder.mkdir(parents=True, exist_ok=True)
        Snapshot(folder / "moving.safetensors", shared=True).save(self.moving)
        if self.args.should_save:
            write_json(folder / "judge.json", self.judge.document())

    def _save_optimizer_and_scheduler(self, output_dir: str) -> None:
        if not self.sharded:
            super()._save_optimizer_and_scheduler(output_dir)
            return
        model, optimizer, scheduler = self._moved_by()
        save_optimizer(model, optimizer, Path(output_dir))
        if self.args.should_save:
            torch.save(scheduler.state_dict(), Path(output_dir) / SCHEDULER_NAME)

    def _load_optimizer_and_scheduler(self, checkpoint: str | None) -> None:
        if not self.sharded or checkpoint is None:
            super()._load_optimizer_and_scheduler(checkpoint)
            return
        model, optimizer, scheduler = self._moved_by()
        load_optimizer(model, optimizer, Path(checkpoint))
        scheduler.load_state_dict(torch.load(Path(checkpoint) / SCHEDULER_NAME, weights_only=True))

    def _moved_by(self) -> tuple[Any, Any, Any]:
        """The model, the optimizer itself, and the scheduler."""
        optimizer: Any = self.optimizer
        return self.model, optimizer.optimizer, self.lr_scheduler

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: nn.Module | None = None) -> None:
        del model
        folder = Path(resume_from_checkpoint)
        Snapshot(folder / "moving.safetensors").restore(self.moving)
        self.judge.go_on(json.loads((folder / "judge.json").read_text(encoding="utf-8")))
        step = step_of(folder)
        if self.schedule.due(step) and step not in (point[0] for point in self.judge.outcome.history):
            self.judge(step)  # an end was asked for while it was scored


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
        use_cpu=device_of(settings.device) == "cpu",
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
