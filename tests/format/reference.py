"""The reference implementation's ``pytorch_diff.bin``, encoded entry by entry from the description of its layout.

Shares no code with ``sftkit.sharing.pytorch_diff``, and decodes with plain Python integers.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import torch


def encode(array: Any, *, scalar: bool = True) -> dict[str, Any]:
    """One difference; ``scalar`` leaves numpy's integer in front, as the reference does."""
    array = np.asarray(array, np.float32)
    entries = sorted(
        (column_major(where, array.shape), float(array[where])) for where in np.ndindex(array.shape) if array[where]
    )
    steps: list[Any] = []
    for at, (position, _) in enumerate(entries):
        steps.append(position - entries[at - 1][0] if at else position)
    if steps and scalar:
        steps[0] = np.int64(steps[0])
    return {
        "size": torch.Size(array.shape),
        "index_steps": steps,
        "values": torch.tensor([value for _, value in entries], dtype=torch.float32),
    }


def column_major(where: Iterable[int], shape: Iterable[int]) -> int:
    """The flat position with the first dimension fastest."""
    position, stride = 0, 1
    for coordinate, size in zip(where, shape, strict=True):
        position += coordinate * stride
        stride *= size
    return position


def decode(encoded: dict[str, Any]) -> Any:
    """The dense difference."""
    shape = tuple(encoded["size"])
    array = np.zeros(shape, np.float32)
    position = 0
    for step, value in zip(encoded["index_steps"], encoded["values"].tolist(), strict=True):
        position += int(step)
        rest, where = position, []
        for size in shape:
            where.append(rest % size)
            rest //= size
        assert rest == 0
        array[tuple(where)] = value
    return array


def save(folder: Path, document: Any, *, old_numpy: bool = False) -> Path:
    """Save as the reference does; ``old_numpy`` writes the module name that numpy 1 had."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "pytorch_diff.bin"
    torch.save(document, path)
    if old_numpy:
        rename_module(path)
    return folder


def rename_module(path: Path) -> None:
    """Give the pickle inside the path ``numpy.core`` that numpy 1 wrote."""
    import zipfile

    with zipfile.ZipFile(path) as archive:
        members = {info.filename: archive.read(info) for info in archive.infolist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for name, data in members.items():
            if name.endswith("data.pkl"):
                assert b"numpy._core.multiarray" in data
                data = data.replace(b"numpy._core.multiarray", b"numpy.core.multiarray")
            archive.writestr(name, data)
