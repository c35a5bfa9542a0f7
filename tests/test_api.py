"""SFTs in Python: arithmetic as the commands do it, and models put back to the bit."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

import sftkit
from sftkit.algebra.arithmetic import Weighted
from sftkit.composing.compose import compose
from sftkit.composing.sums import add
from sftkit.errors import FormatError, MismatchError
from sftkit.format.files import SftFile
from sftkit.modeling import apply
from sftkit.python import api
from tests.helpers import pico
from tests.helpers.build import save_sft


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory, pico_base: Path) -> tuple[api.SFT, api.SFT]:
    folder = tmp_path_factory.mktemp("api")
    language = save_sft(folder / "a.sft", pico_base, seed=1, k=2000)
    task = save_sft(folder / "b.sft", pico_base, seed=2, k=2000, objective="pos")
    return sftkit.read(language), sftkit.read(task)


def dense(sft: api.SFT, name: str) -> np.ndarray:
    matrix: np.ndarray = sft.parameters[name].toarray()
    return matrix.astype(np.float64)


def test_sums_and_differences_are_those_of_the_matrices(pair: tuple[api.SFT, api.SFT]) -> None:
    a, b = pair
    for name in set(a.names) & set(b.names):
        np.testing.assert_array_equal(dense(a + b, name), (dense(a, name) + dense(b, name)).astype(np.float32))
        np.testing.assert_array_equal(dense(a - b, name), (dense(a, name) - dense(b, name)).astype(np.float32))


def test_a_weight_multiplies_every_entry_from_either_side(pair: tuple[api.SFT, api.SFT]) -> None:
    a, _ = pair
    name = a.names[0]
    np.testing.assert_array_equal(dense(0.5 * a, name), 0.5 * dense(a, name))
    np.testing.assert_array_equal(dense(a * 0.5, name), 0.5 * dense(a, name))
    np.testing.assert_array_equal(dense(-a, name), -dense(a, name))


def test_what_is_subtracted_from_itself_is_empty(pair: tuple[api.SFT, api.SFT]) -> None:
    assert (pair[0] - pair[0]).k == 0


def test_a_sum_is_the_file_that_compose_writes(tmp_path: Path, pair: tuple[api.SFT, api.SFT]) -> None:
    files = [SftFile(sft.save(tmp_path / f"{name}.sft")) for name, sft in zip("ab", pair, strict=True)]
    weighted = [Weighted(file, weight, file.path.name) for file, weight in zip(files, (1.0, 0.3), strict=True)]
    add(weighted, tmp_path / "composed.sft")
    a, b = (sftkit.read(file.path) for file in files)
    total = a + 0.3 * b
    assert total.save(tmp_path / "sum.sft").read_bytes() == (tmp_path / "composed.sft").read_bytes()
    assert {parent["name"] for parent in total.metadata.parents} == {"a.sft", "b.sft"}


def test_what_was_never_a_file_is_named_by_its_objective_and_digest(pair: tuple[api.SFT, api.SFT]) -> None:
    unnamed = dataclasses.replace(pair[0], name="")
    (parent,) = (2 * unnamed).metadata.parents
    assert parent["name"] == f"mlm-{unnamed.digest[:8]}"


def test_an_sft_added_and_taken_away_leaves_the_other_to_the_bit(pair: tuple[api.SFT, api.SFT]) -> None:
    a, b = pair
    back = a + 3 * b - 3 * b
    assert all((back.parameters[name] != a.parameters[name]).nnz == 0 for name in a.names)
    assert back.k == a.k


def test_a_sum_that_is_changed_is_what_further_sums_are_made_of(pair: tuple[api.SFT, api.SFT]) -> None:
    total = pair[0] + pair[1]
    name = total.names[0]
    less = dataclasses.replace(total, parameters={name: total.parameters[name]})
    assert (1 * less).names == (name,)


def test_sfts_are_equal_if_they_would_become_the_same_file(tmp_path: Path, pair: tuple[api.SFT, api.SFT]) -> None:
    a, b = pair
    again = sftkit.read(a.save(tmp_path / "other name.sft"))
    assert again == a
    assert hash(again) == hash(a)
    assert a + b == b + a
    assert a != b
    assert a != dataclasses.replace(a, head={})
    assert a != dataclasses.replace(a, metadata=dataclasses.replace(a.metadata, objective="clm"))
    assert a != "a.sft"


def test_a_saved_sum_is_read_back_as_it_was(tmp_path: Path, pair: tuple[api.SFT, api.SFT]) -> None:
    total = pair[0] + pair[1]
    again = sftkit.read(total.save(tmp_path / "sum.sft"))
    assert again.k == total.k == again.metadata.k
    assert again.digest == total.digest


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16])
def test_reverting_gives_the_model_back_to_the_bit(pair: tuple[api.SFT, api.SFT], dtype: torch.dtype) -> None:
    model = pico.make_model().to(dtype)  # type: ignore[arg-type]
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    applied = api.apply(model, pair, [1.0, -0.3])
    assert any(not torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    applied.revert()
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())


def test_a_model_has_the_sft_inside_the_block_only(pair: tuple[api.SFT, api.SFT]) -> None:
    model = pico.make_model()
    weight: torch.Tensor = model.get_input_embeddings().weight  # type: ignore[assignment]
    before = weight.detach().clone()
    inside = []
    with contextlib.suppress(ZeroDivisionError), pair[0].applied_to(model):
        inside.append(weight.detach().clone())
        _ = 1 / 0  # whatever happens inside
    assert not torch.equal(inside[0], before)
    assert torch.equal(weight, before)


def test_a_sum_that_does_not_fit_the_models_dtype_changes_nothing(pair: tuple[api.SFT, api.SFT]) -> None:
    model = pico.make_model().half()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    with pytest.raises(MismatchError, match="does not fit"):
        pair[0].apply_to(model, 1e9)
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_a_model_on_another_device_gets_the_same_bits(
    pair: tuple[api.SFT, api.SFT], dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    here, there = pico.make_model().to(dtype), pico.make_model().to(dtype)  # type: ignore[arg-type]
    before = {name: tensor.clone() for name, tensor in there.state_dict().items()}
    api.apply(here, pair)
    monkeypatch.setattr(apply, "memory_of", apply.DeviceMemory)  # as if it were no memory of the processor's
    applied = api.apply(there, pair)
    assert all(torch.equal(tensor, there.state_dict()[name]) for name, tensor in here.state_dict().items())
    applied.revert()
    assert all(torch.equal(tensor, before[name]) for name, tensor in there.state_dict().items())


def test_a_model_in_memory_is_what_compose_writes(
    pair: tuple[api.SFT, api.SFT], pico_base: Path, tmp_path: Path
) -> None:
    files = [SftFile(sft.save(tmp_path / f"{at}.sft")) for at, sft in enumerate(pair)]
    compose(pico_base, [Weighted(file, 0.3, str(file.path)) for file in files], tmp_path / "composed")
    model = pico.make_model()
    api.apply(model, pair, [0.3, 0.3])
    written = load_file(tmp_path / "composed" / "model.safetensors")
    backbone = {name: tensor for name, tensor in model.state_dict().items() if name.startswith("bert.")}
    assert backbone
    assert all(torch.equal(tensor, written[name]) for name, tensor in backbone.items())


def test_a_damaged_file_changes_nothing(pair: tuple[api.SFT, api.SFT], tmp_path: Path) -> None:
    path = pair[0].save(tmp_path / "a.sft")
    file = SftFile(path)
    os.truncate(path, path.stat().st_size - 1500)  # most of the gaps are gone
    model = pico.make_model()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    with pytest.raises(FormatError, match="ends early"):
        apply.add_differences(model, [Weighted(file)])
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())


def test_what_is_no_sft_is_not_added(pair: tuple[api.SFT, api.SFT]) -> None:
    with pytest.raises(TypeError):
        pair[0] + 3  # type: ignore[operator]


def test_an_sft_is_shown_in_one_line(pair: tuple[api.SFT, api.SFT]) -> None:
    assert "\n" not in repr(pair[0])
    assert "K = 2,000" in repr(pair[0])


def test_an_sft_of_another_shape_changes_nothing(pair: tuple[api.SFT, api.SFT]) -> None:
    model = pico.make_model(intermediate_size=32)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    with pytest.raises(MismatchError, match="shape"):
        pair[0].apply_to(model)
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())


def test_reading_and_adding_need_no_torch(tmp_path: Path, pair: tuple[api.SFT, api.SFT]) -> None:
    path = pair[0].save(tmp_path / "a.sft")
    code = (
        f"import sys, sftkit; a = sftkit.read({str(path)!r}); assert (a + a).k == a.k; "
        "assert 'torch' not in sys.modules and 'transformers' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
