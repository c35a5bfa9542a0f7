"""Tensors in ``pytorch_diff.bin`` files that are not plain, and outputs that are not touched by what is refused."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from sftkit.errors import FormatError
from sftkit.format.difference import Difference
from sftkit.format.metadata import Metadata, ParameterSpec
from sftkit.format.writing import write
from sftkit.sharing import convert
from sftkit.sharing.convert import to_sft
from sftkit.sharing.pytorch_diff import read_components
from tests.format.reference import encode, save
from tests.sharing.test_convert import document, sparse

WEIGHT = "bert.a.weight"
PLACES = [[0, 1], [0, 2]]


class Rebuilt:
    """Is rebuilt as a sparse tensor of parts that torch itself would not save so."""

    def __init__(self, *parts: Any) -> None:
        self.parts = parts

    def __reduce__(self) -> Any:
        return torch._utils._rebuild_sparse_tensor, (torch.sparse_coo, self.parts)


def float8() -> Any:
    return torch.ones(2).to(torch.float8_e4m3fn)


ODD: dict[str, tuple[Callable[[], Any], str]] = {
    "float8": (lambda: Rebuilt(torch.tensor(PLACES), float8(), (2, 3)), "float8_e4m3fn is not supported"),
    "a huge shape": (lambda: Rebuilt(torch.tensor(PLACES), torch.ones(2), (2**41, 2**21)), "larger than any .sft"),
    "three entries of a scalar": (
        lambda: Rebuilt(torch.zeros(0, 3, dtype=torch.long), torch.ones(3), (), True), "do not increase"
    ),
    "nested": (lambda: torch.nested.nested_tensor([torch.ones(2), torch.ones(3)]), "a nested tensor"),
    "CSR": (lambda: torch.eye(3).to_sparse_csr(), "layout torch.sparse_csr"),
    "quantised": (lambda: torch.quantize_per_tensor(torch.ones(3), 0.1, 0, torch.qint8), "torch.qint8"),
}  # fmt: skip


@pytest.mark.parametrize("kind", ODD)
def test_a_tensor_that_is_not_plain_is_refused_by_name_without_a_warning(kind: str, tmp_path: Path) -> None:
    make, says = ODD[kind]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's, of kinds that are new or on their way out
        source = save(tmp_path / "in", {"body": {WEIGHT: make()}, "head": {}})
    with pytest.raises(FormatError) as caught:
        to_sft(source, tmp_path / "x.sft")
    assert says in str(caught.value)
    assert str(caught.value).startswith(f"{source / 'pytorch_diff.bin'}: {WEIGHT}")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "x.sft").exists()


def test_what_torch_refuses_is_told_without_what_it_got(tmp_path: Path) -> None:
    wrong = Rebuilt(torch.tensor(PLACES), torch.ones(2), "x")
    source = save(tmp_path / "in", {"body": {WEIGHT: wrong}, "head": {}})
    with pytest.raises(FormatError, match=r"received an invalid combination of arguments\)\.$"):
        to_sft(source, tmp_path / "x.sft")


@pytest.mark.parametrize(("filled", "empty"), [("body", "diffs"), ("diffs", "body")])
def test_of_todays_and_early_keys_the_filled_one_counts(filled: str, empty: str, tmp_path: Path) -> None:
    source = save(tmp_path / "in", {filled: {WEIGHT: encode(sparse((3, 4)))}, empty: {}})
    assert list(read_components(source / "pytorch_diff.bin").diffs) == [WEIGHT]


def test_an_output_that_would_not_read_replaces_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    output = tmp_path / "x.sft"
    to_sft(save(tmp_path / "in", document()), output)
    before = output.read_bytes()

    def half(part: Path, sft: Difference, *, values: str) -> None:
        write(part, sft, values=values, overwrite=True)
        part.write_bytes(part.read_bytes()[:-8])

    monkeypatch.setattr(convert, "write_part", half)
    with pytest.raises(FormatError, match=r"x\.sft: ") as caught:
        to_sft(tmp_path / "in", output, overwrite=True)
    assert ".part" not in str(caught.value)
    assert output.read_bytes() == before
    with pytest.raises(FormatError):
        to_sft(tmp_path / "in", tmp_path / "new.sft")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in", "x.sft"]


@pytest.mark.parametrize(("name", "positions"), [("", [1]), ("w", [2, 2]), ("w", [2, 1]), ("w", [-1, 1])])
def test_entries_that_no_reader_takes_are_not_written(name: str, positions: list[int], tmp_path: Path) -> None:
    class Wrong:
        metadata = Metadata({name: ParameterSpec((4,), "float32")}, len(positions))
        names = (name,)
        head: dict[str, Any] = {}  # noqa: RUF012
        digest = ""

        def entries(self, _: str) -> Any:
            return np.array(positions), np.ones(len(positions), np.float32)

    with pytest.raises(FormatError, match=r"without a name|do not increase"):
        write(tmp_path / "x.sft", Wrong())
    assert list(tmp_path.iterdir()) == []


def test_fractions_as_indices_are_refused(tmp_path: Path) -> None:
    made = Rebuilt(torch.tensor(PLACES) + 0.9, torch.ones(2), (2, 4))
    source = save(tmp_path / "in", {"body": {WEIGHT: made}, "head": {}})
    with pytest.raises(FormatError, match=r"pytorch_diff.bin: a sparse tensor has indices that are no whole numbers"):
        to_sft(source, tmp_path / "x.sft")
