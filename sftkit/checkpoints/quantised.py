"""Weights that are no plain numbers: named and refused, because adding a difference to their codes makes no sense."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from sftkit.errors import CheckpointError
from sftkit.storage.dtypes import FLOAT_CODES
from sftkit.storage.safefile import TensorSpec

_ENDINGS = (
    ".qweight", ".qzeros", ".g_idx", ".SCB", ".absmax", ".quant_map", ".quant_state.bitsandbytes__nf4",
    ".quant_state.bitsandbytes__fp4", ".weight_scale", ".weight_scale_inv", ".weight_packed", ".input_scale",
)  # fmt: skip
#: safetensors' codes for floats of eight bits and fewer.
_SMALL = re.compile("F[468](_|$)")
_PLAIN = "Use the model in float32, bfloat16 or float16."


def check_plain(path: Path, config: Mapping[str, Any], specs: Iterable[TensorSpec]) -> None:
    """Refuse a quantised checkpoint.

    Args:
        path: the model's directory.
        config: its ``config.json``.
        specs: its tensors, without buffers.

    Raises:
        CheckpointError: naming the method, or the tensor and its dtype.
    """
    for settings in _settings(config):
        method = settings.get("quant_method") or ("bitsandbytes" if "load_in_4bit" in settings else "some method")
        raise CheckpointError(f"{path}: its weights are quantised ({method}): differences cannot be added. {_PLAIN}")
    for spec in specs:
        if spec.name.endswith(_ENDINGS) or _SMALL.match(spec.code) or _is_integer_weight(spec):
            raise CheckpointError(
                f"{path}: {spec.name} is quantised ({spec.code}): differences cannot be added to it. {_PLAIN}"
            )


def _settings(config: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """How a model, or one inside it (``text_config``), is quantised."""
    for part in (config, *(inner for inner in config.values() if isinstance(inner, Mapping))):
        found = part.get("quantization_config") or part.get("compression_config")
        if isinstance(found, Mapping):
            yield found


def _is_integer_weight(spec: TensorSpec) -> bool:
    """Whether this is a matrix of integers that is a weight and not, say, a table of indices."""
    if spec.code in FLOAT_CODES or spec.code == "BOOL" or len(spec.shape) < 2:
        return False
    return spec.name.endswith("weight") or spec.code in ("I8", "U8")


def check_no_gguf(path: Path) -> None:
    """Refuse a directory whose weights are in GGUF files.

    Raises:
        CheckpointError: saying what is needed.
    """
    found = sorted(path.glob("*.gguf"))
    if found:
        raise CheckpointError(f"{found[0]}: GGUF weights are not covered. {_PLAIN}")
