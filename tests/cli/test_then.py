"""A command ends with the next one, which a shell takes as it is: each that is suggested here is run."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from tests.cli.run import Outcome, sftkit, train
from tests.helpers.build import save_sft
from tests.helpers.screen import on_terminal


def following(done: Outcome) -> list[str]:
    """The words of the command that comes next, without the program."""
    assert done.status == 0, done.stderr
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("next: ")]
    words = shlex.split(line.removeprefix("next: "))
    return words[words.index("sftkit") + 1 :]


@pytest.fixture(scope="module")
def tagger(tmp_path_factory: pytest.TempPathFactory, pico_base: Path, treebank: Path) -> Path:
    path = tmp_path_factory.mktemp("tagger") / "pos.sft"
    assert train("--pos", treebank, "--base", pico_base, "-o", path).status == 0
    return path


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pico_base: Path, treebank: Path, tagger: Path) -> Path:
    """A folder with a space in its name, SFTs with spaces in theirs."""
    folder = tmp_path / "my folder"
    folder.mkdir()
    monkeypatch.chdir(folder)
    Path("the base").symlink_to(pico_base)
    Path("test.conllu").write_bytes(treebank.read_bytes())
    Path("my pos.sft").write_bytes(tagger.read_bytes())
    save_sft(Path("mt.sft"), pico_base, seed=1)
    return folder


def test_from_a_run_to_a_model_that_labels(here: Path, treebank: Path) -> None:
    done = train("--pos", treebank, "--base", "the base", "--with", "mt.sft:0.5", "-o", "new pos.sft")
    compose = following(done)
    assert "In the place of mt.sft:0.5 goes the SFT of the language that the model is for." in done.stderr
    assert compose == ["compose", "the base", "mt.sft:0.5", "new pos.sft", "-o", "new pos-model"]
    predict = following(sftkit(*compose))
    assert predict == ["predict", "new pos-model", "--pos", "-"]
    done = sftkit(*predict[:-1], "test.conllu", "-o", "said.conllu")
    assert (done.status, "next:" in done.stderr) == (0, False)  # what was written is what was wanted


def test_after_several_k_they_are_seen_side_by_side(here: Path, corpus: Path) -> None:
    steps = ("--steps", "2", "--device", "cpu", "--max-length", "32")
    done = sftkit("train", "--mlm", corpus, "--base", "the base", "--density", "0.01,0.02", "-o", "a b.sft", *steps)
    inspect = following(done)
    assert inspect == ["inspect", "a b-0.01.sft", "a b-0.02.sft"]
    assert sftkit(*inspect).status == 0


def test_a_model_that_was_scored_in_memory_can_be_made_and_then_used(here: Path) -> None:
    compose = following(sftkit("evaluate", "the base", "mt.sft", "my pos.sft", "--pos", "test.conllu"))
    assert compose == ["compose", "the base", "mt.sft", "my pos.sft", "-o", "base-pos"]
    made = following(sftkit(*compose))
    assert made == following(sftkit("evaluate", "base-pos", "--pos", "test.conllu"))
    assert made == ["predict", "base-pos", "--pos", "-"]


def test_scores_of_several_systems_can_be_drawn_by_the_same_command(here: Path) -> None:
    given = ["the base", "mt.sft", "my pos.sft", "--pos", "test.conllu", "--against", "my pos.sft"]
    again = following(sftkit("evaluate", *given))
    assert again == ["evaluate", *given, "--plot", "scores.png"]
    done = sftkit(*again)
    assert done.status == 0
    assert "wrote scores.png" in done.stderr
    assert "next:" not in done.stderr


def test_an_overlap_can_be_drawn_by_the_same_command_under_a_name_that_is_free(here: Path) -> None:
    Path("overlap.png").touch()
    again = following(sftkit("overlap", "mt.sft", "my pos.sft", "--metric", "lift"))
    assert again == ["overlap", "mt.sft", "my pos.sft", "--metric", "lift", "--plot", "overlap-2.png"]
    done = sftkit(*again)
    assert (done.status, done.stderr) == (0, "wrote overlap-2.png\n")


def test_after_sums_and_differences(here: Path) -> None:
    inspect = following(sftkit("compose", "mt.sft", "my pos.sft", "-o", "both sfts.sft"))
    assert inspect == ["inspect", "both sfts.sft"]
    assert following(sftkit("subtract", "both sfts.sft", "mt.sft", "-o", "back.sft")) == ["inspect", "back.sft"]
    assert sftkit("compose", "the base", "mt.sft", "-o", "tuned", "-q").status == 0
    compose = following(sftkit("subtract", "tuned", "the base", "-o", "d.sft"))
    assert compose == ["compose", "the base", "d.sft", "-o", "d-model"]
    assert sftkit(*compose).status == 0
    assert following(sftkit("subtract", "tuned", "mt.sft", "-o", "untuned")) == ["inspect", "untuned"]


def test_labels_that_were_only_seen_can_be_written_by_the_same_command(here: Path) -> None:
    seen = on_terminal("predict", "the base", "my pos.sft", "--pos", "test.conllu")
    (line,) = [line for line in seen.told if line.startswith("next: ")]
    again = shlex.split(line)[2:]
    assert again == ["predict", "the base", "my pos.sft", "--pos", "test.conllu", "-o", "labelled.conllu"]
    assert sftkit(*again).status == 0
    assert "next:" not in sftkit("predict", "the base", "my pos.sft", "--pos", "test.conllu").stderr


@pytest.mark.parametrize("how", ["-q", "--json"])
def test_who_wants_quiet_or_a_document_is_told_nothing_of_it(how: str, here: Path) -> None:
    for given in (
        ("compose", "mt.sft", "my pos.sft", "-o", f"both{how}.sft", how),
        ("overlap", "mt.sft", "my pos.sft", how),
        ("inspect", "mt.sft", how),
        ("evaluate", "the base", "my pos.sft", "--pos", "test.conllu", how),
    ):
        done = sftkit(*given)
        assert done.status == 0, done.stderr
        assert "next:" not in done.stderr
        assert how == "--json" or not done.stderr


def test_the_command_is_one_line_however_narrow_the_terminal(here: Path) -> None:
    done = on_terminal("overlap", "mt.sft", "my pos.sft", "--metric", "lift", width=40)
    assert "next: sftkit overlap mt.sft 'my pos.sft' --metric lift --plot overlap.png" in done.told


def test_what_is_common_to_two_sfts_is_no_alarm_when_one_is_taken_out(here: Path) -> None:
    sftkit("compose", "mt.sft", "my pos.sft", "-o", "both.sft")
    done = sftkit("subtract", "both.sft", "mt.sft", "-o", "back.sft")
    assert "opposite" not in done.stderr
    assert "of them are in more than one SFT" in done.stderr
