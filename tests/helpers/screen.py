"""A terminal of a width, in this process: what a command sends to it, and what can be seen there in the end."""

from __future__ import annotations

import io
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import pytest

from sftkit.cli.app import app

_ORDER = re.compile(r"\x1b\[([0-9;?]*)([A-Za-z])|\x1b\][^\x1b\x07]*(?:\x07|\x1b\\)")


class _Tty(io.StringIO):
    def isatty(self) -> bool:
        return True


@dataclass
class Screen:
    """Both streams of a command, on one terminal or apart."""

    stdout: _Tty = field(default_factory=_Tty)
    stderr: _Tty = field(default_factory=_Tty)
    status: int = 0

    @property
    def sent(self) -> str:
        """What was sent to standard error, orders included."""
        return self.stderr.getvalue()

    @property
    def printed(self) -> list[str]:
        """The lines on standard output."""
        return seen(self.stdout.getvalue())

    @property
    def told(self) -> list[str]:
        """The lines that are left of standard error."""
        return seen(self.stderr.getvalue())


@contextmanager
def terminal(width: int = 80, **environment: str) -> Iterator[Screen]:
    """A terminal in place of both streams."""
    screen = Screen()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "stdout", screen.stdout)
        patch.setattr(sys, "stderr", screen.stderr)
        for name, value in {"TERM": "xterm-256color", "COLUMNS": str(width), **environment}.items():
            patch.setenv(name, value)
        if "NO_COLOR" not in environment:
            patch.delenv("NO_COLOR", raising=False)
        yield screen


def on_terminal(*arguments: object, width: int = 80, **environment: str) -> Screen:
    """A command on a terminal."""
    with terminal(width, **environment) as screen:
        try:
            app([str(argument) for argument in arguments], prog_name="sftkit")
        except SystemExit as end:
            screen.status = int(end.code or 0)
    return screen


def seen(sent: str) -> list[str]:
    """The lines that are there once a terminal did what it was sent; no longer line is broken."""
    lines, row, column, at = [""], 0, 0, 0
    while at < len(sent):
        order = _ORDER.match(sent, at)
        if order is not None:
            at = order.end()
            if order[2] == "A":
                row = max(0, row - int(order[1] or 1))
            elif order[2] == "K":
                lines[row] = ""
            continue
        letter, at = sent[at], at + 1
        if letter == "\n":
            row, column = row + 1, 0
            if row == len(lines):
                lines.append("")
        elif letter == "\r":
            column = 0
        else:
            lines[row] = lines[row][:column].ljust(column) + letter + lines[row][column + 1 :]
            column += 1
    return [line.rstrip() for line in lines]
