"""Runs a command in this process as a shell would: both streams apart, the exit status, never a traceback."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass

from typer.testing import CliRunner

from sftkit.cli.app import app


@dataclass(frozen=True)
class Outcome:
    status: int
    stdout: str
    stderr: str


def sftkit(*arguments: object) -> Outcome:
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert "Traceback" not in result.output
    return Outcome(result.exit_code, result.stdout, result.stderr)


#: Options of a training run of a moment.
QUICK = ("--steps", "2", "--k", "50", "--device", "cpu", "--max-length", "32")


def train(*arguments: object) -> Outcome:
    """``sftkit train`` for a moment."""
    return sftkit("train", *arguments, *QUICK)


_PROBE = """
import sys
from sftkit.cli.app import app
try:
    app(sys.argv[1:], prog_name="sftkit")
finally:
    assert "torch" not in sys.modules, "torch was imported"
"""


def without_torch(*arguments: object) -> Outcome:
    """A command in a process of its own, in which torch must not be imported."""
    command = [sys.executable, "-c", _PROBE, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert "Traceback" not in done.stderr, done.stderr
    return Outcome(done.returncode, done.stdout, done.stderr)


def answered(line: str) -> list[str]:
    """What a shell is told could follow a line."""
    environment = {"_SFTKIT_COMPLETE": "complete_zsh", "_TYPER_COMPLETE_ARGS": f"sftkit {line}"}
    result = CliRunner().invoke(app, [], prog_name="sftkit", env=environment)
    return [each for each in result.stdout.splitlines() if each]
