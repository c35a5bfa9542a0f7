"""Sixteen processes that write one output at once: one of them makes it, or all of them do, and it is always whole."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.cli.run import sftkit, train
from tests.helpers.build import save_sft

forks = pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")
_WRITERS = 16


@pytest.fixture(scope="module")
def sfts(pico_base: Path, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    here = tmp_path_factory.mktemp("inputs")
    return [str(save_sft(here / f"{seed}.sft", pico_base, seed=seed)) for seed in range(_WRITERS)]


def commands(kind: str, base: Path, sfts: list[str]) -> list[list[str]]:
    """One for each writer, each with an outcome of its own."""
    return [["compose", *([str(base), sft] if kind == "model" else [sft, sfts[0]])] for sft in sfts]


def race(output: Path, commands: list[list[str]], rounds: int, *, overwrite: bool) -> list[dict[str, Any]]:
    """See tests/helpers/racing.py."""
    asked = {"output": str(output), "commands": commands, "rounds": rounds, "overwrite": overwrite}
    done = subprocess.run(
        [sys.executable, "-m", "tests.helpers.racing", json.dumps(asked)], env=os.environ | {"OMP_NUM_THREADS": "1"},
        cwd=Path(__file__).parents[2], capture_output=True, text=True, check=True,
    )  # fmt: skip
    found: list[dict[str, Any]] = json.loads(done.stdout)
    return found


def expected(commands: list[list[str]], folder: Path, name: str) -> list[list[str]]:
    """The digests that each writer alone would leave."""
    from tests.helpers.racing import digests

    outputs = [folder / str(number) / name for number in range(len(commands))]
    for command, output in zip(commands, outputs, strict=True):
        assert sftkit(*command, "-o", output).status == 0
    return [sorted(digests(output).values()) for output in outputs]


def check(found: list[dict[str, Any]], whole: list[list[str]], name: str, *, overwrite: bool) -> None:
    for each in found:
        winners = each["statuses"].count(0)
        assert winners == (_WRITERS if overwrite else 1), each
        assert sorted(each["files"].values()) in whole
        assert each["left"] == [name]
        assert each["always"]
        for said in (text for status, text in zip(each["statuses"], each["said"], strict=True) if status):
            assert "exists already" in said


@forks
@pytest.mark.parametrize("overwrite", [False, True], ids=["new", "over"])
@pytest.mark.parametrize(("kind", "name"), [("model", "m"), ("sum", "x.sft")])
def test_of_many_writers_of_one_output_each_or_one_makes_it_whole(
    kind: str, name: str, overwrite: bool, pico_base: Path, sfts: list[str], tmp_path: Path
) -> None:
    asked = commands(kind, pico_base, sfts)
    found = race(tmp_path / "work" / name, asked, 1, overwrite=overwrite)
    check(found, expected(asked, tmp_path, name), name, overwrite=overwrite)


@forks
@pytest.mark.slow
@pytest.mark.long
@pytest.mark.parametrize("overwrite", [False, True], ids=["new", "over"])
@pytest.mark.parametrize(("kind", "name"), [("model", "m"), ("sum", "x.sft")])
def test_of_many_writers_again_and_again_each_or_one_makes_it_whole(
    kind: str, name: str, overwrite: bool, pico_base: Path, sfts: list[str], tmp_path: Path
) -> None:
    asked = commands(kind, pico_base, sfts)
    found = race(tmp_path / "work" / name, asked, 30, overwrite=overwrite)
    check(found, expected(asked, tmp_path, name), name, overwrite=overwrite)


def test_of_two_trainings_in_one_directory_one_is_refused(pico_base: Path, corpus: Path, tmp_path: Path) -> None:
    from sftkit.training.engine.owner import owned

    arguments = ("--mlm", corpus, "--base", pico_base, "-o", tmp_path / "x.sft", "--run-dir", tmp_path / "run")
    with owned(tmp_path / "run"):
        refused = train(*arguments, "--resume")
    assert (refused.status, refused.stderr.count("\n")) == (1, 1)
    assert f"process {os.getpid()} on" in refused.stderr
    assert train(*arguments, "--resume").status == 0
