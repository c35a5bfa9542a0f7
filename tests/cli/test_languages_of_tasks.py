"""A task's SFT and the languages beside it: what is told of sums that are hardly a transfer."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.run import sftkit, train
from tests.helpers.build import save_sft

NONE = "was learned on a language's SFT, and none is added here"
BOTH = "en.sft is the language that pos.sft was learned on; for mt.sft leave it out."


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, pico_base: Path, treebank: Path) -> Path:
    """A base, SFTs of two languages, a task that was learned on one of them, and one that was learned on none."""
    folder = tmp_path_factory.mktemp("languages")
    (folder / "base").symlink_to(pico_base)
    (folder / "test.conllu").write_bytes(treebank.read_bytes())
    for seed, name in enumerate(("en.sft", "mt.sft")):
        save_sft(folder / name, pico_base, seed=seed)
    data = ("--pos", treebank, "--base", pico_base)
    assert train(*data, "--with", folder / "en.sft", "-o", folder / "pos.sft").status == 0
    assert train(*data, "-o", folder / "alone.sft").status == 0
    return folder


@pytest.fixture(autouse=True)
def _here(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(made)


TOLD = [
    (("pos.sft",), NONE),
    (("alone.sft",), ""),
    (("pos.sft", "en.sft"), ""),
    (("pos.sft", "mt.sft"), ""),
    (("pos.sft", "mt.sft", "en.sft"), BOTH),
    (("pos.sft", "mt.sft", "en.sft:-1"), ""),
    (("alone.sft", "mt.sft", "en.sft"), ""),
]


@pytest.mark.parametrize(("sfts", "told"), TOLD)
def test_compose_tells_of_a_task_without_its_language_or_with_two(
    sfts: tuple[str, ...], told: str, tmp_path: Path
) -> None:
    done = sftkit("compose", "base", *sfts, "-o", tmp_path / "m")
    assert done.status == 0, done.stderr
    assert [text in done.stderr for text in (NONE, BOTH)] == [text == told for text in (NONE, BOTH)]


@pytest.mark.parametrize("command", ["evaluate", "predict"])
def test_so_do_scores_and_predictions(command: str) -> None:
    assert NONE in sftkit(command, "base", "pos.sft", "--pos", "test.conllu").stderr
    assert BOTH in sftkit(command, "base", "pos.sft", "mt.sft", "en.sft", "--pos", "test.conllu").stderr


def test_nothing_is_told_where_the_base_has_sfts_in_it_already(tmp_path: Path) -> None:
    assert sftkit("compose", "base", "mt.sft", "-o", tmp_path / "m").status == 0
    assert NONE not in sftkit("compose", tmp_path / "m", "pos.sft", "-o", tmp_path / "tagger").stderr
    assert NONE not in sftkit("evaluate", tmp_path / "m", "pos.sft", "--pos", "test.conllu").stderr


def test_inspect_names_what_a_task_was_learned_on() -> None:
    line = next(line for line in sftkit("inspect", "pos.sft").stdout.splitlines() if "trained with" in line)
    assert "en.sft" in line


def test_an_sft_that_is_taken_out_of_its_own_base_was_not_in_it(tmp_path: Path) -> None:
    told = sftkit("subtract", "base", "mt.sft", "-o", tmp_path / "m").stderr
    assert "mt.sft was no part of base, which is the base that it was learned on: its negative is now." in " ".join(
        told.split()
    )
