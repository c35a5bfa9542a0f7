"""Commands in several processes at once, as torchrun starts them, but forked: what they need is imported once.

Run as a script it reads requests from standard input, a JSON document a line, and answers each with a line: ``folder``,
where the command runs, ``arguments``, and ``processes``, how many. The answer has ``status``, 0 if all ended well, and
``stderr``, what they said one after the other.
"""

from __future__ import annotations

import gc
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from sftkit.cli.app import app


class Forks:
    """A process that forks commands, from the tests' side."""

    def __init__(self) -> None:
        self._server = subprocess.Popen(
            [sys.executable, "-m", "tests.training.forks"], env=os.environ | {"OMP_NUM_THREADS": "1"},
            cwd=Path(__file__).parents[2], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip

    def run(self, folder: Path, arguments: Sequence[object], processes: int = 2) -> tuple[int, str]:
        """Run ``sftkit`` with these arguments; gives the status and what was said."""
        assert self._server.stdin is not None
        assert self._server.stdout is not None
        asked = {"folder": str(folder), "arguments": list(map(str, arguments)), "processes": processes}
        print(json.dumps(asked), file=self._server.stdin, flush=True)
        answer = json.loads(self._server.stdout.readline())
        return answer["status"], answer["stderr"]

    def close(self) -> None:
        """End the process."""
        self._server.communicate()


def answered(folder: str, arguments: list[str], processes: int) -> dict[str, Any]:
    """Run a command in so many processes; once one has failed, the others are ended."""
    with socket.socket() as probe, tempfile.TemporaryDirectory() as said:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
        probe.close()
        running = {
            _forked(rank, processes, port, folder, arguments, Path(said, str(rank))) for rank in range(processes)
        }
        statuses = []
        while running:
            process, status = os.wait()
            running.discard(process)
            statuses.append(os.waitstatus_to_exitcode(status))
            for other in running if statuses[-1] else ():
                os.kill(other, signal.SIGTERM)
        stderr = "".join(Path(said, str(rank)).read_text() for rank in range(processes))
    return {"status": max(map(abs, statuses)), "stderr": stderr}


def _forked(rank: int, processes: int, port: int, folder: str, arguments: list[str], said: Path) -> int:
    process = os.fork()
    if process:
        return process
    file = os.open(said, os.O_WRONLY | os.O_CREAT)
    os.dup2(file, 1)
    os.dup2(file, 2)
    os.chdir(folder)
    status = 1
    try:
        os.environ |= {
            "RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(processes),
            "LOCAL_WORLD_SIZE": str(processes), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port),
        }  # fmt: skip
        app(arguments, prog_name="sftkit")
    except SystemExit as end:
        status = int(end.code or 0)
    finally:
        sys.stderr.flush()
        os._exit(status)


if __name__ == "__main__":
    import_module("sftkit.training.lottery")  # what every fork needs
    gc.freeze()  # ... and need not look through, as accelerate does after each phase
    for line in sys.stdin:
        print(json.dumps(answered(**json.loads(line))), flush=True)
