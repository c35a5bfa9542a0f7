"""A step of each phase beside a step of the plain Hugging Face Trainer on the same model: time, and peak memory.

Run by hand: ``python -m tests.benchmarks.training [mbert|small] [STEPS]``. Limits at mBERT's size (batch 8 x 64), with
L1: phase 1 0.70 x the time and 0.95 x the memory, phase 2 0.50 x and 0.62 x. 15 % of the tokens have a label, as in
masked language modelling. Every variant runs in a process of its own, one after the other.
"""

from __future__ import annotations

import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from datasets import Dataset
from transformers import BertConfig, BertForMaskedLM, PrinterCallback, Trainer, TrainerCallback, TrainingArguments

from sftkit.modeling.sparse import sparse_parameters
from sftkit.tasks.base import IGNORED, with_rows
from sftkit.tasks.evaluator import Evaluator
from sftkit.tasks.registry import objective_of
from sftkit.tasks.tally import Tally, mean_loss
from sftkit.training.engine.order import Order
from sftkit.training.engine.phase import Material, Moving, Phase
from sftkit.training.engine.regularisers import l1_on, l1_towards
from sftkit.training.engine.running import run_phase
from sftkit.training.engine.snapshot import Snapshot
from sftkit.training.observer import Observer
from sftkit.training.selection.movable import freeze, theta_of
from sftkit.training.selection.ranking import at_random
from sftkit.training.settings import settings_for

SIZES = {
    "mbert": BertConfig(vocab_size=119_547),
    "small": BertConfig(
        vocab_size=30_000, hidden_size=256, num_hidden_layers=4, num_attention_heads=4, intermediate_size=1024
    ),
    "pico": BertConfig(
        vocab_size=300, hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=24
    ),
}  # fmt: skip
LENGTHS = {"mbert": 64, "small": 128, "pico": 16}
#: Most of the plain Trainer's time and memory.
VARIANTS: dict[str, tuple[float, float] | None] = {
    "plain Trainer": None, "phase 1": None, "phase 1, L1": (0.70, 0.95), "phase 2": None, "phase 2, L1": (0.50, 0.62),
}  # fmt: skip
BATCH = 8
DENSITY = 7_667_712 / 177_262_848
LABELLED = 0.15


@dataclass(frozen=True)
class Task:
    """What is timed, where."""

    size: str
    steps: int
    length: int
    device: str = "cpu"
    precision: str = "f32"


class _NoScore(Evaluator):
    examples = 1

    def predict(self, model: Any, batch_size: int) -> list[Any]:
        del model, batch_size
        return []

    def tally(self, predicted: Sequence[Any]) -> Tally:
        del predicted
        return Tally(np.ones((1, 2)), mean_loss)


class _Clock(Observer, TrainerCallback):
    """When each step ended."""

    def __init__(self, device: str) -> None:
        self.times = list[float]()
        self._device = device

    def step(self, step: int, loss: float | None) -> None:
        del step
        if loss is None:
            self._tick()

    def on_step_end(self, *_: Any, **__: Any) -> None:
        self._tick()

    def _tick(self) -> None:
        if self._device == "cuda":
            torch.cuda.synchronize()
        self.times.append(time.perf_counter())

    def median(self) -> float:
        gaps = [b - a for a, b in zip(self.times, self.times[1:], strict=False)]
        return statistics.median(gaps[1:])


def main(size: str, steps: int) -> None:
    """Run every variant in a process of its own; print time, memory and their ratios."""
    print(f"{size}, {steps} steps{'s a step':>24}{'ratio':>8}{'limit':>8}{'peak MB':>10}{'ratio':>8}{'limit':>8}")
    plain: tuple[float, float] | None = None
    for variant, limits in VARIANTS.items():
        command = [sys.executable, "-m", "tests.benchmarks.training", size, str(steps), variant]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
        seconds, peak = (float(number) for number in done.stdout.split()[-2:])
        plain = plain or (seconds, peak)
        most = [f"{limit:>8.2f}" for limit in limits] if limits and size == "mbert" else [" " * 8] * 2
        print(
            f"{variant:<24}{seconds:>10.3f}{seconds / plain[0]:>8.2f}{most[0]}{peak:>10.0f}{peak / plain[1]:>8.2f}"
            f"{most[1]}",
            flush=True,
        )


def one(task: Task, variant: str) -> tuple[float, float]:
    """One variant: seconds of its median step, and peak memory in MB, of this process or of the GPU."""
    torch.manual_seed(0)
    model: Any = BertForMaskedLM(SIZES[task.size])
    model.to(task.device)
    clock = _Clock(task.device)
    with tempfile.TemporaryDirectory() as folder:
        if variant == "plain Trainer":
            _plain(model, rows_of(task), task, Path(folder), clock)
        else:
            _ours(model, rows_of(task), task, Path(folder), clock, variant)
    return clock.median(), peak_memory(task.device)


def rows_of(task: Task) -> Dataset:
    """Random tokens, of which some have labels."""
    ids = torch.randint(5, SIZES[task.size].vocab_size, (BATCH * task.steps, task.length))
    labels = ids.where(torch.rand(ids.shape) < LABELLED, torch.tensor(IGNORED))
    return Dataset.from_dict({"input_ids": ids.tolist(), "labels": labels.tolist()}).with_format("torch")


def peak_memory(device: str) -> float:
    """MB that this process, or its tensors on the GPU, took at most."""
    if device == "cuda":
        return torch.cuda.max_memory_allocated() / 1e6
    scale = 1024 if sys.platform != "darwin" else 1024**2
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / scale


def _plain(model: BertForMaskedLM, rows: Dataset, task: Task, folder: Path, clock: _Clock) -> None:
    arguments = TrainingArguments(
        output_dir=str(folder), max_steps=task.steps, per_device_train_batch_size=BATCH, use_cpu=task.device == "cpu",
        save_strategy="no", report_to=[], disable_tqdm=True, dataloader_pin_memory=False, weight_decay=0.0,
        bf16=task.precision == "bf16", tf32=True if task.device == "cuda" else None,
    )  # fmt: skip
    trainer = Trainer(model=model, args=arguments, train_dataset=rows, callbacks=[clock])
    trainer.remove_callback(PrinterCallback)
    trainer.train()


def _ours(model: BertForMaskedLM, rows: Dataset, task: Task, folder: Path, clock: _Clock, variant: str) -> None:
    settings = settings_for(
        "mlm", data=(), base=folder, base_name="", steps=task.steps, eval_every=10**9, batch_size=BATCH,
        device=task.device, precision=task.precision,
    )  # fmt: skip
    movable = freeze(model, is_task=False, patterns=())
    strength = 0.1 / movable.size if variant.endswith("L1") else 0.0

    def phase(regularise: Any) -> Phase:
        material = Material(objective_of("mlm"), rows, collate, Order([len(rows)], 0), _NoScore())
        return Phase(model, material, Moving({}, regularise), task.steps, folder)

    if variant.startswith("phase 1"):
        start = Snapshot(folder / "start.safetensors")
        start.save({name: parameter.detach() for name, parameter in movable.maskable.items()})
        theta = theta_of(start, movable, model) if strength else {}
        run_phase(phase(l1_towards(movable.maskable, theta, strength)), settings, clock)
        return
    k = round(DENSITY * sum(parameter.numel() for parameter in model.bert.parameters()))
    chosen = at_random(movable.maskable, k, 0)
    positions = {name: torch.from_numpy(where) for name, where in chosen.positions.items()}
    with sparse_parameters(model, positions) as phi:
        run_phase(phase(l1_on(phi.phi, strength)), settings, clock)


def collate(features: list[dict[str, Any]]) -> dict[str, torch.Tensor]:
    """A batch with its labels' places."""
    return with_rows({key: torch.stack([feature[key] for feature in features]) for key in ("input_ids", "labels")})


if __name__ == "__main__":
    chosen_size, count = (sys.argv[1:2] or ["mbert"])[0], int((sys.argv[2:3] or ["10"])[0])
    if len(sys.argv) > 3:
        print(*one(Task(chosen_size, count, LENGTHS[chosen_size]), sys.argv[3]))
    else:
        main(chosen_size, count)
