"""Weights that are no plain numbers are named and refused, by whatever command opens them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from sftkit.checkpoints.checkpoint import Checkpoint
from sftkit.errors import CheckpointError, MismatchError
from sftkit.python.api import apply
from tests.cli.run import sftkit, train
from tests.composing.test_checkpoint_kinds import rewritten
from tests.helpers import pico
from tests.helpers.build import make_sft, save_sft

QUERY = "bert.encoder.layer.0.attention.self.query.weight"
TENSORS: dict[str, dict[str, torch.Tensor]] = {
    "F8_E4M3": {QUERY: torch.zeros(16, 16, dtype=torch.float8_e4m3fn)},
    "I8": {QUERY: torch.zeros(16, 16, dtype=torch.int8)},
    "weight_scale": {QUERY.replace("weight", "weight_scale"): torch.ones(1)},
    "absmax": {f"{QUERY}.absmax": torch.ones(4)},
    "qweight": {QUERY.replace("weight", "qweight"): torch.zeros(2, 16, dtype=torch.int32)},
}


@pytest.mark.parametrize("kind", TENSORS)
def test_quantised_weights_are_named_and_refused(kind: str, pico_base: Path, tmp_path: Path) -> None:
    folder = rewritten(pico_base, tmp_path / "x", lambda state: state | TENSORS[kind])
    with pytest.raises(CheckpointError, match=f"{kind}.*is quantised|is quantised .{kind}"):
        Checkpoint(folder)


@pytest.mark.parametrize("method", ["bitsandbytes", "torchao", "fp8", "gptq"])
def test_a_config_of_quantised_weights_is_refused_by_its_method(method: str, pico_base: Path, tmp_path: Path) -> None:
    folder = rewritten(pico_base, tmp_path / "x", lambda state: state)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"quantization_config": {"quant_method": method}}))
    with pytest.raises(CheckpointError, match=f"quantised .{method}"):
        Checkpoint(folder)


def test_a_part_of_a_model_that_is_quantised_is_refused(pico_base: Path, tmp_path: Path) -> None:
    folder = rewritten(pico_base, tmp_path / "x", lambda state: state)
    config = json.loads((folder / "config.json").read_text())
    inner = {"text_config": {"quantization_config": {"quant_method": "gptq"}}}
    (folder / "config.json").write_text(json.dumps(config | inner))
    with pytest.raises(CheckpointError, match=r"quantised .gptq"):
        Checkpoint(folder)


def test_a_gguf_file_is_named_as_such(tmp_path: Path) -> None:
    (tmp_path / "model.gguf").write_bytes(b"GGUF" + bytes(100))
    done = sftkit("inspect", tmp_path / "model.gguf")
    assert done.status == 1
    assert "GGUF weights are not covered" in done.stderr


_OTHERS = ("compose", "subtract", "evaluate", "predict", "train")


@pytest.mark.parametrize("command", _OTHERS)
def test_every_command_that_takes_a_model_refuses_one_that_is_quantised(
    command: str, pico_base: Path, corpus: Path, tmp_path: Path
) -> None:
    folder = rewritten(pico_base, tmp_path / "x", lambda state: state | TENSORS["I8"])
    sft, out = save_sft(tmp_path / "x.sft", pico_base), tmp_path / "out.sft"
    done = {
        "compose": lambda: sftkit("compose", folder, sft, "-o", tmp_path / "out"),
        "subtract": lambda: sftkit("subtract", folder, sft, "-o", tmp_path / "out"),
        "evaluate": lambda: sftkit("evaluate", folder, sft, "--mlm", corpus, "--device", "cpu"),
        "predict": lambda: sftkit("predict", folder, sft, "--mlm", corpus, "--device", "cpu"),
        "train": lambda: train("--mlm", corpus, "--base", folder, "-o", out),
    }[command]()
    assert (done.status, done.stderr.count("\n")) == (1, 1)
    assert "quantised (I8)" in done.stderr
    assert not (tmp_path / "out").exists()
    assert not out.exists()


@pytest.mark.parametrize("dtype", [torch.int8, torch.float8_e4m3fn])
def test_a_quantised_model_in_memory_is_refused_and_left_as_it_is(dtype: torch.dtype, pico_base: Path) -> None:
    model: Any = pico.make_model()
    query = model.get_submodule(QUERY.removesuffix(".weight"))
    query.weight = torch.nn.Parameter(query.weight.detach().to(dtype), requires_grad=False)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    with pytest.raises(MismatchError, match=r"query\.weight"):
        apply(model, [make_sft(pico_base)], force=True)
    after = model.state_dict()
    assert all(torch.equal(after[name].view(torch.uint8), each.view(torch.uint8)) for name, each in before.items())


def test_gguf_weights_are_named(pico_base: Path, tmp_path: Path) -> None:
    folder = rewritten(pico_base, tmp_path / "x", lambda state: state)
    (folder / "model.safetensors").rename(folder / "model-q4.gguf")
    with pytest.raises(CheckpointError, match=r"model-q4\.gguf: GGUF weights are not covered"):
        Checkpoint(folder)


def test_subtracting_two_quantised_models_writes_nothing(pico_base: Path, tmp_path: Path) -> None:
    folder = rewritten(pico_base, tmp_path / "x", lambda state: state | TENSORS["F8_E4M3"])
    done = sftkit("subtract", folder, folder, "-o", tmp_path / "d.sft")
    assert done.status != 0
    assert "quantised" in done.stderr
    assert not (tmp_path / "d.sft").exists()


def test_tables_of_indices_are_no_quantised_weights(pico_base: Path, tmp_path: Path) -> None:
    folder = rewritten(pico_base, tmp_path / "x", lambda state: state | {"bert.table": torch.zeros(4, 4).long()})
    Checkpoint(folder)
