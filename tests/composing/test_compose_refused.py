"""What ``compose`` refuses: other bases, shapes, heads and records, and sums that do not fit."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from sftkit.checkpoints.checkpoint import Checkpoint
from sftkit.checkpoints.fingerprint import fingerprint
from sftkit.errors import CheckpointError, MismatchError, OutputExistsError
from tests.composing.test_compose import add, cast
from tests.helpers.build import make_sft
from tests.helpers.pico import save_base


@pytest.fixture
def base(tmp_path: Path) -> Path:
    return save_base(tmp_path / "base")


def test_another_base_is_refused_naming_both_fingerprints_unless_forced(tmp_path: Path, base: Path) -> None:
    sft = make_sft(save_base(tmp_path / "other", seed=1), objective="pos")
    with pytest.raises(MismatchError) as error:
        add(base, tmp_path / "out", sft)
    assert fingerprint(Checkpoint(base)) in str(error.value)
    assert fingerprint(Checkpoint(tmp_path / "other")) in str(error.value)
    assert not (tmp_path / "out").exists()
    assert add(base, tmp_path / "out", sft, force=True).notes


def test_another_shape_is_refused_naming_the_tensor_and_both_shapes(tmp_path: Path, base: Path) -> None:
    sft = make_sft(save_base(tmp_path / "other", vocab_size=130), objective="pos")
    with pytest.raises(MismatchError, match=r"word_embeddings.*\[130, 16\].*\[120, 16\]"):
        add(base, tmp_path / "out", sft)


def test_another_architecture_is_refused_naming_the_tensor(tmp_path: Path, base: Path) -> None:
    sft = make_sft(save_base(tmp_path / "other", num_hidden_layers=3), objective="pos")
    with pytest.raises(MismatchError, match=r"encoder\.layer\.2.* no such parameter"):
        add(base, tmp_path / "out", sft)


def test_two_task_heads_are_refused_naming_both(tmp_path: Path, base: Path) -> None:
    with pytest.raises(MismatchError, match=r"0\.sft and 1\.sft both bring a task head"):
        add(base, tmp_path / "out", make_sft(base, objective="pos"), make_sft(base, objective="ner", seed=1))


def test_an_existing_output_is_only_replaced_when_asked_for(tmp_path: Path, base: Path) -> None:
    sft = make_sft(base, objective="pos")
    add(base, tmp_path / "out", sft)
    with pytest.raises(OutputExistsError, match="--overwrite"):
        add(base, tmp_path / "out", sft)
    add(base, tmp_path / "out", sft, overwrite=True)


def test_a_sum_that_does_not_fit_the_dtype_is_refused(tmp_path: Path, base: Path) -> None:
    sft = make_sft(base, objective="pos", scale=1e5)
    with pytest.raises(MismatchError, match="does not fit float16"):
        add(cast(base, np.float16), tmp_path / "out", sft, force=True)
    assert not (tmp_path / "out").exists()


def test_a_record_that_is_no_record_is_refused(tmp_path: Path, base: Path) -> None:
    (base / "sftkit.json").write_text('{"base": 3}')
    with pytest.raises(CheckpointError, match=r"sftkit\.json"):
        add(base, tmp_path / "out", make_sft(base, objective="pos"))
