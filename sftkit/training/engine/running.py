"""Runs one phase on the Hugging Face Trainer: trains what has ``requires_grad`` and keeps the best step.

The Trainer does mixed precision, accumulation, schedules, devices and checkpoints; callbacks add what the method needs:
the regulariser, evaluation with the best step set aside, and progress. A checkpoint holds what moves, not the model. A
phase that was killed goes on from its last checkpoint, and on a CPU ends as it would have ended, to the bit.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

from transformers import set_seed

from sftkit.pretrained.loading import quiet
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
from sftkit.training.engine.order import derived
from sftkit.training.engine.phase import Phase
from sftkit.training.engine.ranks import is_first, rank, world
from sftkit.training.engine.snapshot import Snapshot
from sftkit.training.engine.trainer import PhaseTrainer
from sftkit.training.observer import Observer
from sftkit.training.settings import Settings

#: Examples that a GPU scores at a time, at least.
_SCORED = 64


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
        best.restore(phase.moving.all)
        with readable(done):
            before = Outcome(**json.loads(done.read_text(encoding="utf-8")))
        observer.going_on(before.steps, before.steps)
        return before
    outcome = _train(phase, settings, _judge(phase, settings, observer, best))
    best.restore(phase.moving.kept)
    if not phase.lasting:
        best.path.unlink()
        return outcome
    best.save(phase.moving.all)
    if is_first():
        write_json(done, asdict(outcome))
        drop_checkpoints(phase.folder)
    return outcome


def _judge(phase: Phase, settings: Settings, observer: Observer, best: Snapshot) -> Judge:
    material, objective = phase.material, phase.material.objective
    share(material.evaluator, alone=phase.sharded)  # whose parts all processes gather at each batch
    scored = max(settings.batch_size, _SCORED) if phase.model.device.type == "cuda" else settings.batch_size
    return Judge(
        phase.model, material.evaluator, scored, objective.best_metric, objective.greater_is_better, phase.moving.kept,
        best, observer, Outcome(phase.steps),
    )  # fmt: skip


def _train(phase: Phase, settings: Settings, judge: Judge) -> Outcome:
    with quiet():
        trainer = PhaseTrainer(phase, settings, judge)
        if world() > 1 and not phase.sharded:
            trainer.accelerator.ddp_handler.find_unused_parameters = not trainer.reaches_all()
        checkpoint = latest_checkpoint(phase.folder) if phase.lasting else None
        if checkpoint is not None:
            check_checkpoint(Path(checkpoint))
            judge.observer.going_on(step_of(Path(checkpoint)), phase.steps)
        set_seed(derived(phase.seed, f"rank {rank()}"))  # each process drops others: its examples are others, too
        if checkpoint is not None and step_of(Path(checkpoint)) >= phase.steps:
            trainer._load_from_checkpoint(checkpoint)  # the Trainer would do one step more
        else:
            trainer.train(resume_from_checkpoint=checkpoint)
    if trainer.progress.interrupt is not None:
        raise trainer.progress.interrupt
    return judge.outcome
