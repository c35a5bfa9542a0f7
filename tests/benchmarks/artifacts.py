"""Reading, writing, inspecting and comparing SFTs of K = 7,667,712 over mBERT: time, size and memory, and their limits.

Run by hand: ``python -m tests.benchmarks.artifacts [FOLDER] [FILES]``; needs 1.5 GB of disk in FOLDER for 35 files,
which are kept there and used again. Ratios are to be read, not seconds: both sides of each come from one run.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from tests.benchmarks._artifacts import K, make_sfts
from tests.benchmarks._make import copy_and_flush, median, run

_RUNS = 5


def main(folder: Path, files: int) -> None:
    """Make the inputs, measure, print."""
    sfts = make_sfts(folder, files)
    half = make_sfts(folder, 1, values="bf16")[0]
    print(f"{'what':<44}{'ours':>10}{'limit':>10}{'ours / limit':>14}")
    row("bytes an entry, f32", sfts[0].stat().st_size / K, 5.1)
    row("bytes an entry, bf16", half.stat().st_size / K, 3.1)
    row("read into CSR, s", median(_RUNS, partial(timed, partial(read_csr, sfts[0]))), 1)
    row("write from CSR, s", median(3, partial(write_csr, sfts[0], folder / "written.sft")), 1)
    row("  for scale: copy and flush that file, s", median(_RUNS, partial(copy_and_flush, sfts[0], folder / "c")), None)
    bare = median(_RUNS, partial(python, "import typer, rich"))
    row("Python that imports typer and rich, s", bare, None)
    row("sftkit --help, s", median(_RUNS, lambda: run("--help")[0]), bare + 0.2)
    row("sftkit inspect, shell to shell, s", median(_RUNS, lambda: run("inspect", sfts[0])[0]), 1)
    overlap(sfts)


def overlap(sfts: list[Path]) -> None:
    """Overlap of all files by every metric, and how memory grows with their number."""
    few = sfts[: max(2, len(sfts) // 3)]
    for metric in ("share", "sign", "cosine"):
        seconds, peak = run("overlap", *sfts, "--metric", metric, "--json")
        _, less = run("overlap", *few, "--metric", metric, "--json")
        name = f"overlap of {len(sfts)}, {metric}"
        row(f"{name}, s", seconds, 30)
        row(f"{name}, peak MB", peak, 1500)
        if len(few) < len(sfts):
            row(f"{name}, MB more a file", (peak - less) / (len(sfts) - len(few)), 25)


def row(what: str, ours: float, limit: float | None) -> None:
    """One line of the table."""
    end = f"{limit:>10.2f}{ours / limit:>14.2f}" if limit else ""
    print(f"{what:<44}{ours:>10.2f}{end}", flush=True)


def timed(call: Callable[[], object]) -> float:
    """Seconds that a call takes."""
    begin = time.perf_counter()
    call()
    return time.perf_counter() - begin


def read_csr(path: Path) -> object:
    """The whole SFT in memory."""
    from sftkit.format.files import read

    return read(path)


def write_csr(path: Path, target: Path) -> float:
    """Seconds to write an SFT in memory, flushed."""
    from sftkit.format.files import read
    from sftkit.format.writing import write

    sft = read(path)
    seconds = timed(partial(write, target, sft, overwrite=True))
    target.unlink()
    return seconds


def python(code: str) -> float:
    """Seconds of a Python that runs ``code``, from shell to shell."""
    return timed(partial(subprocess.run, [sys.executable, "-c", code], check=True))


if __name__ == "__main__":
    count = int(sys.argv[2]) if len(sys.argv) > 2 else 35
    if len(sys.argv) > 1:
        main(Path(sys.argv[1]), count)
    else:
        with tempfile.TemporaryDirectory() as temporary:
            main(Path(temporary), count)
