"""Weights that are no plain numbers are named and refused, by whatever command opens them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from sftkit.errors import CheckpointError
from sftkit.format.checkpoint import Checkpoint
from tests.cli.run import sftkit
from tests.operations.test_checkpoint_kinds import rewritten

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
