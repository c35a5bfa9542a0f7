"""SFTs of every task, and the command that labels with them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from sftkit.cli.app import app
from tests.cli.run import train
from tests.conftest import treebank_text
from tests.helpers import squad

TEXT = "ta mi lo\n\nka  su\nra lo ta\n"


def write(folder: Path, name: str, text: str) -> Path:
    (folder / name).write_text(text, encoding="utf-8")
    return folder / name


WORD = "1\tta" + 8 * "\t_" + "\n"


NER = "ta B-PER\nmi I-PER\nlo O\n\nka B-LOC\nsu O\n\nra B-DATE\nlo O\n\n" * 6


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, pico_base: Path) -> Path:
    """An SFT of every task, of a moment's training."""
    folder = tmp_path_factory.mktemp("predict")
    (folder / "ner").write_text(NER)
    (folder / "pos").write_text(treebank_text(12))
    (folder / "dep").write_text(treebank_text(12))
    (folder / "nli").write_text("premise\thypothesis\tlabel\n" + "ta mi\tlo\tyes\nka\tsu\tno\n" * 6)
    (folder / "classify").write_text("text\tlabel\n" + "ta mi\tyes\nka\tno\nsu\tmaybe\n" * 6)
    squad.save(folder / "qa", squad.numbers(12, 1, unanswered=False))
    for name in ("ner", "pos", "dep", "nli", "classify", "qa"):
        more = ("--stride", 8) if name == "qa" else ()
        done = train(
            f"--{name}", folder / name, "--base", pico_base, "-o", folder / f"{name}.sft", "--lr", "0.05", *more
        )
        assert done.status == 0, done.stderr
    return folder


@pytest.fixture
def predict(folder: Path, pico_base: Path) -> Callable[..., str]:
    """Runs the command for a task; what it writes to standard output."""

    def run(name: str, source: object, *arguments: object, stdin: bytes | None = None) -> str:
        sfts = [folder / f"{name}.sft"] if name != "mlm" else []
        more = ("--stride", 8) if name == "qa" else ()
        words = ["predict", pico_base, *sfts, f"--{name}", source, "--max-length", 32, *more, *arguments]
        done = CliRunner().invoke(app, [str(word) for word in words], input=stdin)
        assert done.exit_code == 0, done.output
        return done.stdout

    return run
