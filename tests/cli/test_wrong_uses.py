"""What a newcomer types wrongly, and what is said then: one or two lines, with what, where, which values, what next.

The table is wrong_uses.txt: a command, its exit status (1: it could not be done, 2: wrong usage), and words that its
message has. Nothing is left half-written, and nothing that was there is touched.
"""

from __future__ import annotations

import gzip
import os
import re
import shlex
import shutil
import subprocess
import sys
import tarfile
import zipfile
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
        Path("many.toml").write_text('steps = "many"\n')
        Path("unknown.toml").write_text("stepz = 3\n")
        Path("typo.toml").write_text('langauges = ["mt"]\n')
        Path("words.toml").write_text("languages = 3\n")
        Path("train.conllu").write_text(treebank_text(20))
        _save_bases_that_are_none()
        _save_files_of_other_kinds()
    return folder


def _save_bases_that_are_none() -> None:
    """Copies of the base that lack a part, and folders that other programs take for models."""
    for name, lacks in (
        ("weightless", "model.safetensors"), ("mute", "tokenizer*.json"), ("onnx", "model.safetensors"),
        ("pointer", "model.safetensors"), ("nameless", "config.json"),
    ):  # fmt: skip
        shutil.copytree("base", name)
        for path in list(Path(name).glob(lacks)):
            path.unlink()
    Path("onnx/model.onnx").write_bytes(b"\x08\x07")
    Path("pointer/model.safetensors").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n")
    Path("lora").mkdir()
    Path("lora/adapter_config.json").write_text('{"peft_type": "LORA"}')
    Path("llama").mkdir()
    Path("llama/llama.gguf").write_bytes(b"GGUF" + bytes(200))


def _save_files_of_other_kinds() -> None:
    with zipfile.ZipFile("zip.sft", "w") as archive:
        archive.write("note.txt")
    with tarfile.open("tar.sft", "w") as archive:
        archive.add("note.txt")
    Path("page.sft").write_text("<!DOCTYPE html>\n<title>Sign in</title>\n")
    Path("page.txt").write_bytes(Path("page.sft").read_bytes())
    Path("picture.sft").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(200))
    Path("pointer.sft").write_bytes(Path("pointer/model.safetensors").read_bytes())
    Path("utf16.txt").write_text("ta mi lo .\n" * 30, encoding="utf-16")
    Path("latin.txt").write_text("ta mí lo .\n" * 30, encoding="latin-1")
    Path("corpus.txt.gz").write_bytes(gzip.compress(b"ta mi lo .\n" * 30))
    Path("blank.conllu").write_text(re.sub(r"\b(NOUN|VERB|ADP|PUNCT)\b", "_", treebank_text(20)))


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


#: What is said of data that had to be read through.
_READ = ("corpus.txt, line", "blank.conllu, line")


def test_all_that_needs_no_reading_of_data_is_told_before_torch_is_imported(made: Path) -> None:
    commands = [command for command, _, *words in ROWS if not any(word.startswith(_READ) for word in words)]
    root = {"PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run(
        [sys.executable, "-c", _PROBE], input="\n".join(commands), cwd=made, env=os.environ | root,
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


def test_there_are_many() -> None:
    assert len(ROWS) >= 60
