"""``python -m tests.kills COUNT [SEED]``: train, compose and convert, COUNT times each killed at a random moment.

Afterwards the old or the new output stands under its name, whole, and the same command, run again (``train`` with
``--resume``), ends with the bytes of one that was never killed. Runs are forks of this process: torch is imported once,
and moments are drawn from the time that a whole run takes after that. ``train`` is killed in both phases, in between,
and while it writes. What went wrong is printed, a line each; then the status is 1.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import sys
import tempfile
import time
from pathlib import Path

from tests import conftest as conftest  # no network
from tests.cli.run import sftkit
from tests.helpers import pico
from tests.helpers.build import save_sft
from tests.helpers.trials import Trial, state
from tests.training import killing

_TRAIN = ("--steps", "6", "--eval-every", "2", "--k", "100", "--device", "cpu", "--batch-size", "4", "--max-length",
          "32", "--lr", "1e-2")  # fmt: skip


def main() -> int:
    """Kill them, and print the figures."""
    parser = argparse.ArgumentParser(prog="python -m tests.kills", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("count", type=int)
    parser.add_argument("seed", type=int, nargs="?", default=0)
    asked = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # by way of what removes folders
    wrong = 0
    with tempfile.TemporaryDirectory(prefix="sftkit-kills-") as name:
        folder = Path(name).resolve()
        base = pico.save_base(folder / "base")
        for what, trial in _trials(folder, base).items():
            wrong += _tell(what, asked.count, killed(trial, folder / "work", asked.count, asked.seed))
        text = folder / "text.txt"
        text.write_text("".join(f"ta mi lo mi{i % 7}. ka su ra\n" for i in range(120)))
        options = ["--mlm", str(text), "--base", str(base), *_TRAIN]
        found = killing.main(folder / "runs", options, ["x.sft"], 0, asked.count, asked.seed)
        wrong += _tell("train", asked.count, found)
    return int(bool(wrong))


def _tell(what: str, count: int, found: list[str]) -> int:
    print("".join(f"{line}\n" for line in found) + f"{what}: {count} kills, {len(found)} wrong", flush=True)
    return len(found)


def _trials(folder: Path, base: Path) -> dict[str, Trial]:
    """Commands whose output is new or replaces an old one."""
    first, second = (str(save_sft(folder / f"{seed}.sft", base, seed=seed)) for seed in (0, 1))
    model, published = str(folder / "model"), str(folder / "published")
    for made in (("compose", base, f"{first}:0.5", "-o", model), ("convert", first, "-o", published)):
        assert sftkit(*made).status == 0
    compose = ("compose", str(base), first, second)
    return {
        "compose": Trial(compose, "model"),
        "compose --overwrite": Trial(compose, "model", model),
        "convert": Trial(("convert", published), "x.sft"),
        "convert --overwrite": Trial(("convert", published), "x.sft", second),
    }


def killed(trial: Trial, work: Path, count: int, seed: int) -> list[str]:
    """Kill a command at random moments; gives what went wrong, a line each."""
    output, draw = trial.prepare(work), random.Random(seed)
    before = state(output)
    _forked(trial, output)  # what is read for the first time
    output = trial.prepare(work)
    begin = time.monotonic()
    _forked(trial, output)
    seconds, after = time.monotonic() - begin, state(output)
    found = []
    for _ in range(count):
        output, moment = trial.prepare(work), draw.uniform(0, seconds)
        _forked(trial, output, moment)
        wrong = trial.wrong(work, before, after, None)
        found += [f"{trial.arguments[0]}, killed after {moment:.4f} s: {what}" for what in wrong]
    return found


def _forked(trial: Trial, output: Path, after: float | None = None) -> None:
    process = os.fork()
    if process == 0:
        trial.run(output)
        os._exit(0)
    if after is not None:
        time.sleep(after)
        os.kill(process, signal.SIGKILL)
    os.waitpid(process, 0)


if __name__ == "__main__":
    sys.exit(main())
