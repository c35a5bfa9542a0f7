"""Builds ``.sft`` files byte by byte, without the writer under test, so that anything can be wrong in them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

_CODES = {"float32": "F32", "float16": "F16", "float64": "F64", "uint8": "U8", "uint16": "U16", "uint32": "U32",
          "int64": "I64", "int32": "I32", "bool": "BOOL", "bfloat16": "BF16"}  # fmt: skip

WEIGHT = "encoder.layer.0.attention.self.query.weight"


def document(**changes: Any) -> dict[str, Any]:
    """A valid metadata document for one 3 x 4 parameter with two entries; ``key=None`` leaves a key out."""
    whole: dict[str, Any] = {
        "parameters": {WEIGHT: {"shape": [3, 4], "dtype": "float32"}},
        "k": 2,
        "base": {"name": "b", "model_type": "bert", "fingerprint": "0" * 32},
        "objective": "mlm",
        "method": "lottery",
    }
    return {key: value for key, value in (whole | changes).items() if value is not None}


def tensors(gaps: Any = None, values: Any = None) -> dict[str, np.ndarray[Any, Any]]:
    """The entries of that parameter, by default at positions 0 and 2."""
    return {
        f"diff/{WEIGHT}/gaps": np.array([1, 2], np.uint8) if gaps is None else gaps,
        f"diff/{WEIGHT}/values": np.array([0.5, -0.25], np.float32) if values is None else values,
    }


def file_bytes(
    arrays: dict[str, np.ndarray[Any, Any]] | None = None,
    sft: dict[str, Any] | str | None = None,
    strings: Any = None,
    header: dict[str, Any] | None = None,
) -> bytes:
    """A whole file.

    Args:
        arrays: its tensors.
        sft: the ``sft`` document, or its text.
        strings: changes to the metadata's strings (None leaves a key out); anything but a dictionary replaces them.
        header: changes to the header's entries.
    """
    metadata: Any = {"format": "sft", "format_version": "1"}
    metadata["sft"] = sft if isinstance(sft, str) else json.dumps(document() if sft is None else sft)
    if isinstance(strings, dict):
        metadata = {key: value for key, value in (metadata | strings).items() if value is not None}
    elif strings is not None:
        metadata = strings
    head: dict[str, Any] = {"__metadata__": metadata}
    data = b""
    for name, array in (tensors() if arrays is None else arrays).items():
        code, end = _CODES[array.dtype.name], len(data) + array.nbytes
        head[name] = {"dtype": code, "shape": list(array.shape), "data_offsets": [len(data), end]}
        data += array.tobytes()
    text = json.dumps(head | (header or {})).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text + data


def write_raw(path: Path, *arguments: Any, **options: Any) -> Path:
    """:func:`file_bytes` in a file."""
    path.write_bytes(file_bytes(*arguments, **options))
    return path
