"""Choosing K entries after a phase 1 at mBERT's size, beside ``torch.topk``: seconds, and memory above the parameters'.

Run by hand: ``python -m tests.benchmarks.selection``; needs 4 GB of memory, 0.7 GB of disk, and Linux. Limits: 20 times
``a += b`` over the same arrays, and 300 MB. Each way runs in a process of its own; θ(0) is a memory-mapped file,
as in training, whose pages the system may take back at any time and which are not counted.
Seconds are the processor's, on one thread each, so that other work on the machine does not count.
"""

from __future__ import annotations

import re
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import nn

from sftkit.training.engine.snapshot import Snapshot
from sftkit.training.selection.ranking import changes, check_finite, highest
from tests.benchmarks._artifacts import K, mbert_parameters

_RUNS = 3
_LIMIT, _MEMORY_LIMIT = 20, 300


def main() -> None:
    """Measure each way in a process of its own; print."""
    print(f"{'':<14}{'seconds':>9}{'x a += b':>10}{'MB more':>9}    limits: {_LIMIT} x, {_MEMORY_LIMIT} MB")
    for way in ("sftkit", "torch.topk"):
        command = [sys.executable, "-m", "tests.benchmarks.selection", way]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
        seconds, floor, more = (float(number) for number in done.stdout.split())
        print(f"{way:<14}{seconds:>9.2f}{seconds / floor:>10.1f}{more:>9.0f}", flush=True)


def one(way: str) -> None:
    """One way: its median seconds, those of ``a += b`` in between, and its memory in MB."""
    specs = {name: spec for name, spec in mbert_parameters().items() if "pooler" not in name}
    torch.set_num_threads(1)
    generator = torch.Generator().manual_seed(0)
    with tempfile.TemporaryDirectory() as folder:
        start = Snapshot(Path(folder) / "start.safetensors")
        weights = {name: torch.randn(spec.shape, generator=generator).mul_(0.02) for name, spec in specs.items()}
        start.save(weights)
        for weight in weights.values():
            weight.add_(torch.randn(weight.shape, generator=generator), alpha=1e-4)
        maskable = {name: nn.Parameter(weight) for name, weight in weights.items()}
        total = sum(weight.numel() for weight in weights.values())

        def choose() -> int:
            if way != "sftkit":
                return _topk(maskable, start)
            check_finite(maskable)
            return highest(maskable, changes(maskable, start), K).k

        memory = _more_memory(choose)  # first: what is freed may stay with the process
        own, floor = list[float](), list[float]()
        for _ in range(_RUNS):
            begin = time.process_time()
            assert choose() == K
            own.append(time.process_time() - begin)
            floor.append(_memory_pass(total))
        print(statistics.median(own), statistics.median(floor), memory)


def _memory_pass(elements: int) -> float:
    a, b = np.zeros(elements, np.float32), np.ones(elements, np.float32)
    a += b  # touches every page
    begin = time.process_time()
    a += b
    return time.process_time() - begin


def _topk(maskable: dict[str, nn.Parameter], start: Snapshot) -> int:
    with torch.no_grad():
        moved = torch.cat([(p - start.tensor(name)).abs_().reshape(-1) for name, p in sorted(maskable.items())])
        return len(torch.topk(moved, K, sorted=False).indices)


def _more_memory(work: Callable[[], object]) -> float:
    """MB of memory of this process's own at the most while it works, above what it has before."""
    seen, over = [_memory()], threading.Event()

    def watch() -> None:
        while not over.wait(0.002):
            seen.append(_memory())

    watcher = threading.Thread(target=watch)
    watcher.start()
    work()
    over.set()
    watcher.join()
    return max(seen) - seen[0]


def _memory() -> float:
    found = re.search(r"RssAnon:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert found is not None
    return int(found[1]) / 1024


if __name__ == "__main__":
    if len(sys.argv) > 1:
        one(sys.argv[1])
    else:
        main()
