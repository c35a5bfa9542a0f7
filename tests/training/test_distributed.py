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
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import transformers
from transformers import Trainer

import sftkit
from sftkit.python import api
from tests.cli.run import sftkit as sftkit_run
from tests.conftest import treebank_text
from tests.helpers import pico
from tests.helpers.build import save_sft
from tests.training.forks import Forks

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="gloo and fork as on Linux and macOS")


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Without dropout, which is drawn by each process for itself."""
    folder = tmp_path_factory.mktemp("base")
    return pico.save_base(folder, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0)


@pytest.fixture(scope="module")
def forks() -> Iterator[Forks]:
    forks = Forks()
    yield forks
    forks.close()


def arguments_of(folder: Path, base: Path, corpus: Path, name: str, *options: str) -> list[str]:
    return [
        "train", "--mlm", str(corpus), "--base", str(base), "--steps", "18", "--eval-every", "9", "--lr", "1e-2",
        "--device", "cpu", "-o", str(folder / name), *options, *(() if "--density" in options else ("--k", "200")),
    ]  # fmt: skip


def torchrun() -> list[str]:
    """With two processes, on a port that is free."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    return ["-m", "torch.distributed.run", "--nproc-per-node", "2", "--master-port", str(port)]


def command_of(folder: Path, base: Path, corpus: Path, name: str, *options: str) -> list[str]:
    return [sys.executable, *torchrun(), "-m", "sftkit", *arguments_of(folder, base, corpus, name, *options)]


def launch(folder: Path, base: Path, corpus: Path, name: str, *options: str) -> str:
    """Run it under torchrun; gives what it says."""
    command = command_of(folder, base, corpus, name, *options)
    done = subprocess.run(command, env=os.environ | {"OMP_NUM_THREADS": "1"}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stderr


def alone(*arguments: str) -> None:
    """A command in this process."""
    done = sftkit_run(*arguments)
    assert done.status == 0, done.stderr


def skip_without_fsdp(*arguments: str) -> None:
    """Skip the test if it asks for what the installed transformers cannot do."""
    if "--fsdp" in arguments and not hasattr(Trainer, "_defer_fsdp_gradient_reduction"):
        pytest.skip(f"--fsdp needs transformers 5.18 or later; this is {transformers.__version__}")


def both(forks: Forks, folder: Path, *arguments: str) -> None:
    """A command in two processes."""
    skip_without_fsdp(*arguments)
    status, said = forks.run(folder, arguments)
    assert status == 0, said


@pytest.fixture(scope="module")
def launched(base: Path, corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """What torchrun's two processes learn with a penalty, and say."""
    folder = tmp_path_factory.mktemp("launched")
    said = launch(folder, base, corpus, "two.sft", "--batch-size", "4", "--run-dir", str(folder / "r"), "--l1", "0.1")
    return folder / "two.sft", said


def test_two_processes_that_torchrun_starts_learn_what_one_learns(
    launched: tuple[Path, str], base: Path, corpus: Path, tmp_path: Path
) -> None:
    two = sftkit.read(launched[0])
    for options in (("--batch-size", "8"), ("--batch-size", "4", "--accumulate", "2")):
        name = f"{len(options)}.sft"
        alone(*arguments_of(tmp_path, base, corpus, name, *options, "--l1", "0.1"))
        assert_close(two, sftkit.read(tmp_path / name))


def test_two_processes_say_everything_once_and_no_warning(
    launched: tuple[Path, str], base: Path, corpus: Path, tmp_path: Path, forks: Forks
) -> None:
    assert launched[1].count("2 processes") == 1
    assert "Warning" not in launched[1]
    status, said = forks.run(tmp_path, arguments_of(tmp_path, base, tmp_path / "none.txt", "y.sft"))
    assert status != 0
    assert said.count("none.txt: no such file") == 1


@pytest.mark.parametrize(
    "options",
    [
        ("--fsdp", "--l1", "0.1"),
        pytest.param(("--rewind-to", "2", "--run-dir", "run"), marks=pytest.mark.slow),
        pytest.param(
            (
                "--fsdp",
                "--criterion",
                "movement",
                "--rewind-to",
                "2",
                "--accumulate",
                "2",
                "--run-dir",
                "run",
                "--resume",
            ),
            marks=pytest.mark.slow,
        ),
        pytest.param(("--fsdp", "--method", "random"), marks=pytest.mark.slow),
        pytest.param(("--fsdp", "--iterations", "2", "--gradient-checkpointing"), marks=pytest.mark.slow),
    ],
    ids=["l1", "whole", "movement", "random", "rounds"],
)
def test_shared_out_weights_learn_what_one_process_learns(
    options: tuple[str, ...], base: Path, corpus: Path, tmp_path: Path, forks: Forks, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    both(forks, tmp_path, *arguments_of(tmp_path, base, corpus, "two.sft", "--batch-size", "4", *options))
    own = [option.replace("run", "alone") if option == "run" else option for option in options if option != "--fsdp"]
    alone(*arguments_of(tmp_path, base, corpus, "one.sft", "--batch-size", "8", *own))
    assert_close(*(sftkit.read(tmp_path / name) for name in ("two.sft", "one.sft")))


@pytest.mark.slow
def test_a_shared_out_parser_is_scored_as_a_whole_one(base: Path, treebank: Path, tmp_path: Path, forks: Forks) -> None:
    common = ["train", "--dep", str(treebank), "--base", str(base), "--steps", "6", "--eval-every", "3", "--lr", "1e-3",
              "--k", "200", "--device", "cpu"]  # fmt: skip
    alone(*common, "-o", str(tmp_path / "one.sft"), "--batch-size", "8")
    both(forks, tmp_path, *common, "-o", str(tmp_path / "two.sft"), "--batch-size", "4", "--fsdp")
    one, two = (sftkit.read(tmp_path / name) for name in ("one.sft", "two.sft"))
    assert_close(two, one)
    assert two.metadata.training["history"] == one.metadata.training["history"]


@pytest.mark.slow
def test_another_run_is_refused_by_all_processes_in_one_line(
    base: Path, corpus: Path, tmp_path: Path, forks: Forks
) -> None:
    options = ["--steps", "1", "--batch-size", "4", "--run-dir", str(tmp_path / "run"), "--resume"]
    both(forks, tmp_path, *arguments_of(tmp_path, base, corpus, "x.sft", *options))
    status, said = forks.run(tmp_path, arguments_of(tmp_path, base, corpus, "y.sft", *options, "--seed", "5"))
    assert status != 0
    assert said.count("seed was 42 and is 5") == 1
    assert "bug" not in said


@pytest.mark.slow
def test_shared_out_weights_learn_each_of_several_densities(
    base: Path, corpus: Path, tmp_path: Path, forks: Forks
) -> None:
    options = ("--density", "0.01,0.05")
    alone(*arguments_of(tmp_path, base, corpus, "one.sft", "--batch-size", "8", *options))
    both(forks, tmp_path, *arguments_of(tmp_path, base, corpus, "two.sft", "--batch-size", "4", "--fsdp", *options))
    for density in ("0.01", "0.05"):
        assert_close(*(sftkit.read(tmp_path / f"{name}-{density}.sft") for name in ("two", "one")))


@pytest.mark.slow
def test_the_bytes_that_a_step_sums_are_those_that_the_header_says(base: Path, corpus: Path) -> None:
    command = [sys.executable, *torchrun(), "-m", "tests.training.reduced", str(base), str(corpus)]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env=environment, cwd=Path(__file__).parents[2], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert said["counted"] == said["promised"]
    assert said["promised"]["phase 2"] < said["promised"]["phase 1"] / 10


@pytest.mark.slow
def test_two_processes_under_the_sfts_of_two_sources_learn_what_one_learns_that_accumulates(
    base: Path, treebank: Path, tmp_path: Path, forks: Forks, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A batch is of one source, so what equals two processes is two batches a step, and no batch of twice the size."""
    monkeypatch.chdir(tmp_path)
    sfts = [save_sft(tmp_path / f"l{seed}.sft", base, seed=seed, k=3000, scale=0.1) for seed in (0, 1)]
    (tmp_path / "few.conllu").write_text(treebank_text(20))
    data = ["--objective", "pos", "--source", f"a={sfts[0]}:{treebank}", "--source", f"b={sfts[1]}:few.conllu"]
    common = ["train", *data, "--base", str(base), "--steps", "6", "--eval-every", "3", "--lr", "1e-2", "--k", "200",
              "--batch-size", "4", "--device", "cpu"]  # fmt: skip
    alone(*common, "-o", "one.sft", "--accumulate", "2")
    both(forks, tmp_path, *common, "-o", "two.sft")
    assert_close(sftkit.read(tmp_path / "two.sft"), sftkit.read(tmp_path / "one.sft"))


LONG = ("--batch-size", "4", "--steps", "40", "--eval-every", "2", "--rewind-to", "4", "--resume")


@pytest.fixture(scope="module")
def undisturbed(base: Path, corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The file that a long run of two processes makes, with an option or none."""
    folder = tmp_path_factory.mktemp("whole")

    def made(option: str) -> Path:
        launch(folder, base, corpus, f"x{option}.sft", *long_run(folder / f"run{option}", option))
        return folder / f"x{option}.sft"

    return cache(made)


def long_run(run_dir: Path, option: str) -> list[str]:
    return [*LONG, "--run-dir", str(run_dir), *([option] if option else [])]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("option", "phase", "number"),
    [
        pytest.param("", "phase2-*", signal.SIGKILL, marks=pytest.mark.long),
        pytest.param("", "phase2-*", signal.SIGTERM, marks=pytest.mark.long),
        pytest.param("--fsdp", "phase1", signal.SIGTERM, marks=pytest.mark.long),
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
    skip_without_fsdp(option)
    where = tmp_path / "run"
    command = command_of(tmp_path, base, corpus, "x.sft", *long_run(where, option))
    process = subprocess.Popen(command, env=os.environ | {"OMP_NUM_THREADS": "1"}, start_new_session=True)
    while process.poll() is None and not list(where.glob(f"{phase}/checkpoint-*/complete")):
        time.sleep(0.05)
    if number == signal.SIGKILL:
        for each in processes_of(where):
            os.kill(each, number)
    else:
        process.terminate()  # torchrun passes it on
    assert process.wait(120) != 0
    launch(tmp_path, base, corpus, "x.sft", *long_run(where, option))
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
