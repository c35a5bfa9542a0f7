"""Runs a command in this process as a shell would: both streams apart, the exit status, never a traceback."""

from __future__ import annotations

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
