"""A step of each phase beside a step of the plain Hugging Face Trainer on the same model: time, and peak memory.

Run by hand: ``python -m tests.benchmarks.training [mbert|small] [STEPS]``. Limits: phase 2, with or without L1, 0.85 x
the time and 0.75 x the memory at mBERT's size (batch 8 x 64), 1.0 x the time for a small BERT (batch 8 x 128); phase 1
1.03 x without and 1.10 x with L1. Every variant runs in a process of its own, one after the other.
"""

from __future__ import annotations

import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from datasets import Dataset
from transformers import BertConfig, BertForMaskedLM, PrinterCallback, Trainer, TrainerCallback, TrainingArguments

from sftkit.modeling.sparse import sparse_parameters
from sftkit.tasks.base import Evaluator
from sftkit.tasks.tally import Tally, mean_loss
from sftkit.training.movable import freeze
from sftkit.training.observer import Observer
from sftkit.training.phase import Phase, run_phase
from sftkit.training.regularisers import l1_on, l1_towards
from sftkit.training.selection import at_random
from sftkit.training.settings import settings_for
from sftkit.training.snapshot import Snapshot

SIZES = {
    "mbert": (BertConfig(vocab_size=119_547), 64),
    "small": (
        BertConfig(
            vocab_size=30_000, hidden_size=256, num_hidden_layers=4, num_attention_heads=4, intermediate_size=1024
        ),
        128,
    ),
}
VARIANTS = {"plain Trainer": None, "phase 1": 1.03, "phase 1, L1": 1.10, "phase 2": 0.85, "phase 2, L1": 0.85}
_BATCH = 8
_DENSITY = 7_667_712 / 177_262_848


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

    def __init__(self) -> None:
        self.times = list[float]()

    def step(self, step: int, loss: float | None) -> None:
        del step
        if loss is None:
            self.times.append(time.perf_counter())

    def on_step_end(self, *_: Any, **__: Any) -> None:
        self.times.append(time.perf_counter())

    def median(self) -> float:
        gaps = [b - a for a, b in zip(self.times, self.times[1:], strict=False)]
        return statistics.median(gaps[1:])


def main(size: str, steps: int) -> None:
    """Run every variant in a process of its own; print time, memory and their ratios."""
    print(f"{size}, {steps} steps{'s a step':>24}{'ratio':>8}{'limit':>8}{'peak MB':>10}{'ratio':>8}")
    plain: tuple[float, float] | None = None
    for variant, limit in VARIANTS.items():
        command = [sys.executable, "-m", "tests.benchmarks.training", size, str(steps), variant]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
        seconds, peak = (float(number) for number in done.stdout.split()[-2:])
        plain = plain or (seconds, peak)
        limits = f"{limit:>8.2f}" if limit else " " * 8
        print(
            f"{variant:<24}{seconds:>10.3f}{seconds / plain[0]:>8.2f}{limits}{peak:>10.0f}{peak / plain[1]:>8.2f}",
            flush=True,
        )


def one(size: str, steps: int, variant: str) -> None:
    """One variant: its median step and this process's peak."""
    config, length = SIZES[size]
    torch.manual_seed(0)
    model = BertForMaskedLM(config)
    ids = torch.randint(5, config.vocab_size, (_BATCH * steps, length))
    rows = Dataset.from_dict({"input_ids": ids.tolist(), "labels": ids.tolist()}).with_format("torch")
    clock = _Clock()
    with tempfile.TemporaryDirectory() as folder:
        if variant == "plain Trainer":
            _plain(model, rows, steps, Path(folder), clock)
        else:
            _ours(model, rows, steps, Path(folder), clock, variant)
    scale = 1024 if sys.platform != "darwin" else 1024**2
    print(clock.median(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / scale)


def _plain(model: BertForMaskedLM, rows: Dataset, steps: int, folder: Path, clock: _Clock) -> None:
    arguments = TrainingArguments(
        output_dir=str(folder), max_steps=steps, per_device_train_batch_size=_BATCH, use_cpu=True, save_strategy="no",
        report_to=[], disable_tqdm=True, dataloader_pin_memory=False, weight_decay=0.0,
    )  # fmt: skip
    trainer = Trainer(model=model, args=arguments, train_dataset=rows, callbacks=[clock])
    trainer.remove_callback(PrinterCallback)
    trainer.train()


def _ours(model: BertForMaskedLM, rows: Dataset, steps: int, folder: Path, clock: _Clock, variant: str) -> None:
    settings = settings_for(
        "mlm", data=(), base=folder, base_name="", steps=steps, eval_every=10**9, batch_size=_BATCH, device="cpu"
    )
    movable = freeze(model, is_task=False, patterns=())
    strength = 0.1 / movable.size if variant.endswith("L1") else 0.0

    def phase(kept: dict[str, torch.Tensor], regularise: Any) -> Phase:
        def collate(features: list[dict[str, Any]]) -> dict[str, torch.Tensor]:
            return {key: torch.stack([feature[key] for feature in features]) for key in ("input_ids", "labels")}

        return Phase(model, kept, rows, collate, _NoScore(), "loss", False, steps, folder, regularise)

    if variant.startswith("phase 1"):
        start = Snapshot(folder / "start.safetensors")
        start.save({name: parameter.detach() for name, parameter in movable.maskable.items()})
        run_phase(phase({}, l1_towards(movable.maskable, theta, strength)), settings, clock)
        return
    k = round(_DENSITY * sum(parameter.numel() for parameter in model.bert.parameters()))
    chosen = at_random(movable.maskable, k, 0)
    positions = {name: torch.from_numpy(where) for name, where in chosen.positions.items()}
    with sparse_parameters(model, positions) as phi:
        run_phase(phase({}, l1_on(phi.phi, strength)), settings, clock)


if __name__ == "__main__":
    chosen_size, count = (sys.argv[1:2] or ["mbert"])[0], int((sys.argv[2:3] or ["10"])[0])
    if len(sys.argv) > 3:
        one(chosen_size, count, sys.argv[3])
    else:
        main(chosen_size, count)
