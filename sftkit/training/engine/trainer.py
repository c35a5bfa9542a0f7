"""The Hugging Face Trainer with what a phase needs of its own: checkpoints, scores, draws, a rate apart, sources' SFTs.

Not covered: when to evaluate, save and stop, which are the callbacks' business.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers import PreTrainedModel, PrinterCallback, Trainer, TrainerCallback, TrainingArguments
from transformers.trainer import SCHEDULER_NAME
from transformers.utils.import_utils import is_torch_tf32_available

from sftkit.modeling.labelled import only_rows
from sftkit.modeling.load import device_of
from sftkit.tasks.base import ROWS
from sftkit.training.engine.callbacks import ProgressCallback, Regularise, Schedule, ScoreStart, SetAside
from sftkit.training.engine.checkpoints import JUDGE, readable_checkpoint, step_of, writable, write_json
from sftkit.training.engine.judge import Judge
from sftkit.training.engine.order import DrawnExamples, FirstDraws
from sftkit.training.engine.phase import Phase
from sftkit.training.engine.ranks import world
from sftkit.training.engine.reached import reaches_all
from sftkit.training.engine.sharded import load_optimizer, save_optimizer
from sftkit.training.engine.snapshot import Snapshot
from sftkit.training.engine.together import backend
from sftkit.training.engine.turns import SOURCE, Sourced, marked
from sftkit.training.settings import Settings

#: Processes that make batches while a GPU computes.
_WORKERS = 2


class PhaseTrainer(Trainer):
    """The Trainer with checkpoints of what moves, and scores that, unlike its own, do not depend on the batch size."""

    def __init__(self, phase: Phase, settings: Settings, judge: Judge) -> None:
        """Get ready to train a phase.

        Args:
            phase: what.
            settings: how.
            judge: scores the phase's model; its observer is told of everything else, too.
        """
        self.phase, self.judge = phase, judge
        self.progress = ProgressCallback(judge.observer, saving=phase.lasting)
        self.schedule = Schedule(settings.eval_every, phase.steps, saving=phase.lasting, moving=bool(phase.moving.kept))
        material, loss, drawn = phase.material, phase.material.objective.loss, DrawnExamples(phase.material.features)
        super().__init__(
            model=phase.model,
            args=_arguments(phase, settings),
            train_dataset=Sourced(drawn, material.order) if material.turns else drawn,
            data_collator=marked(material.collator) if material.turns else material.collator,
            compute_loss_func=loss and with_routers(loss, phase.model),
            callbacks=[self.progress, self.schedule, *self._callbacks()],
        )
        self.accelerator.device_placement = False  # see _move_model_to_device
        self._divide_by_labels_alone()
        self.remove_callback(PrinterCallback)

    def _divide_by_labels_alone(self) -> None:
        """A step's loss is its sum over all labels, divided by their number once.

        transformers 5.3 divides it by the number of batches as well. Later ones leave out each window's first label
        where they know a loss that shifts labels; ours come shifted (:mod:`sftkit.tasks.clm`).
        """
        self.accelerator.gradient_accumulation_steps = 1
        self._loss_shifts_labels = False

    def _callbacks(self) -> Iterator[TrainerCallback]:
        """Those that not every phase has, and the one that scores its start."""
        moving = self.phase.moving
        if moving.regularise is not None:
            yield Regularise(moving.regularise)
        if moving.aside is not None:
            yield SetAside(*moving.aside, moving.kept)
        yield ScoreStart(self.judge, self.phase.start)

    def _move_model_to_device(self, model: nn.Module, device: torch.device) -> None:
        """The model is there: moving it to the "cpu:0" of several processes would copy what others hold already."""
        del model, device

    def create_optimizer(self, model: nn.Module | None = None) -> torch.optim.Optimizer:
        """The Trainer's, with a group of their own for parameters that have their own learning rate."""
        optimizer = super().create_optimizer(model)
        own, lr = self.phase.moving.own_lr
        apart = {id(parameter) for parameter in own}
        for group in optimizer.param_groups:
            group["params"] = [parameter for parameter in group["params"] if id(parameter) not in apart]
        if own:
            optimizer.add_param_group({"params": list(own), "lr": lr, "weight_decay": 0.0})
        return optimizer

    def _get_train_sampler(self, train_dataset: Any = None) -> FirstDraws:
        del train_dataset
        per_step = self.args.per_device_train_batch_size * self.args.gradient_accumulation_steps * world()
        return FirstDraws(self.phase.material.order, self.args.max_steps * per_step)

    def training_step(self, *args: Any, **kwargs: Any) -> torch.Tensor:
        """One batch, forwards and backwards."""
        source = args[1].pop(SOURCE, None)
        turns = self.phase.material.turns
        with turns.on(int(source)) if turns is not None else nullcontext():
            loss: torch.Tensor = super().training_step(*args, **kwargs)
        self.judge.learned(loss)
        return loss

    def compute_loss(self, model: nn.Module, inputs: dict[str, Any], *args: Any, **kwargs: Any) -> Any:
        """The loss; of language models, from the logits of those rows alone that have a label."""
        rows = inputs.pop(ROWS, None)
        if rows is None:
            return super().compute_loss(model, inputs, *args, **kwargs)
        labels = inputs["labels"]
        inputs = {**inputs, "labels": labels.flatten().index_select(0, rows)}
        with only_rows(self.model, rows, labels.shape):
            return super().compute_loss(model, inputs, *args, **kwargs)

    def reaches_all(self) -> bool:
        """Whether a gradient reaches everything that moves; see :mod:`sftkit.training.engine.reached`."""
        model: Any = self.model
        order = self.phase.material.order
        draws = [order.number(0, place) for place in range(min(len(order), self.args.train_batch_size))]
        batch: dict[str, Any] = self._prepare_inputs(self.data_collator([self.train_dataset[draw] for draw in draws]))  # type: ignore[index]  # a map
        batch.pop(SOURCE, None)
        return reaches_all(model, model.config, self.compute_loss, batch)

    def floating_point_ops(self, inputs: dict[str, Any]) -> int:
        """Not counted: nobody asks, and to count them takes a walk over all parameters at each batch."""
        del inputs
        return 0

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
        Snapshot(folder / "moving.safetensors", shared=True).save(self.phase.moving.all)
        document = self.judge.document()
        if self.args.should_save:
            write_json(folder / JUDGE, document)
            self.phase.saved()

    def _save_checkpoint(self, *args: Any, **kwargs: Any) -> None:
        with writable(Path(self.args.output_dir or ".")):
            super()._save_checkpoint(*args, **kwargs)

    def _save_optimizer_and_scheduler(self, output_dir: str) -> None:
        if not self.phase.sharded:
            super()._save_optimizer_and_scheduler(output_dir)
            return
        model, optimizer, scheduler = self._moved_by()
        save_optimizer(model, optimizer, Path(output_dir))
        if self.args.should_save:
            torch.save(scheduler.state_dict(), Path(output_dir) / SCHEDULER_NAME)

    def _load_optimizer_and_scheduler(self, checkpoint: str | None) -> None:
        if checkpoint is None:
            return
        with readable_checkpoint(Path(checkpoint)):
            if not self.phase.sharded:
                super()._load_optimizer_and_scheduler(checkpoint)
                return
            model, optimizer, scheduler = self._moved_by()
            load_optimizer(model, optimizer, Path(checkpoint))
            scheduler.load_state_dict(torch.load(Path(checkpoint) / SCHEDULER_NAME, weights_only=True))

    def _load_rng_state(self, checkpoint: str | None) -> None:
        if checkpoint is not None:
            with readable_checkpoint(Path(checkpoint)):
                super()._load_rng_state(checkpoint)

    def _moved_by(self) -> tuple[Any, Any, Any]:
        """The model, the optimizer itself, and the scheduler."""
        optimizer: Any = self.optimizer
        return self.model, optimizer.optimizer, self.lr_scheduler

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: nn.Module | None = None) -> None:
        del model
        folder = Path(resume_from_checkpoint)
        with readable_checkpoint(folder):
            self.judge.go_on(json.loads((folder / JUDGE).read_text(encoding="utf-8")))
        Snapshot(folder / "moving.safetensors").restore(self.phase.moving.all)
        step = step_of(folder)
        if self.schedule.due(step) and step not in (point[0] for point in self.judge.outcome.history):
            self.judge(step)  # an end was asked for while it was scored


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
