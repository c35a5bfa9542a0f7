"""A folder of SFTs of two systems, two languages and three seeds, in which every test runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.run import sftkit
from tests.conftest import treebank_text
from tests.helpers.build import save_sft

LANGUAGES, SYSTEMS, SEEDS = ("aa", "bb"), ("lottery", "random"), ("1", "2", "10")


GRID = ("pos.sft", "--each", "{system}/{lang}-{seed}.sft", "--pos", "data/{lang}.conllu")


SEEDED = ("pos.sft", "--each", "lottery/{lang}-{seed}.sft", "--pos", "data/{lang}.conllu")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, pico_base: Path, treebank: Path) -> Path:
    """``pos.sft``, ``{lottery,random}/{aa,bb}-{1,2,10}.sft`` and ``data/{aa,bb}.conllu``."""
    folder = tmp_path_factory.mktemp("grid")
    quick = ("--base", pico_base, "--steps", 8, "--k", 400, "--lr", "1e-2", "--device", "cpu", "--quiet")
    assert sftkit("train", "--pos", treebank, "-o", folder / "pos.sft", *quick).status == 0
    for name in (*SYSTEMS, "data"):
        (folder / name).mkdir()
    number = 0
    for system in SYSTEMS:
        for language in LANGUAGES:
            for seed in SEEDS:
                number += 1
                path = folder / f"{system}/{language}-{seed}.sft"
                save_sft(path, pico_base, seed=number, k=900, scale=0.2 + 0.2 * (system == "random"))
    for language, sentences in zip(LANGUAGES, (20, 31), strict=True):
        (folder / f"data/{language}.conllu").write_text(treebank_text(sentences))
    return folder


@pytest.fixture(autouse=True)
def in_folder(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
