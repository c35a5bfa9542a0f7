"""What a stranger may send: every damaged or hostile file is refused in one line that names the file."""

from __future__ import annotations

import os
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sftkit.errors import FormatError
from sftkit.format.files import SftFile, read
from tests.format.raw import WEIGHT, document, file_bytes, tensors, write_raw

ONE = np.ones(2, np.float32)


def u8(*gaps: int) -> Any:
    return np.array(gaps, np.uint8)


def without(name: str) -> dict[str, Any]:
    return {key: array for key, array in tensors().items() if not key.endswith(name)}


# what is wrong -> the file's bytes, and what the message must say
CASES: dict[str, tuple[Callable[[], bytes], str]] = {
    "a gap of 0": (lambda: file_bytes(tensors(u8(1, 0))), f"diff/{WEIGHT}/gaps"),
    "entries beyond the parameter": (lambda: file_bytes(tensors(u8(1, 12))), "12 elements"),
    "NaN among the values": (lambda: file_bytes(tensors(values=ONE * np.nan)), f"diff/{WEIGHT}/values"),
    "infinity among the values": (lambda: file_bytes(tensors(values=ONE * np.inf)), "not finite"),
    "more gaps than values": (lambda: file_bytes(tensors(u8(1, 1, 1))), "[3]"),
    "gaps of int64": (lambda: file_bytes(tensors(np.array([1, 2]))), "I64"),
    "values of float64": (lambda: file_bytes(tensors(values=ONE.astype(np.float64))), "F64"),
    "gaps in two dimensions": (lambda: file_bytes(tensors(u8(1, 2).reshape(2, 1), ONE.reshape(2, 1))), "[2, 1]"),
    "values without gaps": (lambda: file_bytes(without("gaps")), "no gaps"),
    "gaps without values": (lambda: file_bytes(without("values")), "values is missing"),
    "a dtype that numpy lacks": (
        lambda: file_bytes(header={f"diff/{WEIGHT}/gaps": {"dtype": "F8_E8M0", "shape": [2], "data_offsets": [0, 2]}}),
        "F8_E8M0",
    ),
    "a parameter that the metadata lacks": (lambda: file_bytes(sft=document(parameters={})), WEIGHT),
    "k too large": (lambda: file_bytes(sft=document(k=3)), "k = 3"),
    "bridges counted in k": (lambda: file_bytes(tensors(values=np.array([0.5, 0], np.float32))), "1 entries"),
    "negative k": (lambda: file_bytes(sft=document(k=-2)), "-2"),
    "k as text": (lambda: file_bytes(sft=document(k="2")), "'2'"),
    "k as a truth value": (lambda: file_bytes(sft=document(k=True)), "True"),
    "no k": (lambda: file_bytes(sft=document(k=None)), "'k'"),
    "a negative shape": (lambda: file_bytes(sft=document(parameters={WEIGHT: {"shape": [-3, 4]}})), "-3"),
    "an astronomical shape": (
        lambda: file_bytes(sft=document(parameters={WEIGHT: {"shape": [2**61, 2**61]}})), "elements"
    ),
    "more rows than any model has": (lambda: file_bytes(sft=document(parameters={WEIGHT: {"shape": [2**40]}})), "rows"),
    "astronomical columns": (
        lambda: file_bytes(sft=document(parameters={WEIGHT: {"shape": [1, 2**61, 2**61]}})), "elements"
    ),
    "a shape that is no list": (lambda: file_bytes(sft=document(parameters={WEIGHT: {"shape": 12}})), "malformed"),
    "parameters that are a list": (lambda: file_bytes(sft=document(parameters=[WEIGHT])), "malformed"),
    "labels that are a number": (lambda: file_bytes(sft=document(labels=3)), "malformed"),
    "training that is text": (lambda: file_bytes(sft=document(training="long")), "malformed"),
    "a base that is a number": (lambda: file_bytes(sft=document(base=3)), "malformed"),
    "a fingerprint that is a list": (lambda: file_bytes(sft=document(base={"fingerprint": [1]})), "malformed"),
    "a density beyond all numbers": (lambda: file_bytes(sft='{"k":0,"parameters":{},"density":1e999}'), "density"),
    "NaN in the document": (lambda: file_bytes(sft='{"k":0,"parameters":{},"density":NaN}'), "NaN is not JSON"),
    "JSON that stops early": (lambda: file_bytes(sft='{"k": 2'), "JSON"),
    "JSON nested too deeply": (lambda: file_bytes(sft="[" * 100_000), "nested deeper than 64 levels"),
    "JSON that is a list": (lambda: file_bytes(sft="[]"), "malformed"),
    "no document": (lambda: file_bytes(strings={"sft": None}), "'sft' is missing"),
    "a major version from the future": (lambda: file_bytes(strings={"format_version": "2.0"}), "version 2.0"),
    "no version": (lambda: file_bytes(strings={"format_version": None}), "version"),
    "another kind of safetensors file": (lambda: file_bytes(strings={"format": "pt"}), "not an SFT"),
    "no metadata": (lambda: file_bytes(header={"__metadata__": None}), "not a"),
    "metadata that is not text": (lambda: file_bytes(strings={"format": 3}), "not a safetensors file"),
    "a truncated file": (lambda: file_bytes()[:-3], "cut short"),
    "trailing bytes": (lambda: file_bytes() + b"more", "not a safetensors file"),
    "an empty file": (lambda: b"", "cut short"),
    "a text file": (lambda: b"This is not an SFT at all.\n", "not a safetensors file"),
    "a header longer than the file": (lambda: (10**6).to_bytes(8, "little") + b"{}", "cut short"),
    "a header of 2**63 bytes": (lambda: (2**63).to_bytes(8, "little") + b"{}", "not a safetensors file"),
    "offsets outside the file": (
        lambda: file_bytes(header={"head/x": {"dtype": "F32", "shape": [9], "data_offsets": [10, 46]}}),
        "cut short",
    ),
    "a tensor of 2**62 elements": (
        lambda: file_bytes(header={"head/x": {"dtype": "F32", "shape": [2**31, 2**31], "data_offsets": [10, 10]}}),
        "not a safetensors file",
    ),
    "a head that is not finite": (
        lambda: file_bytes(tensors() | {"head/classifier.bias": ONE * np.nan}), "head/classifier.bias"
    ),
}  # fmt: skip


@pytest.mark.parametrize("wrong", CASES)
def test_a_malformed_file_is_refused_in_one_line_that_names_it(wrong: str, tmp_path: Path) -> None:
    make, says = CASES[wrong]
    path = tmp_path / "x.sft"
    path.write_bytes(make())
    with pytest.raises(FormatError) as caught:
        read(path)
    message = str(caught.value)
    assert str(path) in message
    assert says in message
    assert "\n" not in message
    assert len(message) < 600


def test_the_builder_of_these_files_makes_a_valid_one_by_default(tmp_path: Path) -> None:
    sft = read(write_raw(tmp_path / "x.sft"))
    assert sft.parameters[WEIGHT].toarray().tolist() == [[0.5, 0, -0.25, 0], [0, 0, 0, 0], [0, 0, 0, 0]]


def test_unknown_keys_and_a_newer_minor_version_are_read(tmp_path: Path) -> None:
    path = write_raw(tmp_path / "x.sft", sft=document(colour="blue"), strings={"format_version": "1.7", "more": "x"})
    assert read(path).k == 2


def test_tensors_outside_diff_and_head_are_ignored(tmp_path: Path) -> None:
    path = write_raw(tmp_path / "x.sft", tensors() | {"notes": np.zeros(3, np.float32)})
    assert read(path).head == {}


def test_a_directory_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="a directory"):
        SftFile(tmp_path)


def test_a_missing_file_is_said_to_be_missing(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="no such file"):
        SftFile(tmp_path / "none.sft")


def test_a_pipe_is_refused_without_waiting_for_it(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "x.sft")
    with pytest.raises(FormatError, match="not a file"):
        SftFile(tmp_path / "x.sft")


@pytest.mark.parametrize("shape", [[2**22 - 1, 1], [2**40], [7, 2**60]])
def test_memory_stays_in_proportion_whatever_shape_a_small_file_claims(shape: list[int], tmp_path: Path) -> None:
    path = write_raw(tmp_path / "x.sft", sft=document(parameters={WEIGHT: {"shape": shape}}))
    tracemalloc.start()
    try:
        read(path)
    except FormatError:
        pass
    finally:
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert peak < 150e6  # row pointers and what they are made from


@pytest.mark.parametrize("seed", range(40))
def test_a_file_with_damaged_bytes_is_read_or_refused_but_never_crashes(seed: int, tmp_path: Path) -> None:
    generator = np.random.default_rng(seed)
    data = bytearray(file_bytes(tensors() | {"head/classifier.bias": ONE}))
    for at in generator.integers(0, len(data), 3):
        data[at] = generator.integers(0, 256)
    path = tmp_path / "x.sft"
    path.write_bytes(bytes(data))
    said = str(path)
    try:
        read(path)
    except FormatError as error:
        said = str(error)
    assert str(path) in said
