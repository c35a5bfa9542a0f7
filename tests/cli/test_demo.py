"""``sftkit demo``: it runs, leaves what it says, and (slow) shows a gain that is real."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from transformers import AutoModelForTokenClassification

from tests.cli.run import Outcome, sftkit


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


def test_the_composed_model_opens_whole(quick: tuple[Path, Outcome]) -> None:
    _, info = AutoModelForTokenClassification.from_pretrained(quick[0] / "model", output_loading_info=True)
    assert not any(info[kind] for kind in ("missing_keys", "unexpected_keys", "mismatched_keys"))


def test_another_folder_with_other_things_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "precious.txt").write_text("x")
    assert sftkit("demo", "--quick", "-o", tmp_path, "--overwrite").status == 1
    assert [path.name for path in tmp_path.iterdir()] == ["precious.txt"]


@pytest.mark.slow
def test_composing_gains_on_the_unseen_language(tmp_path: Path) -> None:
    document = json.loads(sftkit("demo", "-o", tmp_path / "demo", "--json", "--quiet").stdout)
    alone, _, composed = (score["accuracy"] for score in document["scores"])
    assert composed > alone
