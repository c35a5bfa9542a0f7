"""subtract of two models of mBERT's size with --k 7667712: time against ``a += b`` over as many float32, and memory.

Run by hand: ``python -m tests.benchmarks.subtract [FOLDER]``; needs 2 GB of disk in FOLDER. Limits: 40 x and 400 MB
more than an idle process.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from tests.benchmarks._artifacts import K
from tests.benchmarks._make import make_base, make_tuned, median, memory_pass, run

_RUNS = 5
_PARAMETERS = 177_853_440


def main(folder: Path) -> None:
    """Make the inputs, measure, print."""
    base = make_base(folder)
    tuned = make_tuned(folder, base)
    peaks: list[float] = []

    def subtract() -> float:
        seconds, peak = run("subtract", tuned, base, "-o", folder / "d.sft", "--k", str(K), "--overwrite", "--quiet")
        peaks.append(peak)
        return seconds

    memory = median(_RUNS, lambda: memory_pass(_PARAMETERS))
    subtract()  # warms the cache
    seconds = median(_RUNS, subtract)
    idle = run("compose", "--help")[1]
    print(f"a += b {memory * 1e3:.0f} ms, subtract --k {seconds:.2f} s: {seconds / memory:.1f} x (limit 40)")
    print(f"peak {max(peaks):.0f} MB, idle {idle:.0f} MB: {max(peaks) - idle:.0f} MB more (limit 400)")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        main(Path(sys.argv[1]))
    else:
        with tempfile.TemporaryDirectory() as temporary:
            main(Path(temporary))
