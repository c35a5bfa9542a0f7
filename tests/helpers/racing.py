"""Many processes that write one output at the same time, and one that reads it meanwhile.

Run as a script with one JSON document as its argument, it forks, so that imports are paid for once: ``output``,
``commands`` (one for each process, without ``-o``), ``rounds``, and ``overwrite``. It prints a JSON list with, for each
round, the exit statuses, what was said on standard error, whether the output was there whenever it was looked for (in
rounds with ``overwrite``), and the digests of the files below it.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from sftkit.errors import SftkitError
from sftkit.format.files import read
from sftkit.format.writing import file_digest
from tests.cli.run import sftkit


def one_round(output: Path, commands: list[list[str]], *, overwrite: bool) -> dict[str, Any]:
    """All processes at once."""
    shutil.rmtree(output) if output.is_dir() else output.unlink(missing_ok=True)
    more = ["--overwrite"] if overwrite else []
    if overwrite:
        sftkit(*commands[0], "-o", output)
    begin = time.time() + 0.2
    pipes = []
    for command in commands:
        ours, theirs = os.pipe()
        if os.fork() == 0:
            time.sleep(max(0.0, begin - time.time()))
            done = sftkit(*command, "-o", output, *more)
            os.write(theirs, json.dumps([done.status, done.stderr]).encode())
            os._exit(0)
        os.close(theirs)
        pipes.append(ours)
    always = _watched(output, len(commands)) if overwrite else True
    for _ in commands if not overwrite else ():
        os.wait()
    said = [json.loads(os.read(pipe, 1 << 16)) for pipe in pipes]
    return {
        "statuses": [status for status, _ in said], "said": [text for _, text in said], "always": always,
        "files": digests(output), "left": sorted(path.name for path in output.parent.iterdir()),
    }  # fmt: skip


def _watched(output: Path, running: int) -> bool:
    """Whether the output was there, and a file whole, until all processes had ended."""
    whole = True
    while running:
        running -= os.waitpid(-1, os.WNOHANG)[0] != 0
        if output.suffix == ".sft":
            try:
                read(output)
            except (OSError, SftkitError):
                whole = False
        else:
            whole &= (output / "config.json").exists()
    return whole


def digests(output: Path) -> dict[str, str]:
    files = sorted(path for path in output.rglob("*") if path.is_file()) if output.is_dir() else [output]
    return {path.name: file_digest(path) for path in files}


def main(output: str, commands: list[list[str]], rounds: int, *, overwrite: bool) -> None:
    """All rounds."""
    with tempfile.TemporaryDirectory() as folder:
        sftkit(*commands[0], "-o", Path(folder, Path(output).name))  # imports what every fork needs
    print(json.dumps([one_round(Path(output), commands, overwrite=overwrite) for _ in range(rounds)]))


if __name__ == "__main__":
    main(**json.loads(sys.argv[1]))
