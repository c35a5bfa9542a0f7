"""Every command and every example in the README works as it is written, on small data and with few steps."""

from __future__ import annotations

import os
import re
import shlex
from pathlib import Path

import pytest
from typer.testing import CliRunner

from sftkit.cli.app import app
from tests import pico
from tests.conftest import treebank_text

README = Path(__file__).parents[1] / "README.md"
# what a newcomer trains for hours is trained here for two steps
QUICK = {"train": ["--steps", "2", "--min-steps", "0", "--device", "cpu"], "demo": ["--quick"]}


def blocks(kind: str) -> list[str]:
    """The fenced blocks that follow the comment ``<!-- kind -->``."""
    found = re.findall(rf"<!-- {re.escape(kind)} -->\n```\w+\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    assert found, f"the README has no block marked {kind!r}"
    return found


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which every ``sftkit`` command of the README's sessions was run."""
    folder = tmp_path_factory.mktemp("session")
    base = pico.save_base(folder / "pico")
    for name in ("mt.txt", "en.txt"):
        (folder / name).write_text("".join(f"ta mi lo mi{i % 7} ka{i % 5}.\n" for i in range(60)))
    for name in ("en-train", "en-dev", "mt-test"):
        (folder / f"{name}.conllu").write_text(treebank_text(20))
    (folder / "swa.txt").write_text("ta B-PER\nmi I-PER\n\nka B-LOC\nlo B-DATE\n\n" * 10)
    (folder / "en-nli.tsv").write_text("text_a\ttext_b\trelation\n" + "ta mi\tta\t0\nlo\tka su\t1\n" * 10)
    before = Path.cwd()
    os.chdir(folder)
    try:
        for line in "".join(blocks("session")).splitlines():
            run(line, base)
    finally:
        os.chdir(before)
    return folder


def run(line: str, base: Path) -> None:
    """Run one line; the base that it names is a pico model here."""
    if line.startswith("export SFTKIT_BASE="):
        return
    program, command, *arguments = shlex.split(line.replace("$SFTKIT_BASE", str(base)))
    assert program == "sftkit", line
    done = CliRunner(env={"SFTKIT_BASE": str(base)}).invoke(app, [command, *arguments, *QUICK.get(command, [])])
    assert done.exit_code == 0, f"{line}\n{done.output}"


def test_the_sessions_leave_what_they_say(session: Path) -> None:
    for name in ("mt.sft", "en.sft", "pos.sft", "mt-quick.sft", "maltese-tagger/config.json"):
        assert (session / name).exists()


def test_the_python_examples_run(session: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(session)
    for code in blocks("session: python"):
        # φ of a few steps may not reach the layer that the example names
        exec(code.replace("encoder.layer.0.output.dense.weight", _a_parameter(session / "mt.sft")), {})


def _a_parameter(path: Path) -> str:
    from sftkit.format.files import SftFile

    return SftFile(path).names[0]


def test_the_set_up_commands_install_with_the_tested_versions() -> None:
    for kind in ("set-up: demo", "set-up: tests"):
        (command,) = blocks(kind)
        assert command.count("\n") == 1
        assert "-c tests/constraints.txt" in command
    assert "sftkit demo" in blocks("set-up: demo")[0]
    assert "-m pytest" in blocks("set-up: tests")[0]


def test_the_commands_of_the_algebra_table_exist() -> None:
    commands = set(re.findall(r"`sftkit (\w+)", README.read_text(encoding="utf-8")))
    for command in sorted(commands - {"COMMAND"}):
        assert CliRunner().invoke(app, [command, "--help"]).exit_code == 0, command


def test_links_within_the_project_lead_somewhere() -> None:
    for target in re.findall(r"\]\((?!http)([^)#]+)\)", README.read_text(encoding="utf-8")):
        assert (README.parent / target).exists(), target
