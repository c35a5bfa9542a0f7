"""Properties of files and sums, on models of any shapes and dtypes: scalars, nothing at all, many dimensions."""

from __future__ import annotations

import json
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sftkit.algebra.arithmetic import Weighted
from sftkit.composing.compose import compose
from sftkit.composing.difference import difference
from sftkit.composing.subtract import subtract_from_model
from sftkit.composing.sums import add, negated
from sftkit.format.files import SftFile, read
from sftkit.format.metadata import Metadata, ParameterSpec
from sftkit.format.sft import CsrDifference, to_csr
from sftkit.format.writing import write
from sftkit.storage.dtypes import BFLOAT16, FLOATS, VALUE_DTYPES
from tests.format.raw import file_bytes

MODEL = "model.safetensors"
SHAPES = st.lists(st.integers(0, 5), max_size=4).map(tuple)
SPECS = st.dictionaries(
    st.integers(0, 9).map(lambda layer: f"encoder.layer.{layer}.weight"),
    st.builds(ParameterSpec, SHAPES, st.sampled_from(sorted(each.name for each in FLOATS - {np.dtype(np.float64)}))),
    min_size=1,
    max_size=3,
)
#: Numbers whose sums are exact in every dtype of parameters.
EXACT = st.integers(-8, 8).filter(bool).map(lambda number: number / 8)
#: Any number that float16 and bfloat16 hold, if not exactly.
ANY = st.floats(-1e3, 1e3, width=32).filter(lambda value: abs(value) > 1e-3)
WEIGHTS = st.floats(-4, 4).filter(lambda weight: abs(weight) > 1e-3)
HEADS = st.dictionaries(
    st.sampled_from(["classifier.weight", "classifier.bias", "bert.pooler.dense.weight"]),
    st.tuples(SHAPES, st.sampled_from([np.dtype(np.float32), np.dtype(np.float16), BFLOAT16])),
)
quick = settings(max_examples=12, deadline=None)


@st.composite
def sft(draw: Any, specs: dict[str, ParameterSpec], numbers: st.SearchStrategy[float] = ANY) -> CsrDifference:
    """From none to all of the entries of a model."""
    parameters = {}
    for name, spec in specs.items():
        share = draw(st.sampled_from(["none", "some", "all"]))
        chosen = range(spec.size) if share == "all" else sorted(draw(st.sets(st.integers(0, max(0, spec.size - 1)))))
        if not spec.size or share == "none" or not len(chosen):
            continue
        values = draw(st.lists(numbers, min_size=len(chosen), max_size=len(chosen)))
        parameters[name] = to_csr(np.array(chosen, np.int64), np.array(values, np.float32), spec, name)
    k = sum(matrix.nnz for matrix in parameters.values())
    size = sum(spec.size for spec in specs.values())
    return CsrDifference(parameters, Metadata(specs, k, k / size if size else 0.0))


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Callable[[], Path]:
    """A folder for each example."""
    numbers = count()
    return lambda: tmp_path_factory.mktemp(f"any{next(numbers)}")


def made(folder: Path, specs: dict[str, ParameterSpec], step: float = 1 / 8) -> Path:
    """A model with these parameters, whose weights are small multiples of ``step``."""
    base = folder / "base"
    base.mkdir()
    dtypes = {"bfloat16": BFLOAT16}
    arrays = {
        f"bert.{name}": (np.arange(spec.size).reshape(spec.shape) % 9 * step).astype(dtypes.get(spec.dtype, spec.dtype))
        for name, spec in specs.items()
    }
    (base / MODEL).write_bytes(file_bytes(arrays, strings={"format": "pt"}))
    (base / "config.json").write_text(json.dumps({"model_type": "bert", "architectures": ["BertModel"]}))
    return base


def entries(one: Any) -> dict[str, Any]:
    return {name: [array.tolist() for array in one.entries(name)] for name in one.names}


@quick
@given(st.data(), SPECS, st.sampled_from(sorted(VALUE_DTYPES)), HEADS)
def test_what_is_written_is_read_and_written_again_as_the_same_bytes(
    fresh: Callable[[], Path], data: st.DataObject, specs: dict[str, ParameterSpec], values: str, heads: Any
) -> None:
    folder, one = fresh(), data.draw(sft(specs))
    head = {
        name: (np.arange(np.prod(shape)) - 1.5).reshape(shape).astype(dtype) for name, (shape, dtype) in heads.items()
    }
    first = write(folder / "a.sft", CsrDifference(one.parameters, one.metadata, head), values=values)
    back = read(first)
    assert write(folder / "b.sft", back, values=values).read_bytes() == first.read_bytes()
    assert {name: (array.shape, array.dtype, array.tobytes()) for name, array in back.head.items()} == {
        name: (array.shape, array.dtype, array.tobytes()) for name, array in head.items()
    }
    if values == "f32":
        assert entries(back) == entries(one)


@quick
@given(st.data(), SPECS, WEIGHTS, WEIGHTS)
def test_the_order_of_sfts_changes_no_byte_of_a_model_or_of_a_sum(
    fresh: Callable[[], Path], data: st.DataObject, specs: dict[str, ParameterSpec], one: float, two: float
) -> None:
    folder = fresh()
    base = made(folder, specs)
    items = [
        Weighted(SftFile(write(folder / f"{name}.sft", data.draw(sft(specs)))), weight, name)
        for name, weight in (("a", one), ("b", two))
    ]
    compose(base, items, folder / "ab")
    compose(base, items[::-1], folder / "ba")
    assert (folder / "ab" / MODEL).read_bytes() == (folder / "ba" / MODEL).read_bytes()
    add(items, folder / "ab.sft")
    add(items[::-1], folder / "ba.sft")
    assert entries(read(folder / "ab.sft")) == entries(read(folder / "ba.sft"))


@quick
@given(st.data(), SPECS, WEIGHTS, WEIGHTS)
def test_subtract_undoes_compose_to_the_byte(
    fresh: Callable[[], Path], data: st.DataObject, specs: dict[str, ParameterSpec], one: float, two: float
) -> None:
    folder = fresh()
    base = made(folder, specs, 0.1)
    a, b = (
        Weighted(SftFile(path), weight, str(path))
        for path, weight in ((write(folder / f"{w}.sft", data.draw(sft(specs))), w) for w in (one, two + 9))
    )
    compose(base, [a, b], folder / "ab")
    compose(base, [a], folder / "a")
    subtract_from_model(folder / "ab", [b], folder / "less")
    subtract_from_model(folder / "ab", [a, b], folder / "none")
    if a.sft.digest != b.sft.digest:
        assert (folder / "less" / MODEL).read_bytes() == (folder / "a" / MODEL).read_bytes()
    assert (folder / "none" / MODEL).read_bytes() == (base / MODEL).read_bytes()


@quick
@given(st.data(), SPECS)
def test_a_sum_less_one_of_its_parts_is_the_other(
    fresh: Callable[[], Path], data: st.DataObject, specs: dict[str, ParameterSpec]
) -> None:
    folder = fresh()
    a, b = (Weighted(data.draw(sft(specs, EXACT))) for _ in "ab")
    add([a, b], folder / "ab.sft")
    add([Weighted(SftFile(folder / "ab.sft")), *negated([b])], folder / "a.sft")
    assert entries(read(folder / "a.sft")) == entries(a.sft)


@quick
@given(st.data(), SPECS)
def test_the_difference_of_a_model_and_its_base_is_what_was_added(
    fresh: Callable[[], Path], data: st.DataObject, specs: dict[str, ParameterSpec]
) -> None:
    folder = fresh()
    base, one = made(folder, specs), data.draw(sft(specs, EXACT))
    compose(base, [Weighted(one)], folder / "model")
    report = difference(folder / "model", base, folder / "d.sft")
    assert report.exact
    assert entries(read(folder / "d.sft")) == entries(one)


def test_an_sft_that_was_added_twice_is_taken_out_twice_to_the_byte(fresh: Callable[[], Path]) -> None:
    folder, spec = fresh(), ParameterSpec((4,), "float32")
    base = made(folder, {"encoder.layer.0.weight": spec})
    matrix = to_csr(np.array([1], np.int64), np.ones(1, np.float32), spec, "w")
    path = write(
        folder / "a.sft",
        CsrDifference({"encoder.layer.0.weight": matrix}, Metadata({"encoder.layer.0.weight": spec}, 1)),
    )
    twice = [Weighted(SftFile(path), weight, str(path)) for weight in (0.1, 0.2)]  # 0.1 + 0.2 - 0.1 - 0.2 is not 0
    compose(base, twice, folder / "model")
    subtract_from_model(folder / "model", twice, folder / "less")
    assert (folder / "less" / MODEL).read_bytes() == (base / MODEL).read_bytes()
