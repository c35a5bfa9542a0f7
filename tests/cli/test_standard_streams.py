"""Standard output or error on a full disk, or closed: a line says so, and work that writes elsewhere goes on."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers.build import save_sft

FULL = Path("/dev/full")
pytestmark = pytest.mark.skipif(not FULL.exists(), reason="a device that is always full, as Linux has")


def run(*arguments: object, output: Path = Path(os.devnull), said: Path | None = None) -> tuple[int, str]:
    """Status and standard error of a process of its own."""
    command = [sys.executable, "-m", "sftkit", *map(str, arguments)]
    with output.open("w") as out, (said or Path(os.devnull)).open("w") as errors:
        done = subprocess.run(
            command, stdout=out, stderr=errors if said else subprocess.PIPE, text=True, timeout=120, check=False
        )
    return done.returncode, done.stderr or ""


@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize(
    "arguments", [("--version",), ("--help",), ("inspect", "x.sft"), ("inspect", "x.sft", "--json")]
)
def test_a_standard_output_that_is_full_is_named_in_a_line(
    arguments: tuple[str, ...], unbuffered: str, pico_base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONUNBUFFERED", unbuffered)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
    save_sft(Path("x.sft"), pico_base)
    status, said = run(*arguments, output=FULL)
    assert status == 1
    assert said.startswith("error: standard output: No space left on device.")
    assert said.count("\n") == 1


def test_a_standard_error_that_is_full_ends_nothing(
    pico_base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
    a, b = (save_sft(tmp_path / name, pico_base) for name in ("a.sft", "b.sft"))
    assert run("overlap", a, b, said=FULL)[0] == 0  # which has a remark
    Path("mt.txt").write_text("ta mi lo mi ka.\n" * 60)
    options = ("--steps", 2, "--min-steps", 0, "--device", "cpu", "-o", "x.sft")
    assert run("train", "--mlm", "mt.txt", "--base", pico_base, *options, said=FULL)[0] == 0
    assert Path("x.sft").exists()
