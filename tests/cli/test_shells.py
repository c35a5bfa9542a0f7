"""Completion in the shells themselves: a line is typed on a terminal, TAB is pressed, and the line is read."""

from __future__ import annotations

import os
import pty
import re
import select
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from sftkit.cli.options.completions import write

#: What is typed -> what stands there after TAB.
COMPLETED = {
    "sftkit comp": "sftkit compose",
    "sftkit train --crit": "sftkit train --criterion",
    "sftkit train --method lo": "sftkit train --method lottery",
    "sftkit train --method=lo": "sftkit train --method=lottery",
    "sftkit inspect fo": "sftkit inspect fo.sft",
    "sftkit inspect deep/": "sftkit inspect deep/in.sft",
    "sftkit inspect my": "sftkit inspect my x.sft",
    "sftkit train --base ba": "sftkit train --base base/",
}
_BEGIN = {
    "bash": "source {completions}/sftkit.bash",
    "zsh": "{keys}; fpath=({completions} $fpath); autoload -Uz compinit; compinit -u -D",
    "zsh, sourced": "{keys}; autoload -Uz compinit; compinit -u -D; source {completions}/_sftkit",
}
_KEYS = "bindkey -e; setopt no_auto_remove_slash"
_PATIENCE = 60.0


class Terminal:
    """A shell on a terminal of its own."""

    def __init__(self, shell: str, folder: Path, begin: str) -> None:
        arguments = {"bash": ["--norc", "--noprofile", "-i"], "zsh": ["-f", "-i"]}[shell]
        environment = os.environ | {
            "PATH": f"{folder / 'bin'}:{os.environ['PATH']}", "TERM": "xterm", "PS1": "> ", "HOME": str(folder),
        }  # fmt: skip
        self._master, theirs = pty.openpty()
        self._process = subprocess.Popen(
            [shell, *arguments], stdin=theirs, stdout=theirs, stderr=theirs, env=environment, cwd=folder / "work",
            start_new_session=True,
        )  # fmt: skip
        os.close(theirs)
        self.told("echo rea''dy", "ready")
        self.told(begin.format(completions=folder / "completions", keys=_KEYS) + "; echo beg''un", "begun")

    def told(self, keys: str, until: str) -> str:
        """What is shown once keys were pressed and Enter, up to the end of what is waited for."""
        os.write(self._master, keys.encode() + b"\r")
        shown, end = "", time.monotonic() + _PATIENCE
        while until not in shown:
            ready, _, _ = select.select([self._master], [], [], max(0.0, end - time.monotonic()))
            assert ready, f"waited for {until!r}: {shown!r}"
            shown += re.sub(
                r"\x1b(\[[0-9;?]*[a-zA-Z]|[=>])|\r", "", os.read(self._master, 4096).decode(errors="replace")
            )
        return shown

    def completed(self, line: str) -> str:
        """The line after TAB: it is not run, but echoed."""
        shown = self.told(f"{line}\t\x01echo '<' \x05 '>'", " >\n")
        return str(re.findall(r"^< (.*?) +>$", shown, re.MULTILINE)[-1])

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        os.close(self._master)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The command on a path of its own, its completions, and files to be completed."""
    folder = tmp_path_factory.mktemp("shells")
    write(folder / "completions")
    program = folder / "bin" / "sftkit"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m sftkit "$@"\n')
    program.chmod(0o755)
    for name in ("work/deep/in.sft", "work/fo.sft", "work/fo.txt", "work/my x.sft", "work/base/x", "work/ba.txt",
                 "work/text.txt", "work/deep/in.txt"):  # fmt: skip
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return folder


@pytest.fixture(scope="module", params=["bash", "zsh"])
def terminal(request: pytest.FixtureRequest, folder: Path) -> Iterator[Terminal]:
    if shutil.which(request.param) is None:
        pytest.skip(f"{request.param} is not installed")
    terminal = Terminal(request.param, folder, _BEGIN[request.param])
    yield terminal
    terminal.close()


@pytest.mark.parametrize("line", COMPLETED)
def test_tab_completes_a_line(line: str, terminal: Terminal) -> None:
    assert terminal.completed(line) == COMPLETED[line]


@pytest.mark.parametrize("begin", ["zsh", "zsh, sourced"])
def test_each_tab_of_a_session_in_zsh_completes(begin: str, folder: Path) -> None:
    if shutil.which("zsh") is None:
        pytest.skip("zsh is not installed")
    terminal = Terminal("zsh", folder, _BEGIN[begin])
    try:
        for _ in range(2):
            assert terminal.completed("sftkit train --method lo") == "sftkit train --method lottery"
    finally:
        terminal.close()


@pytest.mark.parametrize("line", COMPLETED)
def test_fish_completes_a_line(line: str, folder: Path) -> None:
    if shutil.which("fish") is None:
        pytest.skip("fish is not installed")
    script = f"source {folder}/completions/sftkit.fish; complete --do-complete {line!r}"
    environment = os.environ | {"PATH": f"{folder / 'bin'}:{os.environ['PATH']}", "HOME": str(folder)}
    done = subprocess.run(
        ["fish", "--no-config", "-c", script], cwd=folder / "work", env=environment, text=True, capture_output=True,
        check=True,
    )  # fmt: skip
    offered = [each.partition("\t")[0] for each in done.stdout.splitlines()]
    before = line.rpartition(" ")[0]
    assert f"{before} {offered[0]}".replace("\\ ", " ") == COMPLETED[line], done
    assert len(offered) == 1
