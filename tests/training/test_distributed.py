"""Two processes learn what one learns, at the same global batch."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import pytest

import sftkit
from sftkit.python import api
from tests.conftest import treebank_text
from tests.helpers import pico
from tests.helpers.build import save_sft

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="gloo and fork as on Linux and macOS")


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Without dropout, which is drawn by each process for itself."""
    folder = tmp_path_factory.mktemp("base")
    return pico.save_base(folder, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0)


def command_of(folder: Path, base: Path, corpus: Path, name: str, launcher: list[str], *options: str) -> list[str]:
    return [
        sys.executable, *launcher, "-m", "sftkit", "train", "--mlm", str(corpus), "--base", str(base), "--steps", "18",
        "--eval-every", "9", "--lr", "1e-2", "--device", "cpu", "-o", str(folder / name), *options,
        *(() if "--density" in options else ("--k", "200")),
    ]  # fmt: skip


def run(folder: Path, base: Path, corpus: Path, name: str, launcher: list[str], *options: str) -> None:
    command = command_of(folder, base, corpus, name, launcher, *options)
    done = subprocess.run(command, env=os.environ | {"OMP_NUM_THREADS": "1"}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def train(folder: Path, base: Path, corpus: Path, name: str, launcher: list[str], *options: str) -> api.SFT:
    run(folder, base, corpus, name, launcher, *options)
    return sftkit.read(folder / name)


def two() -> list[str]:
    """torchrun with two processes, on a port that is free."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    return ["-m", "torch.distributed.run", "--nproc-per-node", "2", "--master-port", str(port)]


@pytest.mark.parametrize(
    "options",
    [pytest.param(("--rewind-to", "2"), marks=pytest.mark.slow), ("--l1", "0.1")],
    ids=["rewound", "l1"],
)
def test_two_processes_learn_what_one_learns(
    options: tuple[str, ...], base: Path, corpus: Path, tmp_path: Path
) -> None:
    one = train(tmp_path, base, corpus, "one.sft", [], "--batch-size", "8", *options)
    both = train(
        tmp_path, base, corpus, "two.sft", two(), "--batch-size", "4", "--run-dir", str(tmp_path / "r"), *options
    )
    accumulated = train(tmp_path, base, corpus, "acc.sft", [], "--batch-size", "4", "--accumulate", "2", *options)
    for other in (both, accumulated):
        assert_close(other, one)


@pytest.mark.parametrize(
    "options",
    [
        ("--l1", "0.1"),
        pytest.param(
            ("--criterion", "movement", "--rewind-to", "2", "--accumulate", "2", "--run-dir", "run", "--resume"),
            marks=pytest.mark.slow,
        ),
        pytest.param(("--method", "random"), marks=pytest.mark.slow),
        pytest.param(("--iterations", "2", "--gradient-checkpointing"), marks=pytest.mark.slow),
    ],
    ids=["l1", "movement", "random", "rounds"],
)
def test_shared_out_weights_learn_what_one_process_learns(
    options: tuple[str, ...], base: Path, corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    alone = tuple(option.replace("run", "alone") if option == "run" else option for option in options)
    one = train(tmp_path, base, corpus, "one.sft", [], "--batch-size", "8", *alone)
    both = train(tmp_path, base, corpus, "two.sft", two(), "--batch-size", "4", "--fsdp", *options)
    assert_close(both, one)


@pytest.mark.slow
def test_a_shared_out_parser_is_scored_as_a_whole_one(base: Path, treebank: Path, tmp_path: Path) -> None:
    for name, launcher, *options in (("one.sft", [], "--batch-size", "8"), ("two.sft", two(), "--fsdp")):
        command = [sys.executable, *launcher, "-m", "sftkit", "train", "--dep", str(treebank), "--base", str(base)]
        more = ["--steps", "6", "--eval-every", "3", "--lr", "1e-3", "--k", "200", "--batch-size", "4", "-o", name]
        done = subprocess.run([*command, *more, *options], cwd=tmp_path, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
    one, two_ = (sftkit.read(tmp_path / name) for name in ("one.sft", "two.sft"))
    assert_close(two_, one)
    assert two_.metadata.training["history"] == one.metadata.training["history"]


@pytest.mark.slow
def test_another_run_is_refused_by_all_processes_in_one_line(base: Path, corpus: Path, tmp_path: Path) -> None:
    options = ["--steps", "1", "--batch-size", "4", "--run-dir", str(tmp_path / "run"), "--resume"]
    run(tmp_path, base, corpus, "x.sft", two(), *options)
    command = command_of(tmp_path, base, corpus, "y.sft", two(), *options, "--seed", "5")
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode != 0
    assert "seed was 42 and is 5" in done.stderr
    assert "bug" not in done.stderr


@pytest.mark.slow
def test_shared_out_weights_learn_each_of_several_densities(base: Path, corpus: Path, tmp_path: Path) -> None:
    options = ("--density", "0.01,0.05")
    run(tmp_path, base, corpus, "one.sft", [], "--batch-size", "8", *options)
    run(tmp_path, base, corpus, "two.sft", two(), "--batch-size", "4", "--fsdp", *options)
    for density in ("0.01", "0.05"):
        assert_close(*(sftkit.read(tmp_path / f"{name}-{density}.sft") for name in ("two", "one")))


@pytest.mark.slow
def test_the_bytes_that_a_step_sums_are_those_that_the_header_says(base: Path, corpus: Path) -> None:
    command = [sys.executable, *two(), "-m", "tests.training.reduced", str(base), str(corpus)]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env=environment, cwd=Path(__file__).parents[2], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert said["counted"] == said["promised"]
    assert said["promised"]["phase 2"] < said["promised"]["phase 1"] / 10


@pytest.mark.slow
def test_two_processes_under_the_sfts_of_two_sources_learn_what_one_learns_that_accumulates(
    base: Path, treebank: Path, tmp_path: Path
) -> None:
    """A batch is of one source, so what equals two processes is two batches a step, and no batch of twice the size."""
    sfts = [save_sft(tmp_path / f"l{seed}.sft", base, seed=seed, k=3000, scale=0.1) for seed in (0, 1)]
    (tmp_path / "few.conllu").write_text(treebank_text(20))
    data = ["--objective", "pos", "--source", f"a={sfts[0]}:{treebank}", "--source", f"b={sfts[1]}:few.conllu"]
    common = [*data, "--base", str(base), "--steps", "6", "--eval-every", "3", "--lr", "1e-2", "--k", "200",
              "--batch-size", "4", "--device", "cpu"]  # fmt: skip
    for name, launcher, more in (("one.sft", [], ["--accumulate", "2"]), ("two.sft", two(), [])):
        command = [sys.executable, *launcher, "-m", "sftkit", "train", *common, "-o", name, *more]
        environment = os.environ | {"OMP_NUM_THREADS": "1"}
        done = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
    assert_close(sftkit.read(tmp_path / "two.sft"), sftkit.read(tmp_path / "one.sft"))


def test_two_processes_say_everything_once_and_no_warning(base: Path, corpus: Path, tmp_path: Path) -> None:
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    command = command_of(tmp_path, base, corpus, "x.sft", two())
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert (done.returncode, done.stderr.count("2 processes")) == (0, 1)
    assert "Warning" not in done.stderr
    missing = command_of(tmp_path, base, tmp_path / "none.txt", "y.sft", two())
    failed = subprocess.run(missing, env=environment, capture_output=True, text=True)
    assert failed.stderr.count("none.txt: no such file") == 1


LONG = ("--batch-size", "4", "--steps", "40", "--eval-every", "2", "--rewind-to", "4", "--resume")


@pytest.fixture(scope="module")
def undisturbed(base: Path, corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The file that a long run of two processes makes, with an option or none."""
    folder = tmp_path_factory.mktemp("whole")

    def made(option: str) -> Path:
        run(folder, base, corpus, f"x{option}.sft", two(), *long_run(folder / f"run{option}", option))
        return folder / f"x{option}.sft"

    return cache(made)


def long_run(run_dir: Path, option: str) -> list[str]:
    return [*LONG, "--run-dir", str(run_dir), *([option] if option else [])]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("option", "phase", "number"),
    [
        ("", "phase2-*", signal.SIGKILL),
        ("", "phase2-*", signal.SIGTERM),
        ("--fsdp", "phase1", signal.SIGTERM),
        ("--fsdp", "phase2-*", signal.SIGKILL),
    ],
)
def test_processes_that_were_killed_or_ended_go_on_to_the_same_bytes(
    option: str,
    phase: str,
    number: signal.Signals,
    base: Path,
    corpus: Path,
    tmp_path: Path,
    undisturbed: Callable[[str], Path],
) -> None:
    where = tmp_path / "run"
    command = command_of(tmp_path, base, corpus, "x.sft", two(), *long_run(where, option))
    process = subprocess.Popen(command, env=os.environ | {"OMP_NUM_THREADS": "1"}, start_new_session=True)
    while process.poll() is None and not list(where.glob(f"{phase}/checkpoint-*/complete")):
        time.sleep(0.05)
    if number == signal.SIGKILL:
        for each in processes_of(where):
            os.kill(each, number)
    else:
        process.terminate()  # torchrun passes it on
    assert process.wait(120) != 0
    run(tmp_path, base, corpus, "x.sft", two(), *long_run(where, option))
    assert (tmp_path / "x.sft").read_bytes() == undisturbed(option).read_bytes()


def assert_close(one: api.SFT, other: api.SFT) -> None:
    """The same positions; values and head within what the order of sums makes."""
    assert one.names == other.names
    for name in one.names:
        assert np.array_equal(one.entries(name)[0], other.entries(name)[0])
        np.testing.assert_allclose(one.entries(name)[1], other.entries(name)[1], atol=5e-5)
    for name in one.head:
        np.testing.assert_allclose(one.head[name], other.head[name], atol=5e-5)


def processes_of(run: Path) -> list[int]:
    """Those whose command line names this run directory."""
    found = []
    for each in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            if str(run).encode() in each.read_bytes().split(b"\0"):
                found.append(int(each.parent.name))
    return found
