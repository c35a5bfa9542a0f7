"""Conversions from the reference's layout and back, against an encoder of the tests' own."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sftkit.algebra.arithmetic import Weighted
from sftkit.checkpoints.checkpoint import Checkpoint
from sftkit.checkpoints.fingerprint import fingerprint
from sftkit.composing.compose import compose
from sftkit.errors import FormatError, MismatchError, OutputExistsError, SettingsError
from sftkit.format.files import read
from sftkit.format.metadata import Metadata, ParameterSpec
from sftkit.format.sft import CsrDifference, to_csr
from sftkit.format.writing import write
from sftkit.sharing.convert import to_directory, to_sft
from sftkit.sharing.pytorch_diff import read_components
from sftkit.storage.dtypes import BFLOAT16
from tests.format.reference import decode, encode, save
from tests.helpers.build import make_sft

QUERY = "encoder.layer.0.attention.self.query.weight"


def sparse(shape: tuple[int, ...], seed: int = 0, density: float = 0.4) -> Any:
    generator = np.random.default_rng(seed)
    array = np.where(generator.random(shape) < density, generator.standard_normal(shape), 0).astype(np.float32)
    return array if array.any() else np.full(shape, 0.5, np.float32)


def document(**changes: Any) -> dict[str, Any]:
    """A published language SFT in miniature: rank 1, 2 and 3, and an LM head."""
    diffs = {
        f"bert.{QUERY}": encode(sparse((5, 7))),
        "bert.encoder.layer.0.output.dense.bias": encode(sparse((6,), 1)),
        "bert.encoder.layer.0.conv.weight": encode(sparse((2, 3, 4), 2)),
        "bert.encoder.layer.0.nothing.weight": encode(np.zeros((3, 3))),
    }
    head = {"cls.predictions.bias": torch.arange(4.0), "cls.predictions.transform.dense.weight": torch.ones(2, 2)}
    return {"diffs": diffs, "abs": head, "block_sparses": {}} | changes


@pytest.mark.parametrize("old_numpy", [False, True], ids=["numpy 2", "numpy 1"])
def test_every_entry_of_a_published_file_arrives_at_its_place(old_numpy: bool, tmp_path: Path) -> None:
    source = save(tmp_path / "in", document(), old_numpy=old_numpy)
    report = to_sft(source, tmp_path / "x.sft")
    sft = read(tmp_path / "x.sft")
    for name, encoded in document()["diffs"].items():
        dense = decode(encoded)
        assert sft.metadata.parameters[name.removeprefix("bert.")].shape == dense.shape
        if dense.any():
            assert np.array_equal(sft.parameters[name.removeprefix("bert.")].toarray().reshape(dense.shape), dense)
    assert report.k == sft.k == sum(len(each["values"]) for each in document()["diffs"].values())
    assert sft.head["cls.predictions.bias"].tolist() == [0, 1, 2, 3]
    assert sft.metadata.objective == "mlm"


@settings(deadline=None, max_examples=40)
@given(
    shape=st.sampled_from([(), (1,), (9,), (4, 5), (1, 6), (6, 1), (3, 2, 4), (2, 3, 2, 2)]),
    seed=st.integers(0, 50),
    scalar=st.booleans(),
)
def test_tensors_of_any_rank_are_decoded(
    shape: tuple[int, ...], seed: int, scalar: bool, tmp_path_factory: pytest.TempPathFactory
) -> None:
    dense = sparse(shape, seed)
    folder = save(tmp_path_factory.mktemp("in"), {"diffs": {"bert.w.weight": encode(dense, scalar=scalar)}})
    entries = read_components(folder / "pytorch_diff.bin").diffs["bert.w.weight"]
    assert entries.shape == shape
    flat = np.zeros(math.prod(shape), np.float32)
    flat[entries.positions] = entries.values
    assert np.array_equal(flat.reshape(shape), dense)
    assert (np.diff(entries.positions) > 0).all()


def test_positions_beyond_two_billion_are_decoded(tmp_path: Path) -> None:
    size = torch.Size([3, 2**31])
    encoded = {"size": size, "index_steps": [np.int64(1), 3 * 2**30, 2**31], "values": torch.tensor([1.0, 2.0, 3.0])}
    folder = save(tmp_path / "in", {"diffs": {"bert.w.weight": encoded}})
    entries = read_components(folder / "pytorch_diff.bin").diffs["bert.w.weight"]
    expected = sorted((at % 3) * 2**31 + at // 3 for at in (1, 1 + 3 * 2**30, 1 + 3 * 2**30 + 2**31))
    assert entries.positions.tolist() == expected


def test_early_files_with_body_and_head_are_read(tmp_path: Path) -> None:
    dense = torch.from_numpy(sparse((3, 4)))
    body = {"bert.a.weight": dense.to_sparse().coalesce(), "bert.b.weight": dense, "bert.c.weight": encode(dense)}
    components = read_components(
        save(tmp_path / "in", {"body": body, "head": {"x": torch.ones(1)}}) / "pytorch_diff.bin"
    )
    first, *others = (components.diffs[name] for name in body)
    for other in others:
        assert first.positions.tolist() == other.positions.tolist()
        assert first.values.tolist() == other.values.tolist()
    assert list(components.head) == ["x"]


def test_an_index_outside_its_tensor_is_refused(tmp_path: Path) -> None:
    indices, values = torch.tensor([[0, 7], [0, 0]]), torch.ones(2)
    outside = torch.sparse_coo_tensor(indices, values, (2, 3), check_invariants=False)
    folder = save(tmp_path / "in", {"body": {"bert.a.weight": outside}, "head": {}})
    with pytest.raises(FormatError, match="for dim 0, size is 2 but found index 7"):
        read_components(folder / "pytorch_diff.bin")


def test_there_and_back_again_nothing_is_lost(pico_base: Path, tmp_path: Path) -> None:
    sft = make_sft(pico_base, k=400)
    write(tmp_path / "a.sft", sft)
    to_directory(tmp_path / "a.sft", tmp_path / "dir")
    to_sft(tmp_path / "dir", tmp_path / "b.sft", base=pico_base, base_name=str(pico_base))
    back = read(tmp_path / "b.sft")
    assert back.names == sft.names
    assert all((back.parameters[name] != sft.parameters[name]).nnz == 0 for name in sft.names)
    assert all(np.array_equal(back.head[name], sft.head[name]) for name in sft.head)
    assert back.metadata.base == sft.metadata.base
    assert (back.k, back.metadata.density) == (sft.k, sft.metadata.density)


def test_the_directory_reads_with_the_layouts_own_decoder(pico_base: Path, tmp_path: Path) -> None:
    sft = make_sft(pico_base, k=400)
    write(tmp_path / "a.sft", sft)
    to_directory(tmp_path / "a.sft", tmp_path / "dir")
    # weights_only and no allowed global: today's torch.load takes it as it is
    loaded = torch.load(tmp_path / "dir" / "pytorch_diff.bin", weights_only=True)
    assert loaded["diffs"].keys() == {f"bert.{name}" for name in sft.names}
    for name in sft.names:
        encoded = loaded["diffs"][f"bert.{name}"]
        assert type(encoded["size"]) is torch.Size
        assert all(type(step) is int for step in encoded["index_steps"])
        expected = sft.parameters[name].toarray().reshape(sft.metadata.parameters[name].shape)
        assert np.array_equal(decode(encoded), expected)
    assert loaded["abs"].keys() == sft.head.keys()


def test_what_was_converted_composes_as_the_original_does(pico_base: Path, tmp_path: Path) -> None:
    sft = make_sft(pico_base, k=400)
    to_directory(write(tmp_path / "a.sft", sft), tmp_path / "dir")
    to_sft(tmp_path / "dir", tmp_path / "b.sft", base=pico_base)
    for name, each in (("a", sft), ("b", read(tmp_path / "b.sft"))):
        compose(pico_base, [Weighted(each, 1.0, f"{name}.sft")], tmp_path / name)
    assert (tmp_path / "a/model.safetensors").read_bytes() == (tmp_path / "b/model.safetensors").read_bytes()


def test_a_bare_backbones_names_are_taken_as_they_are(tmp_path: Path) -> None:
    for number, name in enumerate((QUERY, "transformer.layer.0.ffn.lin1.weight")):
        save(tmp_path / str(number), {"diffs": {name: encode(sparse((2, 3)))}})
        to_sft(tmp_path / str(number), tmp_path / f"{number}.sft")
        assert read(tmp_path / f"{number}.sft").names == (name,)


@pytest.mark.parametrize(
    ("head", "objective"),
    [
        (["cls.predictions.bias"], "mlm"),
        (["lm_head.dense.weight", "lm_head.layer_norm.bias"], "mlm"),
        (["qa_outputs.weight"], "qa"),
        (["bi_affine_arcs.W"], "dep"),
        (["classifier.weight", "classifier.bias"], "pos"),
        (["classifier.dense.weight", "classifier.dense.bias", "classifier.out_proj.weight"], "classify"),
        ([], ""),
    ],
)
def test_the_objective_is_told_from_the_head(head: list[str], objective: str, tmp_path: Path) -> None:
    source = save(tmp_path / "in", document(abs={name: torch.ones(2) for name in head}))
    report = to_sft(source, tmp_path / "x.sft")
    assert report.objective == objective
    assert any("--objective" in note for note in report.notes) == (objective in ("pos", "classify"))


def test_a_given_objective_wins(tmp_path: Path) -> None:
    source = save(tmp_path / "in", document(abs={"classifier.weight": torch.ones(2)}))
    assert to_sft(source, tmp_path / "x.sft", objective="ner").objective == "ner"
    assert read(tmp_path / "x.sft").metadata.is_task


def test_a_base_gives_fingerprint_and_density(pico_base: Path, tmp_path: Path) -> None:
    source = save(tmp_path / "in", {"diffs": {f"bert.{QUERY}": encode(sparse((16, 16)))}})
    to_sft(source, tmp_path / "x.sft", base=pico_base)
    metadata, checkpoint = read(tmp_path / "x.sft").metadata, Checkpoint(pico_base)
    assert metadata.base is not None
    assert metadata.base.fingerprint == fingerprint(checkpoint)
    assert metadata.base.rounded == {
        dtype.name: fingerprint(checkpoint, dtype) for dtype in (BFLOAT16, np.dtype(np.float16))
    }
    assert metadata.density == metadata.k / sum(spec.size for spec in checkpoint.parameters.values())


def test_a_base_of_other_shapes_or_names_is_refused(pico_base: Path, tmp_path: Path) -> None:
    wrong = save(tmp_path / "shape", {"diffs": {f"bert.{QUERY}": encode(sparse((5, 7)))}})
    with pytest.raises(MismatchError, match=rf"{QUERY} has shape \[5, 7\], in .* \[16, 16\]"):
        to_sft(wrong, tmp_path / "x.sft", base=pico_base)
    stray = save(tmp_path / "name", {"diffs": {"bert.decoder.weight": encode(sparse((5, 7)))}})
    with pytest.raises(MismatchError, match=r"decoder\.weight is no parameter of"):
        to_sft(stray, tmp_path / "x.sft", base=pico_base)
    assert not (tmp_path / "x.sft").exists()


def test_existing_outputs_are_kept(pico_base: Path, tmp_path: Path) -> None:
    source = save(tmp_path / "in", document())
    sft = write(tmp_path / "x.sft", make_sft(pico_base))
    with pytest.raises(OutputExistsError):
        to_sft(source, sft)
    with pytest.raises(OutputExistsError):
        to_directory(sft, source)
    to_directory(sft, source, overwrite=True)
    assert to_sft(source, tmp_path / "y.sft").k == 200


def test_an_sft_that_names_no_base_needs_its_model_type(tmp_path: Path) -> None:
    spec = ParameterSpec((2, 2), "float32")
    sft = CsrDifference({"w": to_csr(np.array([1]), np.ones(1, np.float32), spec, "w")}, Metadata({"w": spec}, 1))
    path = write(tmp_path / "x.sft", sft)
    with pytest.raises(SettingsError, match="--base DIR"):
        to_directory(path, tmp_path / "out")
    to_directory(path, tmp_path / "out", model_type="xlm-roberta")
    assert list(read_components(tmp_path / "out/pytorch_diff.bin").diffs) == ["roberta.w"]


def test_bf16_heads_and_values_survive_the_way_there_and_back(pico_base: Path, tmp_path: Path) -> None:
    encoded = encode(sparse((16, 16)))
    encoded["values"] = encoded["values"].to(torch.bfloat16)
    source = save(tmp_path / "in", document(diffs={f"bert.{QUERY}": encoded}, abs={"x": torch.ones(2).bfloat16()}))
    to_sft(source, tmp_path / "x.sft", base=pico_base, values="bf16")
    sft = read(tmp_path / "x.sft")
    assert (
        sft.entries(QUERY)[1].tolist()
        == read_components(source / "pytorch_diff.bin").diffs[f"bert.{QUERY}"].values.tolist()
    )
    to_directory(tmp_path / "x.sft", tmp_path / "out")
    assert torch.load(tmp_path / "out/pytorch_diff.bin")["abs"]["x"].dtype == torch.bfloat16
