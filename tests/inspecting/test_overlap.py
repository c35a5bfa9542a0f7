"""Overlaps, against plain set and vector arithmetic."""

from __future__ import annotations

import csv
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sftkit.errors import FormatError, MismatchError, OutputExistsError, SettingsError
from sftkit.format.metadata import Base, Metadata, ParameterSpec
from sftkit.format.sft import CsrDifference, to_csr
from sftkit.format.writing import write
from sftkit.inspecting import overlap as module
from sftkit.inspecting import pairs
from sftkit.inspecting.overlap import METRICS, overlap, unique_names, write_csv
from tests.format.raw import WEIGHT, document, write_raw

NAMES = {
    "embeddings.word_embeddings.weight": (40, 8),
    "encoder.layer.0.a.weight": (10, 30),
    "encoder.layer.1.b.bias": (7,),
}
SIZES = {name: int(np.prod(shape)) for name, shape in NAMES.items()}
TOTAL = sum(SIZES.values())


def sft_of(vector: Any, base: Base | None = None) -> CsrDifference:
    """The SFT whose dense vector this is, over all parameters one after another."""
    specs = {name: ParameterSpec(shape, "float32") for name, shape in NAMES.items()}
    parameters, start = {}, 0
    for name, spec in specs.items():
        piece = vector[start : start + spec.size]
        positions = np.flatnonzero(piece)
        if len(positions):
            parameters[name] = to_csr(positions, piece[positions], spec, name)
        start += spec.size
    return CsrDifference(parameters, Metadata(specs, int(np.count_nonzero(vector)), base=base))


def vectors(count: int, density: float = 0.3, seed: int = 0) -> Any:
    generator = np.random.default_rng(seed)
    kept = generator.random((count, TOTAL)) < density
    return np.where(kept, generator.standard_normal((count, TOTAL)), 0).astype(np.float32)


def written(folder: Path, rows: Any) -> list[Path]:
    return [write(folder / f"{at}.sft", sft_of(row), overwrite=True) for at, row in enumerate(rows)]


def share(a: Any, b: Any) -> float:
    return float((a & b).sum() / min(a.sum(), b.sum()))


def chance(a: Any, b: Any) -> float:
    """Common entries of random positions within each parameter, on average; of one parameter, or of all."""
    ends = np.cumsum(list(SIZES.values())) if len(a) == TOTAL else np.array([len(a)])
    pieces = [(a[begin:end], b[begin:end]) for begin, end in zip([0, *ends], ends, strict=False)]
    return float(sum(one.sum() * two.sum() / len(one) for one, two in pieces))


FORMULAS: dict[str, Callable[[Any, Any], float]] = {
    "share": lambda a, b: share(a != 0, b != 0),
    "jaccard": lambda a, b: float(((a != 0) & (b != 0)).sum() / ((a != 0) | (b != 0)).sum()),
    "lift": lambda a, b: float(((a != 0) & (b != 0)).sum() / chance(a != 0, b != 0)),
    "sign": lambda a, b: float((a * b > 0).sum() / ((a != 0) & (b != 0)).sum()),
    "cosine": lambda a, b: float(np.dot(a, b) / np.linalg.norm(a) / np.linalg.norm(b)),
}


def test_every_metric_has_a_formula_here() -> None:
    assert list(FORMULAS) == list(METRICS)


@pytest.mark.parametrize("metric", FORMULAS)
def test_the_matrix_is_what_the_formula_says(metric: str, tmp_path: Path) -> None:
    rows = vectors(5)
    report = overlap(written(tmp_path, rows), metric)
    expected = [[FORMULAS[metric](a.astype(np.float64), b.astype(np.float64)) for b in rows] for a in rows]
    assert report.whole.matrix.tolist() == [pytest.approx(row, rel=1e-5) for row in expected]
    assert report.k.tolist() == [np.count_nonzero(row) for row in rows]


@pytest.mark.parametrize("metric", FORMULAS)
def test_layers_are_measured_by_themselves(metric: str, tmp_path: Path) -> None:
    rows = vectors(3)
    report = overlap(written(tmp_path, rows), metric, per_layer=True)
    ends = np.cumsum(list(SIZES.values()))
    assert list(report.layers) == ["embeddings", "encoder.layer.0", "encoder.layer.1"]
    for pairwise, begin, end in zip(report.layers.values(), [0, *ends], ends, strict=False):
        a, b = rows[0, begin:end].astype(np.float64), rows[1, begin:end].astype(np.float64)
        assert pairwise.matrix[0, 1] == pytest.approx(FORMULAS[metric](a, b), rel=1e-5)


@pytest.mark.parametrize("metric", FORMULAS)
def test_random_positions_come_out_as_expected(metric: str, tmp_path: Path) -> None:
    reports = [overlap(written(tmp_path, vectors(2, 0.2, seed)), metric) for seed in range(30)]
    mean = np.mean([report.whole.matrix[0, 1] for report in reports])
    expected = np.mean([report.whole.expected[0, 1] for report in reports])
    assert mean == pytest.approx(expected, abs=0.15 if metric == "lift" else 0.04)


def test_the_expected_share_is_that_of_random_positions_within_each_parameter(tmp_path: Path) -> None:
    rows = [*vectors(1, 0.1), *vectors(1, 0.4, 1)]
    report = overlap(written(tmp_path, rows))
    a, b = (row != 0 for row in rows)
    assert report.whole.expected[0, 1] == pytest.approx(chance(a, b) / min(a.sum(), b.sum()))
    assert report.whole.uniform[0, 1] == pytest.approx(report.k.max() / TOTAL)
    assert report.document()["expected_uniform"][0][1] == report.whole.uniform[0, 1]


def test_files_that_change_the_same_modules_at_random_places_meet_as_often_as_is_expected(tmp_path: Path) -> None:
    ends = np.cumsum(list(SIZES.values()))
    dense = np.arange(TOTAL) >= ends[-2]  # half of the last parameter, and hardly anything else
    found = []
    for seed in range(30):
        generator = np.random.default_rng(seed)
        rows = (generator.random((2, TOTAL)) < np.where(dense, 0.5, 0.02)).astype(np.float32)
        found.append(overlap(written(tmp_path, rows)).whole)
    mean, expected, uniform = (np.mean([getattr(each, what)[0, 1] for each in found]) for what in
                               ("matrix", "expected", "uniform"))  # fmt: skip
    assert mean == pytest.approx(expected, abs=0.04)
    assert uniform < 0.75 * expected


def test_files_that_are_the_same_overlap_entirely(tmp_path: Path) -> None:
    rows = vectors(1).repeat(3, axis=0)
    for metric in ("share", "jaccard", "sign", "cosine"):
        assert overlap(written(tmp_path, rows), metric).whole.matrix == pytest.approx(np.ones((3, 3)))


def test_opposite_files_share_positions_and_no_sign(tmp_path: Path) -> None:
    row = vectors(1)[0]
    paths = written(tmp_path, [row, -row])
    assert overlap(paths, "sign").whole.matrix[0, 1] == 0
    assert overlap(paths, "cosine").whole.matrix[0, 1] == pytest.approx(-1)


@pytest.mark.parametrize("metric", FORMULAS)
def test_undefined_values_are_null_in_json(metric: str, tmp_path: Path) -> None:
    report = overlap(written(tmp_path, [np.zeros(TOTAL, np.float32), vectors(1)[0]]), metric, per_layer=True)
    document = report.document()
    assert document["matrix"][0][1] is None or (metric == "jaccard" and document["matrix"][0][1] == 0)
    assert document["matrix"][1][1] is not None


@settings(deadline=None, max_examples=25)
@given(count=st.integers(2, 9), seed=st.integers(0, 99), block=st.sampled_from([64, 128, 1 << 16]))
def test_the_size_of_the_blocks_does_not_matter(
    count: int, seed: int, block: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    paths = written(tmp_path_factory.mktemp("sfts"), vectors(count, 0.2, seed))
    expected = overlap(paths, "sign")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "block_size", lambda _: block)
        assert np.array_equal(overlap(paths, "sign").whole.matrix, expected.whole.matrix, equal_nan=True)


@pytest.mark.parametrize("scale", [1e-30, 1e30])
def test_tiny_and_huge_values_have_the_same_cosine(scale: float, tmp_path: Path) -> None:
    rows = vectors(2)
    scaled = (rows.astype(np.float64) * scale).astype(np.float32)
    plain = overlap(written(tmp_path, rows), "cosine").whole.matrix[0, 1]
    assert overlap(written(tmp_path, scaled), "cosine").whole.matrix[0, 1] == pytest.approx(plain, rel=1e-5)


@pytest.mark.parametrize("files", [2, 3, 35, 90, 100, 1000, 5000])
def test_blocks_are_whole_words_whatever_the_number_of_files(files: int) -> None:
    assert pairs.block_size(files) % 64 == 0
    assert pairs._STRIP % pairs._product_width(files) == 0


def test_one_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="two or more"):
        overlap(written(tmp_path, vectors(1)))


def test_an_unknown_metric_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="share, jaccard, lift"):
        overlap(written(tmp_path, vectors(2)), "likeness")


def two_with_bases(folder: Path, first: Base, second: Base) -> list[Path]:
    rows = vectors(2)
    return [write(folder / f"{at}.sft", sft_of(rows[at], base)) for at, base in enumerate((first, second))]


def test_files_of_different_bases_are_refused_with_both_fingerprints(tmp_path: Path) -> None:
    paths = two_with_bases(tmp_path, Base("mbert", fingerprint="aa"), Base("xlmr", fingerprint="bb"))
    with pytest.raises(MismatchError, match=r"1\.sft .*xlmr, bb.*0\.sft .*mbert, aa") as caught:
        overlap(paths)
    assert "\n" not in str(caught.value)


def test_a_half_precision_copy_of_the_base_is_the_same_base(tmp_path: Path) -> None:
    whole = Base("mbert", fingerprint="aa", rounded={"bfloat16": "bb"})
    paths = two_with_bases(tmp_path, whole, Base("mbert-bf16", fingerprint="bb"))
    assert overlap(paths).k.tolist() == [np.count_nonzero(row) for row in vectors(2)]


def test_shapes_that_disagree_are_refused(tmp_path: Path) -> None:
    sft = sft_of(vectors(1)[0])
    name = "encoder.layer.1.b.bias"
    specs = {**sft.metadata.parameters, name: ParameterSpec((9,), "float32")}
    entries = {other: matrix for other, matrix in sft.parameters.items() if other != name}
    wide = replace(sft, parameters=entries, metadata=replace(sft.metadata, parameters=specs))
    other = write(tmp_path / "other.sft", wide)
    with pytest.raises(MismatchError, match=r"encoder\.layer\.1\.b\.bias has shape \[9\].*\[7\]"):
        overlap([*written(tmp_path, vectors(1)), other])


def test_files_without_any_common_parameter_are_refused(tmp_path: Path) -> None:
    other = write_raw(tmp_path / "other.sft", sft=document(base=None))
    with pytest.raises(MismatchError, match="no parameter in common"):
        overlap([*written(tmp_path, vectors(1)), other])


def test_a_parameter_that_only_some_files_list_is_counted(tmp_path: Path) -> None:
    sft = sft_of(vectors(1)[0])
    specs = {**sft.metadata.parameters, "pooler.dense.weight": ParameterSpec((2, 2), "float32")}
    larger = replace(sft, metadata=replace(sft.metadata, parameters=specs))
    report = overlap([write(tmp_path / "a.sft", sft), write(tmp_path / "b.sft", larger)])
    assert report.whole.uniform[0, 1] == pytest.approx(sft.k / (TOTAL + 4))


def test_a_damaged_file_is_refused_by_name(tmp_path: Path) -> None:
    paths = [write_raw(tmp_path / "a.sft"), write_raw(tmp_path / "b.sft", sft=document(k=7))]
    with pytest.raises(FormatError, match=r"b\.sft.*k = 7"):
        overlap(paths)
    zero = {f"diff/{WEIGHT}/gaps": np.array([1, 0], np.uint8), f"diff/{WEIGHT}/values": np.ones(2, np.float32)}
    with pytest.raises(FormatError, match=rf"c\.sft: diff/{WEIGHT}/gaps: gap 1 is 0"):
        overlap([paths[0], write_raw(tmp_path / "c.sft", zero)])


@pytest.mark.parametrize(
    ("paths", "names"),
    [
        (["mt.sft", "ha.sft"], ["mt", "ha"]),
        (["a/mt.sft", "b/mt.sft", "en.sft"], ["a/mt", "b/mt", "en"]),
        (["x/a/mt.sft", "y/a/mt.sft"], ["x/a/mt", "y/a/mt"]),
        (["mt.sft", "mt.sft"], ["mt #1", "mt #2"]),
        (["a/mt.sft", "mt.sft"], ["a/mt", "mt"]),
        (["v1.0.sft", "v1.1.sft"], ["v1.0", "v1.1"]),
    ],
)
def test_names_are_stems_as_long_as_they_tell_files_apart(paths: list[str], names: list[str]) -> None:
    assert list(unique_names([Path(path) for path in paths])) == names


def test_csv_holds_the_matrix_and_the_layers(tmp_path: Path) -> None:
    report = overlap(written(tmp_path, vectors(2)), per_layer=True)
    write_csv(report, tmp_path / "o.csv")
    rows = list(csv.reader((tmp_path / "o.csv").read_text().splitlines()))
    assert rows[0] == ["layer", "share", "0", "1"]
    assert [row[:2] for row in rows[1:4]] == [["", "0"], ["", "1"], ["embeddings", "0"]]
    assert float(rows[1][3]) == report.whole.matrix[0, 1]
    with pytest.raises(OutputExistsError):
        write_csv(report, tmp_path / "o.csv")
