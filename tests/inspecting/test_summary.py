"""The numbers that inspect shows, against numpy on dense arrays."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from sftkit.errors import CheckpointError, FormatError
from sftkit.format.metadata import Metadata, ParameterSpec
from sftkit.format.sft import CsrDifference, to_csr
from sftkit.format.writing import write
from sftkit.inspecting.summary import QUANTILES, summarise, summarise_difference
from sftkit.inspecting.tokens import top_tokens
from tests.format.golden import EMBEDDING, golden
from tests.format.raw import document, write_raw
from tests.helpers.build import make_sft
from tests.helpers.pico import make_tokenizer


@pytest.fixture(scope="module")
def sft(pico_base: Path) -> CsrDifference:
    return make_sft(pico_base, k=500)


def dense(sft: CsrDifference, name: str) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
    return np.asarray(sft.parameters[name].toarray())


def test_every_parameter_is_counted_and_measured(sft: CsrDifference) -> None:
    for stats in summarise_difference(sft).parameters:
        values = (
            dense(sft, stats.name) if stats.name in sft.names else np.zeros(sft.metadata.parameters[stats.name].shape)
        )
        assert stats.nnz == np.count_nonzero(values)
        assert stats.density == pytest.approx(np.count_nonzero(values) / values.size)
        assert stats.l1 == pytest.approx(np.abs(values).sum(dtype=np.float64))
        assert stats.l2 == pytest.approx(np.linalg.norm(values.astype(np.float64)))
        assert stats.max_abs == np.abs(values).max()


def test_layers_and_kinds_sum_up_to_the_whole(sft: CsrDifference) -> None:
    summary = summarise_difference(sft)
    for groups in (summary.layers, summary.kinds):
        assert sum(stats.nnz for stats in groups) == summary.k == 500
        assert sum(stats.size for stats in groups) == summary.total.size
        assert np.sqrt(sum(stats.l2**2 for stats in groups)) == pytest.approx(summary.total.l2)
    assert [stats.name for stats in summary.layers] == ["embeddings", "encoder.layer.0", "encoder.layer.1"]


def test_quantiles_are_those_of_numpy(sft: CsrDifference) -> None:
    every = np.concatenate([np.abs(sft.entries(name)[1]) for name in sft.names])
    assert list(summarise_difference(sft).quantiles.values()) == pytest.approx(np.quantile(every, QUANTILES).tolist())


def test_density_with_head_counts_the_head_on_both_sides(sft: CsrDifference) -> None:
    summary = summarise_difference(sft)
    backbone = sum(spec.size for spec in sft.metadata.parameters.values())
    head = sum(array.size for array in sft.head.values())
    assert head
    assert summary.density == 500 / backbone
    assert summary.model_density == (500 + head) / (backbone + head)


def test_touched_embedding_rows_are_found(sft: CsrDifference) -> None:
    rows = summarise_difference(sft).token_embedding
    assert rows is not None
    values = dense(sft, rows.name)
    assert rows.touched.tolist() == np.flatnonzero(values.any(axis=1)).tolist()
    assert rows.nnz.tolist() == [np.count_nonzero(values[row]) for row in rows.touched]
    assert rows.l2.tolist() == pytest.approx([np.linalg.norm(values[row].astype(np.float64)) for row in rows.touched])


def test_tokens_are_named_from_the_largest_change_down(sft: CsrDifference, tmp_path: Path) -> None:
    make_tokenizer().save_pretrained(tmp_path)
    summary = summarise_difference(sft)
    tokens = top_tokens(summary, tmp_path, 5)
    norms = np.linalg.norm(dense(sft, EMBEDDING).astype(np.float64), axis=1)
    assert [token.row for token in tokens] == np.argsort(-norms)[:5].tolist()
    vocabulary = {row: token for token, row in make_tokenizer().get_vocab().items()}
    assert [token.token for token in tokens] == [vocabulary.get(token.row, "–") for token in tokens]


def test_tokens_come_from_the_base_that_the_sft_names(sft: CsrDifference) -> None:
    assert len(top_tokens(summarise_difference(sft), None, 3)) == 3


def test_a_vocabulary_of_lines_will_do(sft: CsrDifference, tmp_path: Path) -> None:
    (tmp_path / "vocab.txt").write_text("".join(f"t{row}\n" for row in range(120)))
    assert all(token.token == f"t{token.row}" for token in top_tokens(summarise_difference(sft), tmp_path, 200))


def test_no_tokenizer_at_hand_is_said_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="--tokenizer DIR"):
        top_tokens(summarise_difference(golden()), None, 3)
    with pytest.raises(CheckpointError, match=r"neither tokenizer\.json nor vocab\.txt"):
        top_tokens(summarise_difference(golden()), tmp_path, 3)
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(CheckpointError, match="not a tokenizer"):
        top_tokens(summarise_difference(golden()), tmp_path, 3)


def test_a_file_gives_the_summary_of_what_was_written(sft: CsrDifference, tmp_path: Path) -> None:
    path = write(tmp_path / "x.sft", sft)
    summary, expected = summarise(path), summarise_difference(sft)
    assert summary.parameters == expected.parameters
    assert summary.quantiles == expected.quantiles
    assert (summary.nbytes, summary.stored, summary.label) == (path.stat().st_size, "f32", str(path))


def test_an_sft_without_entries_or_parameters_is_summed_up() -> None:
    empty = summarise_difference(CsrDifference({}, Metadata({}, 0)))
    assert (empty.k, empty.density, empty.model_density, empty.quantiles, empty.layers) == (0, 0.0, 0.0, {}, ())
    still = summarise_difference(CsrDifference({}, Metadata({"wte.weight": ParameterSpec((3, 2), "float32")}, 0)))
    assert still.parameters[0].document()["density"] == 0.0
    assert still.token_embedding is not None
    assert len(still.token_embedding.touched) == 0


def test_tiny_and_huge_values_neither_vanish_nor_overflow() -> None:
    spec = ParameterSpec((4,), "float32")
    values = np.array([1e-30, 3e-30, -4e-30], np.float32)
    tiny = CsrDifference({"w": to_csr(np.arange(3), values, spec, "w")}, Metadata({"w": spec}, 3))
    assert summarise_difference(tiny).total.l2 == pytest.approx(np.sqrt(26) * 1e-30)
    huge = replace(
        tiny, parameters={"w": to_csr(np.arange(3), values * np.float32(1e38) * np.float32(1e29), spec, "w")}
    )
    assert summarise_difference(huge).total.l2 == pytest.approx(np.sqrt(26) * 1e37, rel=1e-5)


def test_a_wrong_k_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="k = 5"):
        summarise(write_raw(tmp_path / "x.sft", sft=document(k=5)))
