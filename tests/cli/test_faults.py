"""Whatever fails or ends a command: under the output's name stands the old or the new one, whole, and a line says why.

The fast suite takes a share of all faults; ``--slow`` takes all of them.
"""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from sftkit.sharing import publish
from tests.cli.run import sftkit
from tests.helpers.build import save_sft
from tests.helpers.trials import Trial, failing

pytestmark = pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="asks /proc what a descriptor is of")


@pytest.fixture(scope="module")
def trials(pico_base: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Trial]:
    """Commands by name."""
    here = tmp_path_factory.mktemp("inputs")
    first, second = (str(save_sft(here / f"{seed}.sft", pico_base, seed=seed)) for seed in (0, 1))
    model, published, total, base = str(here / "model"), str(here / "published"), str(here / "sum.sft"), str(pico_base)
    for made in (
        ("compose", base, f"{first}:0.5", "-o", model),
        ("compose", first, f"{second}:0.5", "-o", total),
        ("convert", first, "-o", published),
    ):
        assert sftkit(*made).status == 0
    compose, add = ("compose", base, first, second), ("compose", first, second)
    return {
        "compose, new": Trial(compose, "model"),
        "compose, over": Trial(compose, "model", model),
        "subtract, new": Trial(("subtract", model, f"{first}:0.5"), "model"),
        "subtract, over": Trial(("subtract", base, first), "model", model),
        "add, new": Trial(add, "x.sft"),
        "add, over": Trial(add, "x.sft", total),
        "difference, new": Trial(("subtract", model, base), "x.sft"),
        "convert, new": Trial(("convert", published), "x.sft"),
        "convert, over": Trial(("convert", published), "x.sft", total),
        "convert back, new": Trial(("convert", first), "published"),
    }


NAMES = (
    "compose, new", "compose, over", "subtract, new", "subtract, over", "add, new", "add, over", "difference, new",
    "convert, new", "convert, over", "convert back, new",
)  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_a_request_that_fails_leaves_the_old_or_the_new_output(
    name: str, trials: dict[str, Trial], tmp_path: Path
) -> None:
    found, count = failing(trials[name], tmp_path / "work", errno.ENOSPC, step=7, first=NAMES.index(name) % 7)
    assert (found, count > 0) == ([], True)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO])
def test_whichever_request_fails_a_pulled_sft_is_whole_or_not_there(
    number: int, trials: dict[str, Trial], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(publish, "resolve_sft", lambda _: Path(trials["add, new"].arguments[1]))
    for old in ("", trials["add, over"].old):
        found, count = failing(Trial(("pull", "owner/name"), "x.sft", old), tmp_path / "work", number)
        print(f"pull: {count} faults")
        assert found == []


@pytest.mark.slow
@pytest.mark.long
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO])
@pytest.mark.parametrize("name", NAMES)
def test_whichever_request_fails_the_old_or_the_new_output_is_there(
    name: str, number: int, trials: dict[str, Trial], tmp_path: Path
) -> None:
    found, count = failing(trials[name], tmp_path / "work", number)
    print(f"{name}: {count} faults")
    assert found == []


def kills(trials: list[Trial], folder: Path, step: int) -> str:
    """What goes wrong when these are killed, and the number of kills; see tests/helpers/trials.py."""
    asked = {
        "folder": str(folder), "step": step, "trials": [[each.arguments, each.output, each.old] for each in trials],
    }  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-m", "tests.helpers.trials", json.dumps(asked)], env=os.environ | {"OMP_NUM_THREADS": "1"},
        cwd=Path(__file__).parents[2], capture_output=True, text=True, check=False,
    )  # fmt: skip
    return done.stdout.strip() if done.returncode == 0 else done.stderr


def test_a_command_that_is_killed_leaves_the_old_or_the_new_output(trials: dict[str, Trial], tmp_path: Path) -> None:
    some = [trials[name] for name in ("compose, new", "compose, over", "add, over", "convert, new")]
    assert kills(some, tmp_path, 9).isdecimal()


@pytest.mark.slow
@pytest.mark.long
def test_whenever_a_command_is_killed_the_old_or_the_new_output_is_there(
    trials: dict[str, Trial], tmp_path: Path
) -> None:
    said = kills(list(trials.values()), tmp_path, 1)
    print(f"{said} kills")
    assert said.isdecimal()


@pytest.fixture(scope="module")
def training(pico_base: Path, corpus: Path) -> Trial:
    options = ("--steps", "2", "--eval-every", "1", "--k", "50", "--device", "cpu", "--max-length", "32", "--quiet")
    return Trial(("train", "--mlm", str(corpus), "--base", str(pico_base), *options, "--resume"), "x.sft", run_dir=True)


def test_a_training_that_a_disk_fails_says_so_and_goes_on_to_the_same_bytes(training: Trial, tmp_path: Path) -> None:
    found, count = failing(training, tmp_path / "work", errno.ENOSPC, step=46, first=28)
    assert (found, count > 0) == ([], True)


@pytest.mark.slow
@pytest.mark.long
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO])
def test_wherever_a_disk_fails_a_training_it_goes_on_to_the_same_bytes(
    number: int, training: Trial, tmp_path: Path
) -> None:
    found, count = failing(training, tmp_path / "work", number)
    print(f"train: {count} faults")
    assert found == []
