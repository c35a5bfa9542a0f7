"""Two processes learn what one learns, at the same global batch."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import sftkit
from sftkit import api
from tests import pico

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="gloo and fork as on Linux and macOS")


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Without dropout, which is drawn by each process for itself."""
    folder = tmp_path_factory.mktemp("base")
    return pico.save_base(folder, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0)


def train(folder: Path, base: Path, corpus: Path, name: str, launcher: list[str], *options: str) -> api.SFT:
    command = [
        sys.executable, *launcher, "-m", "sftkit", "train", "--mlm", str(corpus), "--base", str(base), "--steps", "6",
        "--eval-every", "3", "--lr", "1e-2", "--k", "200", "--device", "cpu", "-o", str(folder / name), *options,
    ]  # fmt: skip
    done = subprocess.run(command, env=os.environ | {"OMP_NUM_THREADS": "1"}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return sftkit.read(folder / name)


def two() -> list[str]:
    """torchrun with two processes, on a port that is free."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    return ["-m", "torch.distributed.run", "--nproc-per-node", "2", "--master-port", str(port)]


@pytest.mark.parametrize("options", [(), ("--l1", "0.1")], ids=["", "l1"])
def test_two_processes_learn_what_one_learns(
    options: tuple[str, ...], base: Path, corpus: Path, tmp_path: Path
) -> None:
    one = train(tmp_path, base, corpus, "one.sft", [], "--batch-size", "8", *options)
    both = train(
        tmp_path, base, corpus, "two.sft", two(), "--batch-size", "4", "--run-dir", str(tmp_path / "r"), *options
    )
    accumulated = train(tmp_path, base, corpus, "acc.sft", [], "--batch-size", "4", "--accumulate", "2", *options)
    for other in (both, accumulated):
        assert other.names == one.names
        for name in one.names:
            assert np.array_equal(other.entries(name)[0], one.entries(name)[0])
            np.testing.assert_allclose(other.entries(name)[1], one.entries(name)[1], atol=1e-5)
