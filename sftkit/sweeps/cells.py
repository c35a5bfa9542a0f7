"""Cells: commands with what they read and write.

A cell's files carry a digest of all that it was asked for in their names, so that another setting is another file: what
does not depend on it stays, and going back costs nothing.
"""

from __future__ import annotations

import hashlib
import json
import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

#: What stands for ``sftkit`` in a cell's shell command: the workflow says how it is called.
SFTKIT = "{SFTKIT}"
#: How the log of a cell begins; the time follows, as ``date`` writes it.
BEGAN = "began "
_TIME = "%Y-%m-%dT%H:%M:%S%z"


@dataclass(frozen=True)
class Work:
    """What is known of how much a cell has to do.

    Attributes:
        kind: "world", "language", "sum", "score" or "external"; for tasks the task's name.
        base: the model.
        alike: cells with the same take the same time, but for their phases.
        phase1: whether there is one.
        phases: how many phases 2.
        shares: the densities of what is learned; None for the recipe's.
        steps: steps of phase 1 and 2 that the options say, None where they leave it to the data.
        seconds: what is known beforehand.
    """

    kind: str
    base: str = ""
    alike: str = ""
    phase1: bool = False
    phases: int = 0
    shares: tuple[float | None, ...] = ()
    steps: tuple[int | None, int | None] = (None, None)
    seconds: float | None = None


@dataclass(frozen=True)
class SweepCell:
    """One command, or two.

    Attributes:
        title: what it is, for people.
        inputs, outputs: files; the last output is the record, the document that the command prints.
        script: shell commands, Snakemake's braces doubled; what they print becomes the record.
        log: where they say what goes on.
        resume: the folder that keeps what was done of it, or "".
        work: how much it has to do.
        plain: the commands as one would type them.
        rehearsal: arguments of sftkit that, with ``--dry-run``, tell how long it takes; None if there are none.
    """

    title: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    script: str
    log: str
    work: Work
    resume: str = ""
    plain: str = field(default="", compare=False)
    rehearsal: tuple[str, ...] | None = field(default=None, compare=False)

    @property
    def record(self) -> str:
        """The document that the command prints."""
        return self.outputs[-1]

    @property
    def name(self) -> str:
        """As Snakemake calls it: a name for Python, whatever the record's path begins with or is written in."""
        return f"cell_{re.sub('[^A-Za-z0-9]', '_', self.record.rpartition('.')[0])}_{digest(self.record)}"


def digest(content: object) -> str:
    """Eight letters that stand for something: the same for the same."""
    text = json.dumps(content, sort_keys=True, default=str)
    return hashlib.sha256(text.encode("utf-8", "backslashreplace")).hexdigest()[:8]


def cell(
    title: str,
    commands: Sequence[Sequence[str] | str],
    *,
    inputs: Iterable[str],
    outputs: Sequence[str],
    log: str,
    work: Work,
    resume: str = "",
    rehearsal: Sequence[str] | None = None,
) -> SweepCell:
    """A cell of commands of sftkit (words), or of other programs (shell text); the last prints the record.

    Args:
        title: as :class:`Cell`'s, as are the others.
        commands: one after the other.
        inputs: files.
        outputs: files; the record comes last.
        log: a file.
        work: how much.
        resume: a folder to be removed once all went well.
        rehearsal: as :class:`Cell`'s.
    """
    record, part, log_file = (_in_shell(name) for name in (outputs[-1], f"{outputs[-1]}.part", log))
    lines, plain = [f"date '+{BEGAN}{_TIME}' > {log_file}"], []
    for number, command in enumerate(commands):
        text = command if isinstance(command, str) else shlex.join(command)
        plain.append(text if isinstance(command, str) else f"sftkit {text}")
        quoted = _doubled(text)
        words = quoted if isinstance(command, str) else f"{SFTKIT} {quoted}"
        to = part if number == len(commands) - 1 else "/dev/null"
        lines.append(f"{words} > {to} 2>> {log_file}")
    lines.append(f"mv {part} {record}")
    lines += [f"rm -rf {_in_shell(resume)}"] if resume else []
    return SweepCell(
        title, tuple(dict.fromkeys(inputs)), tuple(outputs), " && ".join(lines), log, work, resume,
        " && ".join(plain), None if rehearsal is None else tuple(rehearsal),
    )  # fmt: skip


def _doubled(text: str) -> str:
    """As Snakemake takes it: what stands in single braces it would fill in."""
    return text.replace("{", "{{").replace("}", "}}")


def _in_shell(name: str) -> str:
    return _doubled(shlex.quote(name))


def elapsed(cell: SweepCell) -> float | None:
    """Seconds from the cell's begin, which its log tells, to its record; None where that is not known.

    They are whole, and all of it: starting Python, loading the model, scoring the base.
    """
    try:
        with Path(cell.log).open(encoding="utf-8", errors="replace") as log:
            began = datetime.strptime(log.readline().strip(), BEGAN + _TIME)
        found = Path(cell.record).stat().st_mtime - began.timestamp()
    except (OSError, ValueError):
        return None
    return found if found >= 0 else None  # begun once more since


def stamp(files: Iterable[str]) -> str:
    """A digest of files' sizes and times: another where one was changed."""
    from sftkit import __version__

    found: list[Any] = [__version__]
    for name in sorted(files):
        try:
            status = Path(name).stat()
        except OSError:
            continue
        found.append((name, status.st_size, status.st_mtime_ns))
    return digest(found)


def share(density: float | None) -> str:
    """A density as file names have it; "" for the recipe's."""
    return "" if density is None else f"{density:g}"


def steps_of(options: Mapping[str, Any]) -> tuple[int | None, int | None]:
    """Steps of phase 1 and 2 that options name; None where they do not."""
    steps = options.get("steps")
    first = options.get("phase1-steps", None if "phase1-epochs" in options else steps)
    return (first if isinstance(first, int) else None, steps if isinstance(steps, int) else None)
