"""A weight that is hardly meant, such as :100 for 100 %, is told of wherever weights are given; nothing is refused."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.cli.run import sftkit, train
from tests.helpers import pico
from tests.helpers.build import save_sft

TOLD = "en.sft has a weight of {}, and 1 is what was learned. Is {} meant?"


@pytest.fixture
def folder(tmp_path: Path, pico_base: Path, corpus: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("base").symlink_to(pico_base)
    Path("corpus.txt").write_text(corpus.read_text())
    save_sft(Path("en.sft"), pico_base, scale=1e-6)
    save_sft(Path("fo.sft"), pico_base, seed=1)
    pico.save_base(Path("tuned"), seed=2)
    return tmp_path


COMMANDS = {
    "compose base en.sft:100 -o model": "100",
    "compose base en.sft:100 --dry-run": "100",
    "compose fo.sft en.sft:-50 -o sum.sft": "-50",
    "compose base en.sft:6 en.sft:6 -o model": "12",
    "subtract base en.sft:100 -o less --force": "100",
    "subtract fo.sft en.sft:100 -o less.sft": "-100",
    "evaluate base en.sft:100 --mlm corpus.txt": "100",
    "predict base en.sft:100 --mlm corpus.txt -o filled.txt": "100",
}


@pytest.mark.parametrize("command", COMMANDS)
def test_a_weight_that_is_hardly_meant_is_told_of(command: str, folder: Path) -> None:
    done = sftkit(*command.split())
    assert done.status == 0, done.stderr
    assert done.stderr.count(TOLD.replace("{}", COMMANDS[command])) == 1
    assert "Is " not in sftkit(*command.split(), "-q", *_again(command)).stderr


def test_training_on_an_sft_tells_of_its_weight(folder: Path) -> None:
    done = train("--mlm", "corpus.txt", "--base", "base", "--with", "en.sft:100", "-o", "x.sft")
    assert done.stderr.count(TOLD.replace("{}", "100")) == 1


@pytest.mark.parametrize("weight", ["0.5", "-1", "2", "10"])
def test_weights_that_are_in_use_are_told_nothing_of(weight: str, folder: Path) -> None:
    assert "Is " not in sftkit("compose", "base", f"en.sft:{weight}", "--dry-run").stderr


def _again(command: str) -> Sequence[str]:
    return ("--overwrite",) if "-o" in command.split() else ()
