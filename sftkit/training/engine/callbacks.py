"""What a phase does at the Trainer's steps: evaluations and checkpoints in time, the regulariser, progress."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from transformers.integrations.integration_utils import get_reporting_integration_callbacks

from sftkit.errors import SettingsError
from sftkit.training.engine.checkpoints import mark_complete
from sftkit.training.engine.judge import Judge
from sftkit.training.engine.regularisers import Regulariser
from sftkit.training.engine.snapshot import Snapshot
from sftkit.training.engine.together import anywhere, asked_every, barrier
from sftkit.training.observer import Observer


def check_loggers(names: Sequence[str]) -> None:
    """Refuse loggers that the Trainer does not know, or whose library is not installed.

    Raises:
        SettingsError: naming the logger.
    """
    name = ""
    try:
        for name in names:
            for logger in get_reporting_integration_callbacks(name):
                logger()
    except (ValueError, ImportError, RuntimeError) as error:
        text = " ".join(str(error).split())
        if "to be installed" in text:
            install = re.search("`(pip install .*?)`", text)
            text = f"it is not installed here: {install[1] if install else f'pip install {name}'}"
        raise SettingsError(f"--report-to {name}: {text[:200]}") from None


class Schedule(TrainerCallback):
    """Asks for an evaluation every so many steps and at the end, and for a checkpoint at each of these but the last.

    Where nothing moves, the model is scored at the end alone: every step has the same score.
    """

    def __init__(self, every: int, last: int, *, saving: bool, moving: bool = True) -> None:
        self._every, self._last, self._saving, self._moving = every, last, saving, moving

    def due(self, step: int) -> bool:
        """Whether the model is to be scored after this step."""
        return step >= self._last or (self._moving and step % self._every == 0)

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Ask for what is due."""
        del args
        control.should_evaluate |= self.due(state.global_step)
        control.should_save |= self._saving and state.global_step < self._last and state.global_step % self._every == 0

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Mark the checkpoint, once every process has put its part there."""
        del control
        barrier()
        if state.is_world_process_zero:
            mark_complete(Path(args.output_dir or "."), state.global_step)


class ScoreStart(TrainerCallback):
    """Has the model scored before the first step; a phase that goes on from a checkpoint has that score in it."""

    def __init__(self, judge: Judge, known: float | None) -> None:
        """Say who scores, and the score where it is known."""
        self._judge, self._known = judge, known

    def on_train_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """The model is where and as it will be scored later on, with the same precision."""
        del args, control
        if state.global_step == 0:
            self._judge.begin(self._known)


class SetAside(TrainerCallback):
    """Keeps what moves as it was after one step."""

    def __init__(self, step: int, where: Snapshot, kept: Mapping[str, torch.Tensor]) -> None:
        self._step, self._where, self._kept = step, where, kept

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """A step was done."""
        del args, control
        if state.global_step == self._step:
            self._where.save(self._kept)


class Regularise(TrainerCallback):
    """Adds a regulariser's gradient before each optimizer step."""

    def __init__(self, regularise: Regulariser) -> None:
        self._regularise = regularise

    def on_pre_optimizer_step(self, *_: Any, **__: Any) -> None:
        """Gradients are there, and not used yet."""
        self._regularise()


class ProgressCallback(TrainerCallback):
    """Passes a Trainer's steps and losses on to an observer.

    An observer that asks for an end gets it at once; or, where that makes sense, once a checkpoint was saved, by all
    processes after the same step: then whoever called the Trainer has to raise ``interrupt``.
    """

    def __init__(self, observer: Observer, *, saving: bool = False) -> None:
        self._observer, self._saving = observer, saving
        self.interrupt: KeyboardInterrupt | None = None
        self._asked: KeyboardInterrupt | None = None

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """A step was done."""
        del args
        try:
            self._observer.step(state.global_step, None)
        except KeyboardInterrupt as interrupt:
            if not self._saving:
                raise
            self._asked = interrupt
        if self._saving and state.global_step % asked_every() == 0 and anywhere(self._asked is not None):
            self.end(self._asked or KeyboardInterrupt("another process was interrupted"), control)

    def end(self, interrupt: KeyboardInterrupt, control: TrainerControl) -> None:
        """Save a checkpoint and stop; where none is saved, raise the interrupt."""
        if not self._saving:
            raise interrupt
        self.interrupt = interrupt
        control.should_save = control.should_training_stop = True

    def on_log(
        self, args: Any, state: TrainerState, control: Any, logs: Mapping[str, float] | None = None, **_: Any
    ) -> None:
        """The Trainer measured its loss."""
        del args, control
        if self.interrupt is None and logs and "loss" in logs:  # the Trainer's own, without the regulariser
            self._observer.step(state.global_step, float(logs["loss"]))
