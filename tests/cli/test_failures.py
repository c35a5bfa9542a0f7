"""What no command foresaw, in a line or two: memory that runs out, packages that are not there."""

from __future__ import annotations

import errno
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from sftkit.cli.run.failures import line
from sftkit.composing import compose
from sftkit.errors import SettingsError
from sftkit.training.engine import trainer
from sftkit.training.engine.checkpoints import readable
from tests.cli.run import sftkit, train
from tests.helpers.build import save_sft

_MUCH = 1 << 50


def no_torch_memory(*_: object, **__: object) -> None:
    torch.empty(_MUCH)


def no_gpu_memory(*_: object, **__: object) -> None:
    raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 79 GiB")


def no_numpy_memory(*_: object, **__: object) -> None:
    np.empty(_MUCH)


@pytest.mark.parametrize("fails", [no_torch_memory, no_gpu_memory, no_numpy_memory])
def test_training_that_runs_out_of_memory_says_what_it_needs_and_what_lowers_it(
    fails: Callable[..., None], tmp_path: Path, pico_base: Path, corpus: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trainer.PhaseTrainer, "training_step", fails)
    for more in ((), ("--dry-run",)):
        done = train("--mlm", corpus, "--base", pico_base, "-o", tmp_path / "x.sft", "--quiet", *more)
        assert (done.status, done.stderr.count("\n")) == (1, 2), done.stderr
        assert "out of memory on cpu" in done.stderr
        assert "phase 1 needs" in done.stderr
        assert "--batch-size 4 --accumulate 2" in done.stderr
        assert "--selection streaming" in done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("fails", [no_torch_memory, no_gpu_memory, no_numpy_memory])
def test_a_command_that_runs_out_of_memory_says_so_in_a_line_and_leaves_nothing(
    fails: Callable[..., None], tmp_path: Path, pico_base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sft = save_sft(tmp_path / "x.sft", pico_base)
    monkeypatch.setattr(compose, "write_model", fails)
    done = sftkit("compose", pico_base, sft, "-o", tmp_path / "m")
    assert (done.status, done.stderr.count("\n")) == (1, 1)
    assert done.stderr.startswith("error: out of memory")
    assert [path.name for path in tmp_path.iterdir()] == ["x.sft"]


def test_what_was_asked_for_in_vain_is_told() -> None:
    for text, told in (
        ("CUDA out of memory. Tried to allocate 2.00 GiB. GPU", "2.00 GiB"),
        ("DefaultCPUAllocator: can't allocate memory: you tried to allocate 4096 bytes.", "4096 bytes"),
    ):
        assert told in line(RuntimeError(text), "evaluate")
    assert line(OSError(errno.ENOMEM, "Cannot allocate memory")).startswith("out of memory.")
    assert "--batch-size" in line(MemoryError(), "predict")


def test_a_file_that_is_read_where_memory_runs_out_is_not_called_damaged() -> None:
    with pytest.raises(torch.OutOfMemoryError), readable(Path("x")):
        no_gpu_memory()
    with pytest.raises(SettingsError, match="damaged"), readable(Path("x")):
        raise RuntimeError("cut short")


def test_a_package_that_is_not_there_is_named() -> None:
    missing = ModuleNotFoundError("No module named 'google.protobuf'", name="google.protobuf")
    assert line(missing) == "protobuf is needed for this, and not installed here: pip install protobuf"
    told = ImportError("T5Tokenizer requires the SentencePiece library … `pip install sentencepiece`")
    assert "pip install sentencepiece" in line(told)
    for bug in (ModuleNotFoundError("no", name="sftkit.none"), ImportError("cannot import name 'x'"), KeyError("x")):
        assert line(bug).startswith("internal error")
