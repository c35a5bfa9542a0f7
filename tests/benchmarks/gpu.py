"""What only a GPU can show, in one call of under ten minutes on one card: a table, and the figures as JSON.

Run by hand: ``python -m tests.benchmarks.gpu [OUT.json]``. Without a GPU the same runs at pico size, so that whoever
has a card first gets an answer and not an error.

- φ and scores on the card beside the CPU's, in float32 (TF32 off) and bfloat16; one process beside two on one card.
- Steps a second and memory at mBERT's size, batch 8 x 256, in float32 (TF32) and bfloat16: both phases under the
  Trainer beside the plain Trainer, and φ in a plain loop beside full fine-tuning, SHiRA and LoRA (where PEFT is there).
- GPU kernels of a phase-2 step, by batches a step.
- Phase 2 of a Llama of 6.7 B random weights in bfloat16.
- Sentences a second of scoring a tagger.
"""

from __future__ import annotations

import gc
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from datasets import Dataset
from torch.autograd import DeviceType  # type: ignore[attr-defined]  # torch's
from torch.profiler import ProfilerActivity, profile
from transformers import BertForMaskedLM, BertForTokenClassification

from sftkit.modeling.backbone import backbone_parameters
from sftkit.modeling.sparse import sparse_parameters
from sftkit.tasks.pos import PartOfSpeech
from sftkit.training.engine.regularisers import l1_on
from sftkit.training.lottery import learn
from sftkit.training.settings import settings_for
from tests.benchmarks import peers
from tests.benchmarks._device import CUDA, DEVICE, Rows
from tests.benchmarks.gpu_llama import llama
from tests.benchmarks.training import BATCH, DENSITY, SIZES, VARIANTS, Task, one
from tests.helpers import pico

SIZE, LENGTH, STEPS = ("mbert", 256, 12) if CUDA else ("pico", 16, 3)
PRECISIONS = ("f32", "bf16")


def main(out: Path | None) -> None:
    """Run every part; a part that fails is told, and the others go on."""
    card = torch.cuda.get_device_name() if CUDA else "no GPU: pico size, figures mean nothing"
    found: dict[str, Any] = {"card": card, "torch": torch.__version__}
    print(card)
    for title, part in PARTS.items():
        begin = time.perf_counter()
        try:
            rows = part()
        except Exception as error:  # whatever it is, the other figures are wanted
            rows = [("failed", f"{type(error).__name__}: {error}"[:1500], "")]
        found[title] = {name: value for name, value, _ in rows}
        print(f"\n{title}  ({time.perf_counter() - begin:.0f} s)")
        for name, value, unit in rows:
            print(f"  {name:<58}{value if isinstance(value, str) else f'{value:,.4g}':>14} {unit}", flush=True)
        _tidy()
        if out is not None:
            out.write_text(json.dumps(found, indent=1))


def equal_to_the_cpu() -> Rows:
    """φ, positions and scores of the same small run on both devices."""
    done = _in_a_process("equal")
    return [(name, value, "") for name, value in done.items()]


def _equal() -> dict[str, float]:
    """Run where TF32 is off."""
    result = {}
    with tempfile.TemporaryDirectory() as folder:
        base, corpus = _pico(Path(folder))
        for method in ("random", "lottery"):
            for precision in PRECISIONS:
                cpu, card = (_learned(base, corpus, device, method, precision) for device in ("cpu", DEVICE))
                common = [key for key in cpu.phi if key in card.phi]
                apart = np.array([cpu.phi[key] - card.phi[key] for key in common])
                what, size = f"{method}, {precision}", max(map(abs, cpu.phi.values()))
                result[f"{what}: entries in common"] = len(common) / len(cpu.phi)
                result[f"{what}: root mean square of φ apart / max |φ|"] = float(np.sqrt(np.mean(apart**2)) / size)
                result[f"{what}: best loss apart, relative"] = abs(cpu.best / card.best - 1)
    return result


@dataclass(frozen=True)
class _Learned:
    phi: dict[tuple[str, int], float]
    best: float


def _learned(base: Path, corpus: Path, device: str, method: str, precision: str) -> _Learned:
    """Precision is the card's: the CPU's is float32."""
    made = settings_for(
        "mlm", data=(str(corpus),), base=base, base_name="pico", steps=20, eval_every=10, lr=1e-3, k=5000,
        device=device, precision=precision if device == DEVICE else "f32", method=method,
    )  # fmt: skip
    found = learn(made)
    phi = {
        (name, at): value
        for name in found.sft.names
        for at, value in zip(*(array.tolist() for array in found.sft.entries(name)), strict=True)
    }
    return _Learned(phi, found.phase2.best_value)


def two_processes() -> Rows:
    """Two processes on one card learn what one learns at the same global batch."""
    with tempfile.TemporaryDirectory() as folder:
        base, corpus = _pico(Path(folder))
        common = [
            "-m", "sftkit", "train", "--mlm", str(corpus), "--base", str(base), "--steps", "20", "--eval-every", "10",
            "--lr", "1e-3", "--k", "5000", "--method", "random", "--json", "--quiet",
        ]  # fmt: skip
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        launcher = ["-m", "torch.distributed.run", "--nproc-per-node", "2", "--master-port", str(port)]
        runs = [([], "8", "one.sft"), (launcher, "4", "two.sft")]
        losses = []
        for start, batch, output in runs:
            command = [sys.executable, *start, *common, "--batch-size", batch, "-o", str(Path(folder) / output)]
            done = subprocess.run(command, capture_output=True, text=True, env=os.environ | _EXACT)
            if done.returncode:
                told = [line for line in done.stderr.splitlines() if "rror" in line]
                raise RuntimeError(" | ".join(told)[:1500])
            losses.append(json.loads(done.stdout)["best"]["value"])
    return [("best loss apart, relative", abs(losses[0] / losses[1] - 1), "")]


def steps() -> Rows:
    """Both phases under the Trainer beside the plain Trainer; φ in a plain loop beside its peers."""
    rows: Rows = []
    for precision in PRECISIONS:
        plain: tuple[float, float] | None = None
        for variant in VARIANTS:
            _tidy()
            seconds, peak = one(Task(SIZE, STEPS, LENGTH, DEVICE, precision), variant)
            plain = plain or (seconds, peak)
            rows += _pair(f"{precision}, {variant}", seconds, peak, plain)
        ours: tuple[float, float] | None = None
        for who in sorted(peers.contestants(), key=lambda name: name != "sftkit"):
            _tidy()
            got = peers.one(who, SIZE, STEPS, length=LENGTH, device=DEVICE, precision=precision)
            ours = ours or (got["seconds"], got["megabytes"])
            rows += _pair(f"{precision}, plain loop, {who}", got["seconds"], got["megabytes"], ours)
    return rows


def _pair(what: str, seconds: float, peak: float, beside: tuple[float, float]) -> Rows:
    return [
        (f"{what}: steps a second", 1 / seconds, f"time x {seconds / beside[0]:.2f}"),
        (f"{what}: peak memory", peak, f"MB  x {peak / beside[1]:.2f}"),
    ]


def kernels() -> Rows:
    """How many kernels a step of phase 2 launches beyond forward and backward passes, and in one of these."""
    model: Any = BertForMaskedLM(SIZES[SIZE])
    model.to(DEVICE).train()
    ids = torch.randint(5, SIZES[SIZE].vocab_size, (BATCH, LENGTH), device=DEVICE)
    rows: Rows = []
    positions = {name: torch.arange(0, p.numel(), round(1 / DENSITY)) for name, p in backbone_parameters(model).items()}
    with sparse_parameters(model, positions) as phi:

        def passes_of(count: int) -> None:
            for _ in range(count):
                model(input_ids=ids, labels=ids).loss.backward()

        optimizer = torch.optim.AdamW([phi.phi], lr=1e-4, fused=True)
        regularise = l1_on(phi.phi, 1e-9)
        assert regularise is not None
        for batches in (1, 4):
            for _ in range(2):
                passes = _count(partial(passes_of, batches))
                regularised = _count(regularise)
                clipped = _count(lambda: torch.nn.utils.clip_grad_norm_([phi.phi], 1.0))
                stepped = _count(optimizer.step)
                optimizer.zero_grad()
            rows.append((f"{batches} batches a step: forward and backward, each", passes / batches, "kernels"))
            rows.append((f"{batches} batches a step: L1, clipping, AdamW, writing θ + φ",
                         regularised + clipped + stepped, "kernels"))  # fmt: skip
    return rows


def _count(call: Callable[[], Any]) -> int:
    """Kernels on the card; without one, operators that call no other."""
    with profile(activities=[ProfilerActivity.CUDA if CUDA else ProfilerActivity.CPU]) as profiled:
        call()
        if CUDA:
            torch.cuda.synchronize()
    if CUDA:
        return sum(event.device_type == DeviceType.CUDA for event in profiled.events())
    return sum(not event.cpu_children for event in profiled.events())


def scoring() -> Rows:
    """A tagger's scores, beside a loop over the same batches in the file's order."""
    rng = np.random.default_rng(0)
    words = [["".join(rng.choice(list("taminolsu"), rng.integers(2, 8))) for _ in range(rng.integers(4, 40))]
             for _ in range(4000 if CUDA else 40)]  # fmt: skip
    objective = PartOfSpeech()
    rows = Dataset.from_list([{"words": each, "tags": ["NOUN"] * len(each)} for each in words])
    config = SIZES[SIZE]
    config.num_labels = len(objective.labels)
    model: Any = BertForTokenClassification(config)
    model.to(DEVICE).eval()
    tokenizer = pico.make_tokenizer()
    evaluator = objective.evaluator(rows, tokenizer, 256, 0)
    times = []
    for _ in range(2):
        begin = time.perf_counter()
        evaluator(model, 64)
        times.append(time.perf_counter() - begin)
    begin = time.perf_counter()
    for start in range(0, len(words), 64):
        batch = tokenizer(words[start : start + 64], is_split_into_words=True, padding=True, return_tensors="pt")
        with torch.no_grad():
            model(**batch.to(DEVICE)).logits.argmax(-1).cpu()
    plain = time.perf_counter() - begin
    return [
        ("sentences a second", len(words) / times[-1], f"x {plain / times[-1]:.2f}"),
        ("sentences a second, plain loop", len(words) / plain, ""),
    ]


#: TF32 rounds float32's products to ten bits.
_EXACT = {"NVIDIA_TF32_OVERRIDE": "0", "OMP_NUM_THREADS": "4"}


def _in_a_process(part: str) -> dict[str, float]:
    command = [sys.executable, "-m", "tests.benchmarks.gpu", "--part", part]
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | _EXACT)
    if done.returncode:
        raise RuntimeError(done.stderr[-250:])
    result: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return result


def _pico(folder: Path) -> tuple[Path, Path]:
    """A small base without dropout, and text."""
    base = pico.save_base(
        folder / "base", hidden_size=64, intermediate_size=128, hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
    )  # fmt: skip
    rng = np.random.default_rng(0)
    syllables = ["ta", "ka", "mi", "lo", "su", "ra", "an", "en"]
    lines = (" ".join("".join(rng.choice(syllables, 2)) for _ in range(rng.integers(4, 12))) for _ in range(600))
    corpus = folder / "corpus.txt"
    corpus.write_text("\n".join(lines) + "\n")
    return base, corpus


def _tidy() -> None:
    gc.collect()
    if CUDA:
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()


PARTS: dict[str, Callable[[], Rows]] = {
    "equal to the CPU": equal_to_the_cpu,
    "two processes on one card": two_processes,
    f"steps, {SIZE}, batch {BATCH} x {LENGTH}": steps,
    "kernels of a step of phase 2": kernels,
    "Llama in bfloat16, phase 2": llama,
    "scoring": scoring,
}

if __name__ == "__main__":
    if sys.argv[1:2] == ["--part"]:
        print(json.dumps(_equal()))
    else:
        main(Path(sys.argv[1]) if len(sys.argv) > 1 else None)
