"""What a newcomer types wrongly, and what is said then: one or two lines, with what, where, which values, what next.

The table is wrong_uses.txt: a command, its exit status (1: it could not be done, 2: wrong usage), and words that its
message has. Nothing is left half-written, and nothing that was there is touched.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.run import sftkit
from tests.conftest import treebank_text
from tests.helpers import pico
from tests.helpers.build import save_sft

TABLE = (Path(__file__).parent / "wrong_uses.txt").read_text()
ROWS = [[*map(str.strip, row.split(" | "))] for row in TABLE.splitlines() if row and not row.startswith("#")]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("newcomer")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        base = pico.save_base(Path("base"))
        for name, changes in (("wide", {"hidden_size": 32}), ("other", {"seed": 1}), ("tuned", {"seed": 2})):
            pico.save_base(Path(name), **changes)  # type: ignore[arg-type]
        pico.save_base(Path("models/pico"))
        for seed, name in enumerate(("fo.sft", "en.sft", "lang/mt.sft")):
            Path(name).parent.mkdir(exist_ok=True)
            save_sft(Path(name), base, seed=seed)
        save_sft(Path("pos.sft"), base, objective="pos")
        elsewhere = pico.save_base(Path("gone/away"))
        save_sft(Path("lost.sft"), elsewhere)
        elsewhere.rename("models/moved")
        Path("gone").rmdir()
        Path("published").mkdir()
        Path("empty.sft").touch()
        Path("cut.sft").write_bytes(Path("fo.sft").read_bytes()[:-100])
        Path("corpus.txt").write_text("ta mi lo .\nka su ra .\n" * 30)
        Path("note.txt").write_text("This is a note, and no SFT.\n")
        Path("options.toml").write_text("steps = 2\n")
        Path("train.conllu").write_text(treebank_text(20))
    return folder


def contents(folder: Path) -> dict[str, bytes | None]:
    return {str(path): path.read_bytes() if path.is_file() else None for path in folder.rglob("*")}


@pytest.mark.parametrize(("command", "status", "words"), [(row[0], int(row[1]), row[2:]) for row in ROWS])
def test_a_wrong_use_is_told_in_two_lines_and_leaves_nothing(
    command: str, status: int, words: list[str], made: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(made)
    before = contents(made)
    done = sftkit(*shlex.split(command))
    told = done.stderr.strip()
    assert (done.status, done.stdout) == (status, ""), told
    assert 1 <= len(told.splitlines()) <= 2, told
    assert told.startswith("error: ")
    for word in words:
        assert word in told
    assert contents(made) == before


_PROBE = """
import sys
from shlex import split
from typer.testing import CliRunner
from sftkit.cli.app import app
for command in sys.stdin.read().splitlines():
    CliRunner().invoke(app, split(command))
    if "torch" in sys.modules:
        sys.exit(command)
"""


def test_all_that_needs_no_reading_of_data_is_told_before_torch_is_imported(made: Path) -> None:
    commands = [command for command, _, *words in ROWS if not any("line 1" in word for word in words)]
    root = {"PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run(
        [sys.executable, "-c", _PROBE], input="\n".join(commands), cwd=made, env=os.environ | root,
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


def test_there_are_many() -> None:
    assert len(ROWS) >= 60
