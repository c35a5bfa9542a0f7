"""compose of two SFTs of K = 7,667,712 into bases of mBERT's size: time against copying the base, and peak memory.

Run by hand: ``python -m tests.benchmarks.compose [FOLDER]``; needs about 8 GB of disk in FOLDER (a temporary one by
default) and half an hour the first time on a slow disk. Limits: 2.5 x copy and flush at mBERT's size, 1.4 x for the
base four times larger, 300 MB + the largest tensor.

Copies and compositions begin from one state: no output, the inputs in the cache, nothing left to flush, and a disk that
rests. Which of the two comes first changes from round to round.
"""

from __future__ import annotations

import shutil
import statistics
import sys
import tempfile
from pathlib import Path

from tests.benchmarks._make import copy_and_flush, make_base, make_sfts_for, run, settle

_RUNS = 5
_LARGEST = {"mbert": 119_547 * 768 * 4 / 1e6, "large": 119_547 * 1536 * 4 / 1e6}  # MB


def main(folder: Path) -> None:
    """Make the inputs, measure, print."""
    print(f"{'base':<22}{'copy + flush':>14}{'compose':>10}{'ratio':>8}{'limit':>8}{'peak MB':>10}{'limit':>8}")
    for size, shards, limit in (("mbert", 1, 2.5), ("mbert", 8, 2.5), ("large", 1, 1.4)):
        base = make_base(folder, size, shards=shards)
        sfts = make_sfts_for(base, folder, size=size)
        output = folder / "composed"
        peaks: list[float] = []

        copy_and_flush(base, folder / "copy")  # both find the base in the cache
        copies, times = list[float](), list[float]()
        for number in range(_RUNS):
            for first in (number % 2, 1 - number % 2):
                shutil.rmtree(output, ignore_errors=True)
                settle()
                if first:
                    seconds, peak = run("compose", base, *sfts, "-o", output, "--quiet")
                    times.append(seconds)
                    peaks.append(peak)
                else:
                    copies.append(copy_and_flush(base, folder / "copy"))
        copy, seconds = statistics.median(copies), statistics.median(times)
        name = f"{size}, {shards} file{'s' if shards > 1 else ''}"
        print(
            f"{name:<22}{copy:>12.2f} s{seconds:>8.2f} s{seconds / copy:>8.2f}{limit:>8}"
            f"{max(peaks):>10.0f}{300 + _LARGEST[size]:>8.0f}"
        )
        shutil.rmtree(output, ignore_errors=True)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        main(Path(sys.argv[1]))
    else:
        with tempfile.TemporaryDirectory() as temporary:
            main(Path(temporary))
