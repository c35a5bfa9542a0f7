"""An SFT of K = 7,667,712 put on a torch model of mBERT's size in memory, and taken off again: seconds, and the limit.

Run by hand: ``python -m tests.benchmarks.apply [FOLDER]``; needs 40 MB of disk in FOLDER. Limit: 0.25 s each way.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from pathlib import Path

import torch
from transformers import BertConfig, BertModel

import sftkit
from tests.benchmarks._artifacts import make_sfts
from tests.benchmarks._make import median, memory_pass

_RUNS = 7
_LIMIT = 0.25


def main(folder: Path) -> None:
    """Make the model and the SFT, measure, print."""
    torch.manual_seed(0)
    model = BertModel(BertConfig(vocab_size=119_547))
    sft = sftkit.read(make_sfts(folder, 1)[0])
    before = {name: parameter.clone() for name, parameter in model.named_parameters()}
    taken: dict[str, list[tuple[float, float]]] = {"apply": [], "revert": []}
    for _ in range(_RUNS):
        marks = [_clocks()]
        applied = sft.apply_to(model, force=True)  # a base of random weights has no fingerprint that an SFT records
        marks.append(_clocks())
        applied.revert()
        marks.append(_clocks())
        for name, begin, end in zip(taken, marks, marks[1:], strict=False):
            taken[name].append((end[0] - begin[0], end[1] - begin[1]))
    memory = median(_RUNS, lambda: memory_pass(sum(parameter.numel() for parameter in before.values())))
    for name, times in taken.items():
        seconds, busy = (statistics.median(each) for each in zip(*times, strict=True))
        print(
            f"{name:<8}{seconds:6.2f} s, {seconds / _LIMIT:.2f} of the limit, {seconds / memory:.1f} x a += b over θ; "
            f"{busy:.2f} s of processor time"
        )
    same = all(torch.equal(parameter, before[name]) for name, parameter in model.named_parameters())
    print(f"θ after it to the bit: {'yes' if same else 'NO'}")


def _clocks() -> tuple[float, float]:
    """Seconds by the clock, and of this process's processor time in all its threads."""
    return time.perf_counter(), time.process_time()


if __name__ == "__main__":
    if len(sys.argv) > 1:
        main(Path(sys.argv[1]))
    else:
        with tempfile.TemporaryDirectory() as temporary:
            main(Path(temporary))
