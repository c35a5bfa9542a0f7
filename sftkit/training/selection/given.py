"""Masks that need no phase 1: biases, the positions of an SFT or of a file of masks; and positions to keep clear of.

A file of masks is a safetensors file of boolean (or u8, 0 and 1) tensors under canonical names, in the parameters'
shapes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from torch import nn

from sftkit.algebra.topk import narrow
from sftkit.errors import FormatError, MismatchError, SettingsError
from sftkit.format.encoding import Positions
from sftkit.format.files import SftFile
from sftkit.storage.safefile import SafeReader
from sftkit.training.selection.ranking import Avoided, Mask

#: Flat positions, and the shape of what they are in.
_Placed = tuple[Positions, tuple[int, ...]]


def biases(maskable: Mapping[str, nn.Parameter], avoided: Avoided) -> Mask:
    """Every element of every bias that may move (BitFit: Ben Zaken et al. 2022).

    Raises:
        SettingsError: if there is none.
    """
    everything = {
        name: np.arange(parameter.numel(), dtype=np.int64)
        for name, parameter in sorted(maskable.items())
        if name.endswith("bias")
    }
    return _free(everything, avoided, "The base has no biases that may move: bitfit is not for it.")


def positions_of(path: Path, maskable: Mapping[str, nn.Parameter], avoided: Avoided) -> Mask:
    """The positions of an SFT or a file of masks that lie on parameters that may move.

    Raises:
        MismatchError: if one of its parameters has another shape in the model.
        SettingsError: if none is left.
    """
    found = _read(path)
    outside = sum(len(where) for name, (where, _) in found.items() if name not in maskable)
    mask = _free(_on(path, found, maskable), avoided, f"{path}: none of its positions may move.")
    return replace(mask, outside=outside)


def avoided_by(
    paths: Sequence[Path], maskable: Mapping[str, nn.Parameter], backbone: Mapping[str, nn.Parameter]
) -> dict[str, NDArray[np.bool_]]:
    """Where the SFTs, or files of masks, have their positions.

    Raises:
        MismatchError: if one of their parameters has another shape in the model, or none is in its backbone.
    """
    avoided: dict[str, NDArray[np.bool_]] = {}
    for path in paths:
        found = _read(path)
        if backbone.keys().isdisjoint(found):
            raise MismatchError(
                f"{path}: the base has none of its parameters, such as {min(found, default='none at all')}, "
                "so there is nothing to avoid. Is it of another base?"
            )
        for name, where in _on(path, found, maskable).items():
            avoided.setdefault(name, np.zeros(maskable[name].numel(), np.bool_))[where] = True
    return avoided


def _on(path: Path, found: Mapping[str, _Placed], maskable: Mapping[str, nn.Parameter]) -> dict[str, Positions]:
    """The positions that lie on parameters that may move, sorted by name, all of them in the model's shapes."""
    inside = {name: found[name] for name in sorted(found) if name in maskable}
    for name, (_, shape) in inside.items():
        if tuple(maskable[name].shape) != tuple(shape):
            raise MismatchError(
                f"{path}: {name} has shape {list(shape)}; in the base it has shape {list(maskable[name].shape)}."
            )
    return {name: where for name, (where, _) in inside.items()}


def _free(positions: Mapping[str, Positions], avoided: Avoided, why: str) -> Mask:
    free = {name: at[~avoided[name][at]] if name in avoided else at for name, at in positions.items()}
    free = {name: at for name, at in free.items() if len(at)}
    if not free:
        raise SettingsError(why)
    return Mask({name: narrow(at) for name, at in free.items()})


def _read(path: Path) -> dict[str, _Placed]:
    """By canonical name."""
    reader = SafeReader(path)
    if any(key.startswith("diff/") for key in reader):
        sft = SftFile(path)
        return {name: (sft.entries(name)[0], sft.metadata.parameters[name].shape) for name in sft.names}
    found = {}
    for name in reader:
        mask = reader.read(name)
        if mask.dtype not in (np.bool_, np.uint8):
            raise FormatError(f"{path}: {name} is {mask.dtype.name}; a mask is boolean.")
        found[name] = np.flatnonzero(mask.reshape(-1)), mask.shape
    return found
