"""``sftkit demo``: it runs, leaves what it says, and (slow) shows a gain that is real."""

from __future__ import annotations

import json
import re
import shlex
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from transformers import AutoModelForTokenClassification

from sftkit.cli.commands.demo import language_options
from sftkit.demo.folder import prepare
from sftkit.demo.run import DemoSettings
from sftkit.errors import OutputExistsError
from sftkit.format.files import SftFile
from tests.cli.run import Outcome, sftkit, without_torch
from tests.helpers.screen import on_terminal


@pytest.fixture(scope="module")
def quick(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Outcome]:
    folder = tmp_path_factory.mktemp("demo") / "out"
    return folder, sftkit("demo", "--quick", "-o", folder, "--json")


def test_it_leaves_every_file_that_it_lists(quick: tuple[Path, Outcome]) -> None:
    folder, done = quick
    assert done.status == 0, done.stderr
    files = json.loads(done.stdout)["files"]
    assert all((folder / name).exists() for name in files)
    assert {path.name for path in folder.iterdir()} == {Path(name).name for name in files} | {"demo.json", "demo.png"}


def test_its_scores_with_their_intervals_are_in_its_folder(quick: tuple[Path, Outcome]) -> None:
    folder, done = quick
    kept, printed = json.loads((folder / "demo.json").read_text()), json.loads(done.stdout)
    assert kept["scores"] == printed["scores"]
    for score in kept["scores"]:
        assert score.keys() == {"sfts", "what", "accuracy", "interval"}
        low, high = score["interval"]
        assert 0 <= low <= score["accuracy"] <= high <= 1


def test_every_file_of_the_base_may_be_read_by_whom_the_others_may(quick: tuple[Path, Outcome]) -> None:
    modes = {path.stat().st_mode for folder in ("base", "model") for path in (quick[0] / folder).iterdir()}
    modes |= {path.stat().st_mode for path in quick[0].iterdir() if path.is_file()}
    assert len(modes) == 1


def test_it_says_what_it_does_counts_its_parts_and_ends_with_commands_in_words_of_a_shell(tmp_path: Path) -> None:
    done = on_terminal("demo", "--quick", "-o", tmp_path / "my demo")
    told, printed = "\n".join(done.told), "\n".join(done.printed)
    assert told.startswith("A tiny model is pretrained on invented languages")
    assert " ".join(told.partition("1 of 5, pretraining")[0].split()).count(". ") == 1  # two sentences
    for number, name in enumerate(("pretraining", "talassi", "sarrowin", "sarrowin-random", "tagging"), start=1):
        assert f"{number} of 5, {name}: " in told
    assert "the figures mean nothing" in printed
    assert "95 % bootstrap interval" in printed
    folder = re.search(r"^  cd (.*)$", printed, re.MULTILINE)
    assert folder is not None
    assert shlex.split(folder[1]) == [str(tmp_path / "my demo")]
    commands = printed.partition("Go on, ")[2].splitlines()[2:]
    assert all(len(line) <= 80 for line in commands)
    assert all(not line.startswith("    ") or before.endswith("\\") for before, line in pairwise(commands))


def test_the_composed_model_opens_whole(quick: tuple[Path, Outcome]) -> None:
    _, info = AutoModelForTokenClassification.from_pretrained(quick[0] / "model", output_loading_info=True)
    assert not any(info[kind] for kind in ("missing_keys", "unexpected_keys", "mismatched_keys"))


def test_the_options_that_it_suggests_learn_what_it_learned(quick: tuple[Path, Outcome], tmp_path: Path) -> None:
    folder, settings = quick[0], DemoSettings.quick(0)
    language = json.loads(quick[1].stdout)["target"]
    data = ("--mlm", folder / f"text/{language}.txt", "--base", folder / "base", "--density", settings.density)
    assert sftkit("train", *data, *language_options(settings).split(), "-o", tmp_path / "x.sft").status == 0
    ours, its = SftFile(tmp_path / "x.sft"), SftFile(folder / f"{language}.sft")
    assert ours.names == its.names
    for name in ours.names:
        assert np.array_equal(ours.entries(name)[0], its.entries(name)[0])
        assert np.array_equal(ours.entries(name)[1], its.entries(name)[1])


def test_another_folder_with_other_things_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "precious.txt").write_text("x")
    assert sftkit("demo", "--quick", "-o", tmp_path, "--overwrite").status == 1
    assert [path.name for path in tmp_path.iterdir()] == ["precious.txt"]


@pytest.mark.parametrize("name", ["precious.txt", "demo.json"])
def test_a_folder_that_is_no_demonstration_is_refused_before_torch_is_imported(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text("x")
    done = without_torch("demo", "--overwrite", "-o", tmp_path)
    assert done.status == 1
    assert "other things" in done.stderr


def test_what_an_earlier_demonstration_left_is_replaced_if_it_may_be(tmp_path: Path) -> None:
    (tmp_path / "demo.json").write_text('{"sfts": ["a.sft"]}')
    (tmp_path / "a.sft").write_text("x")
    (tmp_path / "text").mkdir()
    with pytest.raises(OutputExistsError, match="--overwrite"):
        prepare(tmp_path, overwrite=False)
    prepare(tmp_path, overwrite=True)
    assert not list(tmp_path.iterdir())


def test_a_file_in_the_place_of_the_folder_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for path in (tmp_path / "file", tmp_path / "file" / "demo"):
        done = sftkit("demo", "-o", path)
        assert (done.status, done.stderr.count("\n")) == (1, 1)
        assert "is a file, not a directory" in done.stderr


@pytest.mark.slow
def test_composing_gains_on_the_unseen_language(tmp_path: Path) -> None:
    document = json.loads(sftkit("demo", "-o", tmp_path / "demo", "--json", "--quiet").stdout)
    alone, _, composed = (score["accuracy"] for score in document["scores"])
    assert composed > alone
