"""Model directories as people have them: prefixes, old names, shards, pickles, half precision."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest
import torch
from safetensors.numpy import load_file, save_file

from sftkit.checkpoints.checkpoint import Checkpoint
from sftkit.checkpoints.fingerprint import fingerprint
from sftkit.checkpoints.names import canonical
from sftkit.errors import CheckpointError, FormatError
from tests.helpers.pico import CONFIGS, make_model

QUERY = "encoder.layer.0.attention.self.query.weight"
Tensors = dict[str, "np.ndarray[Any, Any]"]


@pytest.fixture(scope="module")
def weights(pico_base: Path) -> Tensors:
    return load_file(pico_base / "model.safetensors")


def directory(path: Path, tensors: Tensors, model_type: str = "bert") -> Path:
    path.mkdir()
    (path / "config.json").write_text(json.dumps({"model_type": model_type}))
    save_file(tensors, path / "model.safetensors")
    return path


def as_shards(path: Path, tensors: Tensors) -> Path:
    directory(path, {})
    (path / "model.safetensors").unlink()
    names = sorted(tensors)
    places = {name: f"model-{1 + at % 3:05}-of-00003.safetensors" for at, name in enumerate(names)}
    for file in set(places.values()):
        save_file({name: tensors[name] for name in names if places[name] == file}, path / file)
    (path / "model.safetensors.index.json").write_text(json.dumps({"weight_map": places}))
    return path


def as_pickle(path: Path, tensors: Tensors) -> Path:
    directory(path, {})
    (path / "model.safetensors").unlink()
    torch.save({name: torch.from_numpy(array.copy()) for name, array in tensors.items()}, path / "pytorch_model.bin")
    return path


def as_old_pickle(path: Path, tensors: Tensors) -> Path:
    as_pickle(path, tensors)
    state = {name: torch.from_numpy(array.copy()) for name, array in tensors.items()}
    torch.save(state, path / "pytorch_model.bin", _use_new_zipfile_serialization=False)
    return path


def as_pickled_shards(path: Path, tensors: Tensors) -> Path:
    as_pickle(path, {})
    (path / "pytorch_model.bin").unlink()
    places = {name: f"pytorch_model-{1 + at % 2:05}-of-00002.bin" for at, name in enumerate(sorted(tensors))}
    for file in set(places.values()):
        state = {name: torch.from_numpy(tensors[name].copy()) for name in places if places[name] == file}
        torch.save(state, path / file)
    (path / "pytorch_model.bin.index.json").write_text(json.dumps({"weight_map": places}))
    return path


def without_prefix(path: Path, tensors: Tensors) -> Path:
    backbone = {name.removeprefix("bert."): array for name, array in tensors.items() if name.startswith("bert.")}
    return directory(path, backbone)


def with_old_names(path: Path, tensors: Tensors) -> Path:
    renamed = {
        name.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta"): array
        for name, array in tensors.items()
    }
    return directory(path, renamed)


def with_buffers(path: Path, tensors: Tensors) -> Path:
    return directory(path, tensors | {"bert.embeddings.position_ids": np.arange(64)[None]})


WAYS: dict[str, Callable[[Path, Tensors], Path]] = {
    "one file": directory,
    "shards": as_shards,
    "a pickle": as_pickle,
    "a pickle of before torch 1.6": as_old_pickle,
    "pickled shards": as_pickled_shards,
    "no prefix and no head": without_prefix,
    "gamma and beta": with_old_names,
    "buffers beside": with_buffers,
}


@pytest.mark.parametrize("way", WAYS)
def test_a_base_reads_the_same_however_it_is_stored(
    way: str, weights: Tensors, pico_base: Path, tmp_path: Path
) -> None:
    expected, stored = Checkpoint(pico_base), Checkpoint(WAYS[way](tmp_path / "base", weights))
    assert stored.parameters == expected.parameters
    assert fingerprint(stored) == fingerprint(expected)
    key = stored.backbone[QUERY]
    assert np.array_equal(stored.read(key), weights[f"bert.{QUERY}"])


@pytest.mark.parametrize("dtype", [ml_dtypes.bfloat16, np.float16])
@pytest.mark.parametrize("pickled", [False, True])
def test_a_half_precision_copy_has_the_fingerprint_of_the_rounded_base(
    dtype: Any, pickled: bool, weights: Tensors, pico_base: Path, tmp_path: Path
) -> None:
    halved = {name: array.astype(dtype) for name, array in weights.items()}
    if pickled:
        as_pickle(tmp_path / "half", {})
        kind = torch.bfloat16 if dtype is ml_dtypes.bfloat16 else torch.float16
        state = {name: torch.from_numpy(array.copy()).to(kind) for name, array in weights.items()}
        torch.save(state, tmp_path / "half" / "pytorch_model.bin")
    else:
        directory(tmp_path / "half", halved)
    half = Checkpoint(tmp_path / "half")
    assert half.dtype == np.dtype(dtype).name
    assert fingerprint(half) == fingerprint(Checkpoint(pico_base), np.dtype(dtype))
    assert fingerprint(half) != fingerprint(Checkpoint(pico_base))


def test_one_changed_weight_changes_the_fingerprint(weights: Tensors, pico_base: Path, tmp_path: Path) -> None:
    changed = weights | {f"bert.{QUERY}": np.nextafter(weights[f"bert.{QUERY}"], np.float32(1))}
    assert fingerprint(Checkpoint(directory(tmp_path / "x", changed))) != fingerprint(Checkpoint(pico_base))


def test_the_pooler_and_the_head_do_not_change_the_fingerprint(
    weights: Tensors, pico_base: Path, tmp_path: Path
) -> None:
    other = weights | {"bert.pooler.dense.weight": np.ones((16, 16), np.float32), "cls.new": np.ones(2, np.float32)}
    assert fingerprint(Checkpoint(directory(tmp_path / "x", other))) == fingerprint(Checkpoint(pico_base))


@pytest.mark.parametrize("model_type", CONFIGS)
def test_every_architecture_has_the_same_names_with_its_head_and_without(model_type: str, tmp_path: Path) -> None:
    make_model(model_type).save_pretrained(tmp_path / "head")
    bare = make_model(model_type, head=False)
    bare.save_pretrained(tmp_path / "bare")
    expected = {name for name, _ in bare.named_parameters() if not name.startswith("pooler.")}
    for way in ("head", "bare"):
        found = {name for name in Checkpoint(tmp_path / way).backbone if not name.startswith("pooler.")}
        assert found == expected


@pytest.mark.parametrize("key", ["cls.predictions.bias", "lm_head.dense.weight", "classifier.weight", "score.weight"])
def test_heads_are_no_part_of_a_backbone_without_prefix(key: str) -> None:
    assert canonical(key, "") is None


def broken(path: Path, change: Callable[[Path], object]) -> Path:
    directory(path, {"bert.x": np.ones(1, np.float32)})
    change(path)
    return path


BROKEN: dict[str, tuple[Callable[[Path], object], str]] = {
    "no config": (lambda path: (path / "config.json").unlink(), "no config.json"),
    "a config that is no JSON": (lambda path: (path / "config.json").write_text("{"), "not valid JSON"),
    "a config that is a list": (lambda path: (path / "config.json").write_text("[]"), "not a JSON object"),
    "no weights": (lambda path: (path / "model.safetensors").unlink(), "holds no weights"),
    "damaged weights": (lambda path: (path / "model.safetensors").write_bytes(b"12345678"), "cut short"),
    "an index without its shards": (
        lambda path: (path / "model.safetensors").rename(path / "gone")
        and (path / "model.safetensors.index.json").write_text('{"weight_map": {"a": "model-1.safetensors"}}'),
        "which is not in that directory",
    ),
    "an index that leads outside": (
        lambda path: (path / "model.safetensors").rename(path.parent / "out.safetensors")
        and (path / "model.safetensors.index.json").write_text('{"weight_map": {"a": "../out.safetensors"}}'),
        "which is not in that directory",
    ),
    "a pickle that is none": (
        lambda path: (path / "model.safetensors").rename(path / "pytorch_model.bin"), "torch cannot read it"
    ),
}  # fmt: skip


@pytest.mark.parametrize("wrong", BROKEN)
def test_a_broken_directory_is_refused_in_one_line(wrong: str, tmp_path: Path) -> None:
    change, says = BROKEN[wrong]
    path = broken(tmp_path / "model", change)
    with pytest.raises((CheckpointError, FormatError), match=says) as caught:
        Checkpoint(path)
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)


def test_a_pickle_that_would_run_code_is_refused(tmp_path: Path) -> None:
    class Bomb:
        def __reduce__(self) -> Any:
            return (Path.touch, (tmp_path / "ran",))

    path = as_pickle(tmp_path / "model", {})
    torch.save({"x": Bomb()}, path / "pytorch_model.bin")
    with pytest.raises(FormatError, match="as plain weights"):
        Checkpoint(path)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("value", ["a word", None, [1.0], 3])
def test_a_weight_of_a_pickle_that_is_no_tensor_is_refused(value: Any, weights: Tensors, tmp_path: Path) -> None:
    path = as_pickle(tmp_path / "model", weights)
    state: dict[Any, Any] = torch.load(path / "pytorch_model.bin")
    name = next(iter(state))
    torch.save(state | {name: value}, path / "pytorch_model.bin")
    with pytest.raises(FormatError, match=f"'{name}' is a {type(value).__name__}, not a tensor with a name"):
        Checkpoint(path)


def test_float64_is_no_float_of_six_bits(weights: Tensors, tmp_path: Path) -> None:
    path = directory(tmp_path / "model", {name: array.astype(np.float64) for name, array in weights.items()})
    assert {Checkpoint(path).spec(key).code for key in Checkpoint(path).keys} == {"F64"}
