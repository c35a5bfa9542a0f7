"""Damaged and malicious ``pytorch_diff.bin`` files: refused in a line, and nothing runs."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from sftkit.errors import FormatError
from sftkit.sharing.convert import to_sft
from sftkit.sharing.pytorch_diff import read_components
from tests.format.reference import encode, save
from tests.sharing.test_convert import document


def broken(**changes: Any) -> dict[str, Any]:
    encoded = {"size": torch.Size([3, 4]), "index_steps": [1, 2, 3], "values": torch.ones(3)} | changes
    return document(diffs={"bert.w.weight": {key: value for key, value in encoded.items() if value is not None}})


BROKEN: dict[str, tuple[Any, str]] = {
    "a list": ([1, 2], "holds a list"),
    "no differences": ({"abs": {}}, "neither diffs nor body"),
    "differences that are a tensor": (document(diffs=torch.ones(2)), "diffs is not a dictionary"),
    "names that are numbers": (document(diffs={1: encode(np.ones(2))}), "by name"),
    "block-sparse modules": (document(block_sparses={"bert.x": {}}), "block-sparse"),
    "block-sparse modules as a tensor": (document(block_sparses=torch.ones(2)), "block-sparse"),
    "both of today's and of early files": (document(body={"bert.w": torch.ones(2)}), "holds both diffs and body"),
    "no name": (document(diffs={"": encode(np.ones(2))}), "'' names no parameter"),
    "nothing after the prefix": (document(diffs={"bert.": encode(np.ones(2))}), "'bert.' names no parameter"),
    "two names of one parameter": (
        document(diffs={f"bert.a.LayerNorm.{name}": encode(np.ones(2)) for name in ("gamma", "weight")}),
        "bert.a.LayerNorm.gamma and bert.a.LayerNorm.weight are the same parameter",
    ),
    "an entry without values": (broken(values=None), "bert.w.weight has no size"),
    "fewer values than positions": (broken(values=torch.ones(2)), "3 index_steps and values of shape [2]"),
    "values in two dimensions": (broken(values=torch.ones(3, 1)), "shape [3, 1]"),
    "whole numbers as values": (broken(values=torch.ones(3, dtype=torch.int64)), "torch.int64"),
    "NaN": (broken(values=torch.full((3,), math.nan)), "not finite"),
    "a float64 that no float32 holds": (broken(values=torch.full((3,), 1e300, dtype=torch.float64)), "not finite"),
    "a step back": (broken(index_steps=[5, -2, 1]), "backwards"),
    "a step of 0": (broken(index_steps=[5, 0, 1]), "backwards"),
    "a negative first position": (broken(index_steps=[-1, 1, 1]), "backwards"),
    "a position outside": (broken(index_steps=[4, 4, 4]), "reach 12 of its 12 elements"),
    "a step beyond int64": (broken(index_steps=[2**70, 1, 1]), "no list of integers"),
    "steps that overflow int64": (broken(index_steps=[2**62, 2**62, 2**62]), "outside"),
    "steps that are fractions": (broken(index_steps=[1.5, 1, 1]), "no list of integers"),
    "steps that are truth values": (broken(index_steps=[True, True, True]), "no list of integers"),
    "steps that are text": (broken(index_steps=["1", "2", "3"]), "no list of integers"),
    "steps of uneven lists": (broken(index_steps=[[1], [2, 3], 1]), "no list of integers"),
    "steps that learn": (broken(index_steps=torch.nn.Parameter(torch.ones(3))), "bert.w.weight: index_steps are no"),
    "a numpy scalar that is a float": (broken(index_steps=[np.float64(1), 1, 1]), "where an int64 is expected"),
    "a negative size": (broken(size=(-3, 4)), "size"),
    "a size that is text": (broken(size="12"), "size"),
    "an astronomical size": (broken(size=(2**40, 2**40)), "size"),
    "a size of 2^61": (broken(size=(1, 2**61), index_steps=[0, 1, 2**61 - 2]), "bert.w.weight has a size of (1, 23058"),
    "rows that no .sft has": (broken(size=(2**22 + 1, 1)), "bert.w.weight has a size of (4194305, 1), larger than"),
    "more dimensions than arrays have": (broken(size=(1,) * 70), "bert.w.weight has a size of (1, 1,"),
    "more rows in all than entries pay for": (
        document(diffs={f"bert.{at}": encode(np.ones(1)) | {"size": (2**22,)} for at in range(5)}), "20,971,520 rows"
    ),
    "a head that is a number": (document(abs={"x": 3}), "x: a int"),
    "a head that repeats one number": (document(abs={"x": torch.ones(1).expand(10**9)}), "more than are stored"),
    "entries outside the backbone": (
        document(diffs=document()["diffs"] | {"classifier.weight": encode(np.ones(2))}), "classifier.weight"
    ),
}  # fmt: skip


@pytest.mark.parametrize("wrong", BROKEN)
def test_a_malformed_file_is_refused_in_one_line_that_names_it(wrong: str, tmp_path: Path) -> None:
    content, says = BROKEN[wrong]
    source = save(tmp_path / "in", content)
    with pytest.raises(FormatError) as caught:
        to_sft(source, tmp_path / "x.sft")
    message = str(caught.value)
    assert says in message
    assert str(source) in message
    assert "\n" not in message
    assert not (tmp_path / "x.sft").exists()


@pytest.mark.parametrize("data", [b"", b"hello", b"PK\x03\x04" + b"\0" * 100, b"\x80\x02}q\x00(X\x05"])
def test_bytes_that_are_no_torch_file_are_refused(data: bytes, tmp_path: Path) -> None:
    (tmp_path / "pytorch_diff.bin").write_bytes(data)
    with pytest.raises(FormatError, match=r"pytorch_diff\.bin: .*plain weights"):
        to_sft(tmp_path, tmp_path / "x.sft")


class Bomb:
    """Runs code when it is unpickled plainly."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> Any:
        return (Path.touch, (self.mark,))


def test_a_pickle_that_would_run_code_is_refused_and_does_not(tmp_path: Path) -> None:
    source = save(tmp_path / "in", document() | {"extra": Bomb(tmp_path / "ran")})
    with pytest.raises(FormatError, match=r"asks for (pathlib|(builtins\.)?getattr).* may run code"):
        to_sft(source, tmp_path / "x.sft")
    assert not (tmp_path / "ran").exists()


def test_numpy_arrays_are_no_part_of_the_layout(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="_reconstruct"):
        to_sft(save(tmp_path / "in", broken(index_steps=np.array([1, 2, 3]))), tmp_path / "x.sft")


def test_the_allowed_globals_are_taken_back_afterwards(tmp_path: Path) -> None:
    before = torch.serialization.get_safe_globals()
    to_sft(save(tmp_path / "in", document()), tmp_path / "x.sft")
    assert set(torch.serialization.get_safe_globals()) == set(before)


def test_damaged_files_are_read_or_refused_but_never_crash(tmp_path: Path) -> None:
    source = save(tmp_path / "in", document())
    good = (source / "pytorch_diff.bin").read_bytes()
    for seed in range(60):
        generator = np.random.default_rng(seed)
        data = bytearray(good)
        for at in generator.integers(0, len(data), 4):
            data[at] = generator.integers(0, 256)
        (source / "pytorch_diff.bin").write_bytes(bytes(data))
        said = str(source)
        try:
            read_components(source / "pytorch_diff.bin")
        except FormatError as error:
            said = str(error)
        assert str(source) in said


def test_a_folder_without_the_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match=r"holds no pytorch_diff\.bin"):
        to_sft(tmp_path, tmp_path / "x.sft")
