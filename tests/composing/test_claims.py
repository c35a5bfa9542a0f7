"""What a file claims of a parameter's size costs no time: only what it holds does."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest

from sftkit.algebra.arithmetic import WINDOW, Method, Weighted
from sftkit.composing.sums import add, negated
from sftkit.errors import SettingsError
from sftkit.format.files import SftFile, read
from sftkit.inspecting.overlap import overlap
from sftkit.inspecting.pictures.layers import plot_summaries
from sftkit.inspecting.summary import summarise
from tests.format.raw import WEIGHT, document, tensors, write_raw


def claiming(path: Path, shape: list[int], *gaps: int) -> Path:
    values = np.arange(1, len(gaps) + 1, dtype=np.float32)
    parameters = {WEIGHT: {"shape": shape, "dtype": "float32"}}
    return write_raw(path, tensors(np.array(gaps, np.uint32), values), document(k=len(gaps), parameters=parameters))


@pytest.fixture(params=[[7, 2**59], [2**40], [2**31, 2**30]], ids=str)
def two(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Path, Path]:
    far = 2**32 - 1
    return claiming(tmp_path / "a.sft", request.param, 1, 2, far, 5), claiming(
        tmp_path / "b.sft", request.param, 1, far, far
    )


@pytest.mark.parametrize("metric", ["share", "sign", "cosine"])
def test_overlap_takes_no_longer_for_a_parameter_that_claims_to_be_large(two: tuple[Path, Path], metric: str) -> None:
    start = time.perf_counter()
    assert overlap(two, metric).k.tolist() == [4, 3]
    assert time.perf_counter() - start < 10


@pytest.mark.parametrize("method", ["sum", "ties"])
def test_sums_take_no_longer_and_have_every_entry(two: tuple[Path, Path], method: str, tmp_path: Path) -> None:
    start = time.perf_counter()
    opened = [Weighted(SftFile(path), 1.0, str(path)) for path in two]
    done = add(opened, tmp_path / "c.sft", method=Method(method, trim=0.0))  # type: ignore[arg-type]
    assert (done.entries, done.overlap) == (6, 1)
    left = add([opened[0], *negated(opened[1:])], tmp_path / "d.sft")
    assert left.entries == 5  # those at 0 cancel
    assert time.perf_counter() - start < 20


def test_entries_far_apart_and_at_the_edges_of_stretches_are_all_summed(tmp_path: Path) -> None:
    size = 6 * WINDOW + 3
    steps = [1, WINDOW - 1, 1, 3 * WINDOW, 1, size - 4 * WINDOW - 2]
    one = claiming(tmp_path / "a.sft", [size], *steps)
    two = claiming(tmp_path / "b.sft", [size], size)
    add([Weighted(SftFile(path), 1.0, str(path)) for path in (one, two)], tmp_path / "c.sft")
    a, b, c = (read(path).parameters[WEIGHT].toarray() for path in (one, two, tmp_path / "c.sft"))
    assert np.array_equal(a + b, c)


def test_a_picture_of_more_layers_than_can_be_drawn_is_refused(tmp_path: Path) -> None:
    names = {f"layer.{number}.weight": {"shape": [1]} for number in range(5000)}
    path = write_raw(tmp_path / "x.sft", sft=document(parameters=document()["parameters"] | names))
    with pytest.raises(SettingsError, match="too much to be drawn"):
        plot_summaries([summarise(path)], tmp_path / "x.png")
