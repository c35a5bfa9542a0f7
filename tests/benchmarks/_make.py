"""Bases of mBERT's size, and of four times that, with SFTs that belong to them; and the floor that figures stand on.

numpy only. Everything is made in a folder that the caller keeps or throws away; what is there already is used again.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from sftkit.checkpoints.checkpoint import Checkpoint
from sftkit.checkpoints.fingerprint import fingerprint
from sftkit.format.metadata import Base, ParameterSpec
from sftkit.format.writing import write
from sftkit.storage.safefile import Planned, SafeWriter, canonical_order
from tests.benchmarks._artifacts import K, RandomDifference, mbert_parameters

#: 177,853,440 and 735,181,824 parameters.
SIZES = {"mbert": {"hidden": 768, "layers": 12}, "large": {"hidden": 1536, "layers": 19}}


def make_base(folder: Path, size: str = "mbert", *, shards: int = 1, seed: int = 0) -> Path:
    """A float32 BERT without a head: random weights in so many files of about equal size."""
    path = folder / (size if (shards, seed) == (1, 0) else f"{size}-{shards}-{seed}")
    if (path / "config.json").is_file():
        return path
    path.mkdir(parents=True, exist_ok=True)
    specs = mbert_parameters(**SIZES[size])
    places: dict[str, str] = {}
    for number, names in enumerate(_split(specs, shards), 1):
        file = "model.safetensors" if shards == 1 else f"model-{number:05d}-of-{shards:05d}.safetensors"
        places |= {f"bert.{name}": file for name in names}
        _write_weights(path / file, {name: specs[name] for name in names}, seed)
    if shards > 1:
        (path / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": places}))
    config = {
        "model_type": "bert",
        "architectures": ["BertModel"],
        "hidden_size": SIZES[size]["hidden"],
        "dtype": "float32",
    }
    (path / "config.json").write_text(json.dumps(config))
    return path


def _split(specs: dict[str, ParameterSpec], shards: int) -> Iterator[list[str]]:
    share = sum(spec.size for spec in specs.values()) / shards
    names, filled = list[str](), 0
    for name, spec in sorted(specs.items(), key=lambda item: -item[1].size):
        names.append(name)
        filled += spec.size
        if filled >= share and shards > 1:
            yield names
            names, filled, shards = [], 0, shards - 1
    yield names


def _write_weights(path: Path, specs: dict[str, ParameterSpec], seed: int) -> None:
    plans = canonical_order(Planned(f"bert.{name}", "F32", spec.shape, spec.size * 4) for name, spec in specs.items())
    with SafeWriter(path, plans, {"format": "pt"}) as writer:
        for plan in plans:
            rng = np.random.default_rng([seed, *plan.name.encode()])  # the same weights however they are sharded
            writer.write(plan.name, rng.standard_normal(plan.shape, dtype=np.float32))


def make_tuned(folder: Path, base: Path) -> Path:
    """A copy of a base in which every weight moved a little."""
    path = folder / f"{base.name}-tuned"
    if (path / "config.json").is_file():
        return path
    path.mkdir(parents=True, exist_ok=True)
    checkpoint = Checkpoint(base)
    rng = np.random.default_rng(1)
    specs = {key: checkpoint.spec(key) for key in checkpoint.keys}
    plans = canonical_order(Planned(key, "F32", spec.shape, spec.end - spec.begin) for key, spec in specs.items())
    with SafeWriter(path / "model.safetensors", plans, {"format": "pt"}) as writer:
        for plan in plans:
            moved = rng.standard_normal(plan.shape, dtype=np.float32) * np.float32(1e-3)
            writer.write(plan.name, checkpoint.read(plan.name) + moved)
    (path / "config.json").write_text((base / "config.json").read_text())
    return path


def make_sfts_for(base: Path, folder: Path, count: int = 2, size: str = "mbert") -> list[Path]:
    """SFTs of K = 7,667,712 entries that were "learned" on ``base``."""
    paths = [folder / f"{size}-{seed}.sft" for seed in range(count)]
    if all(path.is_file() for path in paths):
        return paths
    specs = mbert_parameters(**SIZES[size])
    recorded = Base(base.name, "bert", None, fingerprint(Checkpoint(base)))
    for seed, path in enumerate(paths):
        sft = RandomDifference(specs, K, seed)
        sft.metadata = replace(sft.metadata, base=recorded)
        write(path, sft, overwrite=True)
    return paths


def median(runs: int, call: Callable[[], float]) -> float:
    """The median of what ``call`` says over so many runs."""
    return statistics.median(call() for _ in range(runs))


def copy_and_flush(source: Path, target: Path) -> float:
    """Seconds to copy the files of a folder (or one file) into one and flush it: what any writer has to pay."""
    files = [source] if source.is_file() else sorted(source.glob("*.safetensors"))
    begin = time.perf_counter()
    with target.open("wb", buffering=0) as out:
        for file in files:
            with file.open("rb", buffering=0) as data:
                while piece := data.read(1 << 20):
                    out.write(piece)
        os.fsync(out.fileno())
    seconds = time.perf_counter() - begin
    target.unlink()
    return seconds


def settle(most: float = 10.0) -> None:
    """Flush what is dirty, and wait until the disk rests, or for so many seconds.

    A disk that has just been given gigabytes back, or has pages of the run before still to write, is several times
    slower, to whoever comes next.
    """
    os.sync()
    end = time.monotonic() + most
    moved = _disk_traffic()
    while time.monotonic() < end:
        time.sleep(1)
        before, moved = moved, _disk_traffic()
        if moved - before < _RESTING:
            return


_RESTING = 8 << 20


def _disk_traffic() -> int:
    """Bytes that all disks have read, written and discarded so far; 0 where the system does not say."""
    stats = Path("/proc/diskstats")
    if not stats.exists():
        return 0
    rows = [line.split() for line in stats.read_text().splitlines()]
    return sum(512 * int(row[at]) for row in rows for at in (5, 9, 16) if len(row) > at)


def memory_pass(elements: int) -> float:
    """Seconds of ``a += b`` over two float32 arrays."""
    a, b = np.zeros(elements, np.float32), np.ones(elements, np.float32)
    a += b  # touches every page
    begin = time.perf_counter()
    a += b
    return time.perf_counter() - begin


# A child's peak starts with its parent's, and ours holds large arrays: a small process stands between.
_LAUNCHER = """
import os, subprocess, sys, time
begin = time.perf_counter()
process = subprocess.Popen(sys.argv[1:], stdout=subprocess.DEVNULL)
_, status, usage = os.wait4(process.pid, 0)
seconds = time.perf_counter() - begin
print(seconds, usage.ru_maxrss, usage.ru_utime + usage.ru_stime, os.waitstatus_to_exitcode(status))
"""


@dataclass(frozen=True)
class Ran:
    """What a process took: seconds from shell to shell, peak memory in MB, seconds of the processor in all threads."""

    seconds: float
    peak: float
    processor: float


def run(*arguments: str | Path) -> tuple[float, float]:
    """Run ``sftkit`` in a process of its own: seconds from shell to shell, and peak memory in MB."""
    took = measured(*arguments)
    return took.seconds, took.peak


def measured(*arguments: str | Path) -> Ran:
    """Run ``sftkit`` in a process of its own."""
    command = [sys.executable, "-m", "sftkit", *map(str, arguments)]
    environment = os.environ | {"PYTHONDONTWRITEBYTECODE": ""}  # an installed package is compiled, and so are we
    done = subprocess.run(
        [sys.executable, "-c", _LAUNCHER, *command], stdout=subprocess.PIPE, text=True, check=True, env=environment
    )
    seconds, peak, processor, status = done.stdout.split()
    if status != "0":
        raise SystemExit(f"{' '.join(command)} failed with status {status}")
    return Ran(float(seconds), float(peak) / (1024 if sys.platform != "darwin" else 1024**2), float(processor))
