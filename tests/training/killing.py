"""Trains in forks that are killed, and again until done; prints what went wrong, a line each.

Run as a script with one JSON document as its argument, so that torch is imported once for many runs: ``folder``,
``options`` of ``sftkit train`` without output and directory, ``outputs`` (names of the files that it makes),
``operations`` (how many operations on files are killed just before they happen, chosen at random), ``times`` (how many
runs are killed at random times) and ``seed``.
"""

from __future__ import annotations

import gc
import json
import mmap
import os
import random
import signal
import sys
import time
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from sftkit.cli.app import app

import_module("sftkit.training.lottery")  # what every fork needs
gc.freeze()  # ... and need not look through, as accelerate does after each phase

_WRITING = os.O_WRONLY | os.O_RDWR


@dataclass(frozen=True)
class Ended:
    """How a run ended, after how many operations on files and seconds."""

    status: int
    operations: int
    seconds: float


class Forks:
    """Runs of one command, each in a process and a folder of its own."""

    def __init__(self, options: list[str], said: Path) -> None:
        self._options, self._said = options, said
        self._count = mmap.mmap(-1, 8)  # shared with the forks

    def run(self, folder: Path, *, before: int = -1, after: float | None = None) -> Ended:
        """One run, killed before its n-th operation or after some seconds."""
        folder.mkdir(exist_ok=True)
        self._count[:] = bytes(8)
        begin = time.monotonic()
        process = os.fork()
        if process == 0:
            self._train(folder, before)
        if after is not None:
            time.sleep(after)
            os.kill(process, signal.SIGKILL)  # a process that has ended meanwhile is a zombie, and its number its own
        _, status = os.waitpid(process, 0)
        operations = int.from_bytes(self._count, "little")
        return Ended(os.waitstatus_to_exitcode(status), operations, time.monotonic() - begin)

    def _train(self, folder: Path, before: int) -> None:
        said = os.open(self._said, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(said, 1)
        os.dup2(said, 2)
        sys.addaudithook(lambda event, arguments: self._count_and_die(folder, before, event, arguments))
        outputs = ["-o", str(folder / "x.sft"), "--run-dir", str(folder / "run"), "--resume"]
        status = 1
        try:
            app(["train", *self._options, *outputs], prog_name="sftkit")
        except SystemExit as end:
            status = int(end.code or 0)
        finally:
            os._exit(status)

    def _count_and_die(self, folder: Path, before: int, event: str, arguments: tuple[Any, ...]) -> None:
        opened = event == "open" and isinstance(arguments[2], int) and bool(arguments[2] & _WRITING)
        if opened or event in ("os.rename", "os.remove", "os.mkdir", "os.rmdir"):
            if not str(arguments[0]).startswith(str(folder)):
                return
            done = int.from_bytes(self._count, "little")
            if done == before:
                os.kill(os.getpid(), signal.SIGKILL)
            self._count[:] = (done + 1).to_bytes(8, "little")


def main(folder: Path, options: list[str], outputs: list[str], operations: int, times: int, seed: int) -> list[str]:
    """What went wrong."""
    folder.mkdir(exist_ok=True)
    forks, draw = Forks(options, folder / "said.txt"), random.Random(seed)
    whole = forks.run(folder / "whole")
    if whole.status != 0:
        return [f"undisturbed: {whole.status}: {(folder / 'said.txt').read_text()}"]
    kills: list[dict[str, Any]] = [{"before": n} for n in draw.sample(range(whole.operations), operations)]
    kills += [{"after": draw.uniform(0, whole.seconds)} for _ in range(times)]
    wrong = []
    for number, kill in enumerate(kills):
        here = folder / str(number)
        killed, finished = forks.run(here, **kill), forks.run(here)
        if "before" in kill and killed.status != -signal.SIGKILL:
            wrong.append(f"{kill}: was not killed but ended with {killed.status}")
        if finished.status != 0:
            wrong.append(f"{kill}: {finished.status}: {(folder / 'said.txt').read_text()}")
        else:
            wrong += [f"{kill}: {what}" for what in _unlike(folder / "whole", here, outputs)]
    return wrong


def _unlike(whole: Path, here: Path, outputs: list[str]) -> list[str]:
    """What differs, and what is left that should not be."""
    differing = [name for name in outputs if (here / name).read_bytes() != (whole / name).read_bytes()]
    left = {path.name for path in here.iterdir()} - {*outputs, "run"}
    left |= {path.name for path in here.rglob("*") if path.suffix == ".part" or path.name.startswith("checkpoint-")}
    return [f"{name} differs" for name in differing] + [f"{name} is left" for name in sorted(left)]


if __name__ == "__main__":
    asked = json.loads(sys.argv[1])
    print("\n".join(main(Path(asked.pop("folder")), **asked)))
