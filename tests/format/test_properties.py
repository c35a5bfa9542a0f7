"""Any SFT: written and read again it is itself to the byte; added and subtracted it obeys the laws of sums."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sftkit.algebra.arithmetic import Merger, Weighted
from sftkit.format.files import SftFile, read
from sftkit.format.metadata import Metadata, ParameterSpec
from sftkit.format.sft import CsrDifference, to_csr
from sftkit.format.writing import write
from sftkit.storage.dtypes import VALUE_DTYPES

SHAPES = st.lists(st.integers(0, 7), max_size=4).map(tuple)
HEAD_DTYPES = st.sampled_from([np.float32, np.float16, np.int64, np.uint8, np.bool_])
#: Sums of two of these are exact in float64, and each is a number of float16 and bfloat16.
EXACT = st.integers(-64, 64).filter(bool).map(lambda number: number / 32)


@st.composite
def sfts(draw: Any, shapes: dict[str, tuple[int, ...]] | None = None) -> CsrDifference:
    """An SFT over parameters of any shape, with none to all of their entries."""
    if shapes is None:
        shapes = {f"w{at}": draw(SHAPES) for at in range(draw(st.integers(1, 3)))}
    specs = {name: ParameterSpec(shape, "float32") for name, shape in shapes.items()}
    csr = {}
    for name, spec in specs.items():
        count = draw(st.sampled_from([0, spec.size, draw(st.integers(0, spec.size))]))
        at = np.random.default_rng(draw(st.integers(0, 99))).permutation(spec.size)[:count]
        values = draw(st.lists(EXACT, min_size=3, max_size=3))
        if count:
            csr[name] = to_csr(np.sort(at).astype(np.int64), np.resize(np.float32(values), count), spec, name)
    k, size = sum(matrix.nnz for matrix in csr.values()), sum(spec.size for spec in specs.values())
    head = {f"h{at}": np.ones(draw(SHAPES), draw(HEAD_DTYPES)) for at in range(draw(st.integers(0, 2)))}
    return CsrDifference(csr, Metadata(specs, k, k / size if size else 0.0), head)


@settings(deadline=None, max_examples=60)
@given(sft=sfts(), values=st.sampled_from(sorted(VALUE_DTYPES)))
def test_an_sft_written_read_and_written_again_has_the_same_bytes(
    sft: CsrDifference, values: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("sft")
    first = write(folder / "a.sft", sft, values=values)
    back = read(first)
    assert (back.k, back.names, back.metadata) == (sft.k, sft.names, sft.metadata)
    for name, array in sft.head.items():
        assert (back.head[name].dtype, back.head[name].shape) == (array.dtype, array.shape)
    assert write(folder / "b.sft", back, values=values).read_bytes() == first.read_bytes()
    for name in sft.names:
        assert [each.tolist() for each in SftFile(first).entries(name)] == [each.tolist() for each in sft.entries(name)]


def total(*parts: tuple[CsrDifference, float], shape: tuple[int, ...]) -> list[float]:
    merged = Merger([Weighted(sft, weight) for sft, weight in parts]).parameter("w", int(np.prod(shape)))
    dense = np.zeros(int(np.prod(shape)))
    dense[merged.positions] = merged.values
    return [float(value) for value in dense]


@settings(deadline=None, max_examples=60)
@given(data=st.data(), shape=SHAPES, weight=st.sampled_from([-2.0, -0.5, 0.25, 1.0, 3.0]))
def test_sums_are_the_same_in_any_order_and_undone_by_subtraction(
    data: Any, shape: tuple[int, ...], weight: float
) -> None:
    a, b = data.draw(sfts({"w": shape})), data.draw(sfts({"w": shape}))
    assert total((a, 1.0), (b, weight), shape=shape) == total((b, weight), (a, 1.0), shape=shape)
    assert total((a, 1.0), (b, weight), (b, -weight), shape=shape) == total((a, 1.0), shape=shape)
    assert total((a, weight), shape=shape) == [weight * value for value in total((a, 1.0), shape=shape)]
