"""One phase on the Hugging Face Trainer: trains what has ``requires_grad``, keeps the best step, tells the observer.

The Trainer does mixed precision, accumulation, schedules, devices and checkpoints; callbacks add what the method needs:
the regulariser, evaluation with the best step set aside, and progress. A checkpoint holds what moves, not the model. A
phase that was killed goes on from its last checkpoint, and on a CPU ends as it would have ended, to the bit.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers import (
    PreTrainedModel,
    PrinterCallback,
    TrainingArguments,
    set_seed,
)
from transformers.utils.import_utils import is_torch_tf32_available

from sftkit.modeling.load import device_of
from sftkit.pretrained.loading import quiet
from sftkit.tasks.base import Collator, Evaluator, mean_over_labels
from sftkit.training.engine.callbacks import ProgressCallback, Regularise, Schedule, ScoreStart, SetAside
from sftkit.training.engine.checkpoints import (
    DONE,
    check_checkpoint,
    drop_checkpoints,
    latest_checkpoint,
    readable,
    step_of,
    writable,
    write_json,
)
from sftkit.training.engine.judge import Judge, Outcome, share
from sftkit.training.engine.order import Draws, Order, derived
from sftkit.training.engine.ranks import is_first, rank, world
from sftkit.training.engine.regularisers import Regulariser
from sftkit.training.engine.snapshot import Snapshot
from sftkit.training.engine.together import backend
from sftkit.training.engine.trainer import PhaseTrainer
from sftkit.training.observer import Observer
from sftkit.training.settings import Settings
from sftkit.training.sources import Sourced, SourcesEvaluator, SourceSfts, marked

#: Examples that a GPU scores at a time, at least.
_SCORED = 64
#: Processes that make batches while a GPU computes.
_WORKERS = 2


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
        seed: of dropout; the order has its own.
        folder: where checkpoints and the best step are kept; if it lasts, the same for all processes.
        loss: the objective's; None where the model itself divides its loss by the labels of a whole step.
        regularise: called once before each optimizer step, to add the regulariser's gradient.
        lasting: whether the folder outlives the run, so that checkpoints are worth their time.
        sharded: whether the model is.
        snapshot: (step, where): set what is kept aside at that step, too.
        start: the metric before the first step, where it is known; else it is scored.
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
    seed: int = 0
    counted: Mapping[str, torch.Tensor] = field(default_factory=dict)
    lasting: bool = False
    sharded: bool = False
    snapshot: tuple[int, Snapshot] | None = None
    loss: Callable[..., Any] | None = mean_over_labels
    own_lr: tuple[Sequence[nn.Parameter], float] = ((), 0.0)
    order: Order | None = None
    sources: SourceSfts | None = None
    start: float | None = None


def run_phase(phase: Phase, settings: Settings, observer: Observer) -> Outcome:
    """Train, then put the best step's values back. A phase that is done already in its folder is only put back.

    Raises:
        SettingsError: if the training diverged.
        KeyboardInterrupt: if the observer asked for an end; a lasting phase has saved a checkpoint then.
    """
    with writable(phase.folder):
        phase.folder.mkdir(parents=True, exist_ok=True)
    best, done = Snapshot(phase.folder / "best.safetensors", shared=phase.lasting), phase.folder / DONE
    if phase.lasting and done.is_file():
        if is_first():
            drop_checkpoints(phase.folder)  # a process that was killed may have left some
        best.restore({**phase.kept, **phase.counted})
        with readable(done):
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
    saving = phase.lasting
    progress = ProgressCallback(observer, saving=saving)
    order = phase.order or Order([len(phase.features)], phase.seed)
    drawn, collator = Draws(phase.features), phase.collator
    schedule = Schedule(settings.eval_every, phase.steps, saving=saving, moving=bool(phase.kept))
    with quiet():
        trainer = PhaseTrainer(
            model=phase.model,
            args=_arguments(phase, settings),
            train_dataset=Sourced(drawn, order) if phase.sources else drawn,
            data_collator=marked(collator) if phase.sources else collator,
            compute_loss_func=phase.loss and with_routers(phase.loss, phase.model),
            callbacks=[progress, schedule],
        )
        trainer.accelerator.device_placement = False  # see _move_model_to_device
        trainer.remove_callback(PrinterCallback)
        if phase.regularise is not None:
            trainer.add_callback(Regularise(phase.regularise))
        if phase.snapshot is not None:
            trainer.add_callback(SetAside(*phase.snapshot, phase.kept))
        share(phase.evaluator, alone=phase.sharded)  # whose parts all processes gather at each batch
        scored = max(settings.batch_size, _SCORED) if phase.model.device.type == "cuda" else settings.batch_size
        trainer.judge = Judge(
            phase.model, phase.evaluator, scored, phase.metric, phase.greater, phase.kept, best, observer,
            outcome,
        )  # fmt: skip
        trainer.add_callback(ScoreStart(trainer.judge, phase.start))
        trainer.moving, trainer.progress, trainer.schedule = {**phase.kept, **phase.counted}, progress, schedule
        trainer.order, trainer.sources = order, phase.sources
        trainer.own_lr, trainer.sharded = phase.own_lr, phase.sharded
        if world() > 1 and not phase.sharded:
            trainer.accelerator.ddp_handler.find_unused_parameters = not trainer.reaches_all()
        checkpoint = latest_checkpoint(phase.folder) if saving else None
        if checkpoint is not None:
            check_checkpoint(Path(checkpoint))
            observer.note(f"going on from step {step_of(Path(checkpoint)):,}")
        set_seed(derived(phase.seed, f"rank {rank()}"))  # each process drops others: its examples are others, too
        if checkpoint is not None and step_of(Path(checkpoint)) >= phase.steps:
            trainer._load_from_checkpoint(checkpoint)  # the Trainer would do one step more
        else:
            trainer.train(resume_from_checkpoint=checkpoint)
    if progress.interrupt is not None:
        raise progress.interrupt


def with_routers(loss: Callable[..., Any], model: PreTrainedModel) -> Callable[..., Any]:
    """The loss, and of mixtures of experts that say it their routers' own, weighed as their config has it."""
    weight = getattr(model.config, "router_aux_loss_coef", 0.0)

    def compute(outputs: Any, labels: torch.Tensor, num_items_in_batch: Any = None) -> Any:
        routers = getattr(outputs, "aux_loss", None)
        found = loss(outputs, labels, num_items_in_batch)
        return found if routers is None else found + weight * routers

    return compute


def _arguments(phase: Phase, settings: Settings) -> TrainingArguments:
    cuda = device_of(settings.device) == "cuda"
    arguments = TrainingArguments(
        output_dir=str(phase.folder),
        max_steps=phase.steps,
        per_device_train_batch_size=settings.batch_size,
        gradient_accumulation_steps=settings.accumulate,
        learning_rate=settings.lr,
        lr_scheduler_type="linear",
        weight_decay=0.0,
        seed=phase.seed,
        data_seed=phase.seed,
        use_cpu=device_of(settings.device) == "cpu",
        bf16=settings.precision == "bf16",
        fp16=settings.precision == "f16",
        tf32=True if cuda and is_torch_tf32_available() else None,
        logging_strategy="steps",
        logging_steps=max(1, min(50, phase.steps // 20)),
        logging_nan_inf_filter=False,  # it looks at each step's loss, and waits for it
        eval_strategy="no",
        save_strategy="no",
        save_total_limit=2,
        ddp_backend=backend(settings.device),
        ddp_broadcast_buffers=False,
        ddp_find_unused_parameters=False,
        remove_unused_columns=False,
        gradient_checkpointing=settings.checkpoint_gradients,
        report_to=list(settings.report_to),
        disable_tqdm=True,
        dataloader_pin_memory=cuda,
        dataloader_num_workers=_WORKERS if cuda and sys.platform == "linux" else 0,  # elsewhere they cannot be forked
    )
    arguments._n_gpu = min(arguments.n_gpu, 1)  # several would be given copies of the model, which φ is not written to
    return arguments
