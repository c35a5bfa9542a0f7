"""A run that was killed goes on, and ends as if nothing had happened."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from sftkit.errors import SettingsError
from sftkit.format.files import write
from sftkit.training.lottery import learn
from sftkit.training.settings import Settings, settings_for
from tests.training.observers import EndAt


def settings(base: Path, corpus: Path, objective: str = "mlm", **changes: object) -> Settings:
    given = {"steps": 12, "eval_every": 3, "lr": 1e-2, "k": 100, "device": "cpu", "batch_size": 4} | changes
    return settings_for(objective, data=(str(corpus),), base=base, base_name="pico", **given)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def undisturbed(pico_base: Path, corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("undisturbed") / "x.sft"
    return write(path, learn(settings(pico_base, corpus)).sft).read_bytes()


@pytest.mark.parametrize("step", [1, 3, 7, 12, 13, 20, 24])
def test_a_run_that_was_interrupted_at_a_step_ends_with_the_same_bytes(
    step: int, undisturbed: bytes, pico_base: Path, corpus: Path, tmp_path: Path
) -> None:
    with pytest.raises(KeyboardInterrupt):
        learn(settings(pico_base, corpus), EndAt(step), run_dir=tmp_path / "run")
    result = learn(settings(pico_base, corpus), run_dir=tmp_path / "run")
    assert write(tmp_path / "x.sft", result.sft).read_bytes() == undisturbed


@pytest.mark.parametrize("criterion", ["movement", "fisher"])
def test_scores_that_are_counted_while_training_survive_an_interruption(
    criterion: str, pico_base: Path, corpus: Path, tmp_path: Path
) -> None:
    made = settings(pico_base, corpus, criterion=criterion)
    with pytest.raises(KeyboardInterrupt):
        learn(made, EndAt(7), run_dir=tmp_path / "run")
    assert learn(made, run_dir=tmp_path / "run").sft.digest == learn(made).sft.digest


def test_a_finished_run_is_not_run_again(pico_base: Path, corpus: Path, undisturbed: bytes, tmp_path: Path) -> None:
    learn(settings(pico_base, corpus), run_dir=tmp_path / "run")
    result = learn(settings(pico_base, corpus), EndAt(1), run_dir=tmp_path / "run")
    assert write(tmp_path / "x.sft", result.sft).read_bytes() == undisturbed


def test_another_run_is_refused_with_what_differs(pico_base: Path, corpus: Path, tmp_path: Path) -> None:
    learn(settings(pico_base, corpus, steps=1), run_dir=tmp_path / "run")
    with pytest.raises(SettingsError, match=r"lr was 0\.01 and is 0\.1"):
        learn(settings(pico_base, corpus, steps=1, lr=0.1), run_dir=tmp_path / "run")


def test_killed_at_random_moments_the_same_command_ends_with_the_same_bytes(
    pico_base: Path, corpus: Path, tmp_path: Path
) -> None:
    def command(name: str) -> list[str]:
        return [
            sys.executable, "-m", "sftkit", "train", "--mlm", str(corpus), "--base", str(pico_base), "--steps", "40",
            "--eval-every", "2", "--lr", "1e-2", "--k", "100", "--device", "cpu", "--batch-size", "4", "--quiet",
            "-o", str(tmp_path / f"{name}.sft"), "--run-dir", str(tmp_path / name), "--resume",
        ]  # fmt: skip

    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    begin = time.monotonic()
    subprocess.run(command("whole"), check=True, env=environment, stdout=subprocess.DEVNULL)
    seconds = time.monotonic() - begin
    rng = np.random.default_rng()
    for _ in range(4):
        process = subprocess.Popen(command("killed"), env=environment, stdout=subprocess.DEVNULL)
        time.sleep(seconds * rng.uniform(0.4, 1.0))
        process.send_signal(signal.SIGKILL)
        process.wait()
        if (tmp_path / "killed.sft").exists():
            break
        assert not list(tmp_path.glob("killed.sft*"))
    else:
        subprocess.run(command("killed"), check=True, env=environment, stdout=subprocess.DEVNULL)
    assert (tmp_path / "killed.sft").read_bytes() == (tmp_path / "whole.sft").read_bytes()
