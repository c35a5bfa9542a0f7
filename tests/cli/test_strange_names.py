"""Files whose names are no UTF-8 are read and written like others, or refused in a line before anything is done."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from tests.cli.run import sftkit
from tests.helpers.build import save_sft

STRANGE = os.fsdecode(b"caf\xe9")


@pytest.fixture
def strange(tmp_path: Path, pico_base: Path) -> Path:
    folder = tmp_path / STRANGE
    try:
        shutil.copytree(pico_base, folder / "base")
    except OSError:
        pytest.skip("this file system takes UTF-8 alone")
    save_sft(folder / "x.sft", pico_base)
    shutil.copy(folder / "x.sft", folder / "y.sft")
    (folder / "text.txt").write_text("ta mi lo\n" * 8)
    return folder


COMMANDS: dict[str, tuple[str, ...]] = {
    "inspect": ("inspect", "x.sft"),
    "overlap": ("overlap", "x.sft", "y.sft"),
    "sum": ("compose", "x.sft", "y.sft:0.5", "-o", "z.sft"),
    "compose": ("compose", "base", "x.sft", "-o", "model"),
    "subtract": ("subtract", "base", "x.sft", "-o", "model"),
    "difference": ("subtract", "base", "base", "-o", "z.sft"),
    "convert": ("convert", "x.sft", "-o", "diff"),
    "push": ("push", "x.sft", "a/b", "--dry-run"),
    "plot": ("inspect", "x.sft", "--plot", "p.png"),
    "evaluate": ("evaluate", "base", "x.sft", "--mlm", "text.txt", "--device", "cpu"),
    "predict": ("predict", "base", "--mlm", "text.txt", "-o", "said.txt", "--device", "cpu"),
    "data": ("data", "--mlm", "text.txt", "--base", "base"),
    "train": ("train", "--mlm", "text.txt", "--base", "base", "-o", "z.sft", "--steps", "1", "--device", "cpu"),
}  # fmt: skip


@pytest.mark.parametrize("command", COMMANDS)
def test_names_that_are_no_utf_8_are_taken_or_refused_in_a_line(command: str, strange: Path) -> None:
    name, *rest = COMMANDS[command]
    files = ("base", "model", "diff")
    done = sftkit(name, *(strange / part if "." in part or part in files else part for part in rest))
    assert done.status in (0, 1), done.stderr
    assert "internal error" not in done.stderr
    assert (done.stdout + done.stderr).encode()
    if done.status:
        assert len(done.stderr.splitlines()) == 1
        assert r"caf\xe9" in done.stderr
        assert not {path.name for path in strange.iterdir()} - {"base", "x.sft", "y.sft", "text.txt"}
