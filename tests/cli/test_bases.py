"""Which base is meant where none, or SFTs alone, were named; and what is said before one is downloaded."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from sftkit.format.files import read
from sftkit.format.writing import write
from tests.cli.run import Outcome, sftkit
from tests.helpers.build import save_sft
from tests.helpers.loopback import hub_of

BERT = "bert-base-multilingual-cased"


@pytest.fixture
def here(tmp_path: Path, pico_base: Path, corpus: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with ``base`` and SFTs that name it by that name."""
    (tmp_path / "base").symlink_to(pico_base)
    (tmp_path / "corpus.txt").symlink_to(corpus)
    monkeypatch.chdir(tmp_path)
    for seed, name in enumerate(("en.sft", "mt.sft")):
        save_sft(Path(name), Path("base"), seed=seed)
    return tmp_path


_COMMANDS = """
import dataclasses, json, sys
from tests.cli.run import sftkit
print(json.dumps([dataclasses.astuple(sftkit(*command)) for command in json.loads(sys.argv[1])]))
"""


def on_the_loopback_hub(home: Path, models: dict[str, Path], *commands: tuple[str, ...]) -> list[Outcome]:
    """Commands in a process of their own, as huggingface_hub reads where the hub is once."""
    with hub_of(models) as address:
        root = {"PYTHONPATH": str(Path(__file__).parents[2])}
        there = {"HF_ENDPOINT": address, "HF_HOME": str(home), "HF_HUB_OFFLINE": "0"}
        command = [sys.executable, "-c", _COMMANDS, json.dumps(commands)]
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ | root | there)
    assert done.returncode == 0, done.stderr
    return [Outcome(*each) for each in json.loads(done.stdout)]


def test_the_default_base_is_told_with_its_size_before_it_is_downloaded_and_once(here: Path, pico_base: Path) -> None:
    train = ("train", "--mlm", "corpus.txt", "--steps", "1", "--k", "20", "--device", "cpu", "--max-length", "32",
             "--overwrite", "-o", "x.sft")  # fmt: skip
    score = ("evaluate", "x.sft", "--mlm", "corpus.txt", "--json")
    first, second, alone = on_the_loopback_hub(here / "home", {BERT: pico_base}, train, train, score)
    assert (first.status, second.status) == (0, 0), first.stderr + second.stderr
    assert f"note: {BERT} is not here yet: 37.8 kB are downloaded from the hub, once." in first.stderr
    assert first.stderr.index("note: bert") < first.stderr.index("Fetching")
    assert "downloaded" not in second.stderr
    assert "Fetching" not in second.stderr
    assert alone.status == 0, alone.stderr
    assert f"on {BERT}, the base that x.sft names" in alone.stderr


def test_a_hub_that_does_not_have_it_says_so_in_a_line(here: Path, pico_base: Path) -> None:
    score = ("evaluate", "me/mine", "--mlm", "corpus.txt")
    (done,) = on_the_loopback_hub(here / "home", {BERT: pico_base}, score)
    assert (done.status, done.stderr.count("\n")) == (1, 1)
    assert "me/mine: no such directory, and the hub has no such repo" in done.stderr


@pytest.mark.usefixtures("here")
def test_sfts_alone_are_scored_on_the_base_that_they_name() -> None:
    alone = sftkit("evaluate", "en.sft", "mt.sft:0.5", "--mlm", "corpus.txt", "--json")
    named = sftkit("evaluate", "base", "en.sft", "mt.sft:0.5", "--mlm", "corpus.txt", "--json")
    assert alone.status == 0, alone.stderr
    assert json.loads(alone.stdout) == json.loads(named.stdout)
    assert "note: on base, the base that en.sft names." in alone.stderr
    assert "base that" not in sftkit("evaluate", "en.sft", "--mlm", "corpus.txt", "--quiet").stderr


def test_the_base_is_found_beside_the_sft(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (here / "elsewhere").mkdir()
    monkeypatch.chdir(here / "elsewhere")
    done = sftkit("evaluate", "../en.sft", "--mlm", "../corpus.txt")
    assert done.status == 0, done.stderr
    assert "on ../base, the base that ../en.sft names" in done.stderr


def test_text_is_labelled_by_sfts_alone_and_what_was_written_is_told(here: Path) -> None:
    (here / "masked.txt").write_text("ta [MASK]\nka su\n")
    done = sftkit("predict", "en.sft", "--mlm", "masked.txt", "-o", "filled.txt")
    assert done.status == 0, done.stderr
    assert "wrote filled.txt: 2 lines" in done.stderr
    assert sftkit("predict", "en.sft", "--mlm", "masked.txt", "-o", "quiet.txt", "-q").stderr == ""


def test_another_model_of_the_name_is_refused(here: Path) -> None:
    from tests.helpers import pico

    (here / "base").unlink()
    pico.save_base(here / "base", seed=3)
    done = sftkit("evaluate", "en.sft", "--mlm", "corpus.txt")
    assert (done.status, "learned on another base (base)" in done.stderr) == (1, True)


def test_an_sft_that_names_no_base_says_what_to_write(here: Path) -> None:
    from dataclasses import replace

    sft = read("en.sft")
    write(here / "bare.sft", replace(sft, metadata=replace(sft.metadata, base=None)))
    done = sftkit("evaluate", "bare.sft", "--mlm", "corpus.txt")
    assert (done.status, done.stderr.count("\n")) == (1, 1)
    assert "bare.sft does not say what its base is. Name the base first: sftkit evaluate BASE bare.sft" in done.stderr


@pytest.mark.usefixtures("here")
def test_a_base_that_the_environment_names_is_told_as_such(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SFTKIT_BASE", "bse")
    done = sftkit("train", "--mlm", "corpus.txt", "-o", "x.sft")
    assert (done.status, done.stderr.count("\n")) == (1, 1)
    assert "bse: no such file or directory. Did you mean base? ($SFTKIT_BASE says bse.)" in done.stderr
