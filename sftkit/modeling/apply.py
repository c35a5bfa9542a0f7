"""SFTs on a torch model that is already in memory: θ + Σ wᵢφᵢ, and the heads that come with them.

The arithmetic is that of ``operations.arithmetic``, so a model composed in memory equals one composed on disk.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import nn
from transformers import PreTrainedModel

from sftkit.errors import MismatchError
from sftkit.format.names import is_pooler
from sftkit.format.sft import Difference
from sftkit.modeling.backbone import backbone_parameters, flat
from sftkit.operations.arithmetic import Merger, Weighted

#: int64 positions in a parameter, and θ at them in its dtype; both ``[n]`` on its device.
Kept = tuple[torch.Tensor, torch.Tensor]


def add_differences(model: PreTrainedModel, weighted: Sequence[Weighted]) -> dict[str, Kept]:
    """Add SFTs to a model's backbone in place: summed in float64, added, rounded once to the parameter's dtype.

    Entries on a pooler that the model lacks are left out, as ``compose`` leaves them out.

    Args:
        model: any head on the backbone that the SFTs were learned on.
        weighted: the SFTs, in any order.

    Returns:
        What :func:`put_back` needs, by canonical name.

    Raises:
        MismatchError: if the model lacks a parameter or has it in another shape, or a sum does not fit its dtype;
            nothing was changed then.
    """
    parameters = backbone_parameters(model, pooler=True)
    for item in weighted:
        check_fits(parameters, item)
    merger = Merger(weighted)
    kept: dict[str, Kept] = {}
    for name in merger.names:
        if name not in parameters:
            continue
        parameter = parameters[name]
        merged = merger.parameter(name, parameter.numel())
        positions = torch.from_numpy(merged.positions).to(parameter.device)
        before, fits = add_entries(parameter, positions, torch.from_numpy(merged.values))
        kept[name] = positions, before
        if not fits:
            put_back(model, kept)
            raise MismatchError(f"{name}: a sum does not fit {parameter.dtype}. Give the SFTs smaller weights.")
    return kept


def put_back(model: PreTrainedModel, kept: Mapping[str, Kept]) -> None:
    """Undo :func:`add_differences`, to the bit."""
    parameters = backbone_parameters(model, pooler=True)
    for name, (positions, theta) in kept.items():
        weight = flat(parameters[name])
        weight.index_copy_(0, positions.to(weight.device), theta.to(weight.device))


def add_entries(parameter: torch.Tensor, positions: torch.Tensor, sums: torch.Tensor) -> tuple[torch.Tensor, bool]:
    """θ[positions] += sums in float64, rounded once. Positions int64 and unique, sums float64, both ``[n]``.

    Returns:
        θ[positions] as it was, ``[n]``, and whether every sum is a finite number of θ's dtype where θ is.
    """
    weight = flat(parameter)
    positions = positions.to(weight.device)
    before = weight.index_select(0, positions)
    moved = narrowed(before.double() + sums.to(weight.device), weight.dtype)
    weight.index_copy_(0, positions, moved)
    return before, bool(torch.isfinite(moved).all()) or not bool(torch.isfinite(before).all())


def narrowed(values: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """As :func:`sftkit.format.dtypes.narrowed`: torch takes both half precisions by way of float32."""
    if dtype not in (torch.float16, torch.bfloat16):
        return values.to(dtype)
    near = values.float()
    wide = near.double()
    bits = near.view(torch.int32) - (wide.abs() > values.abs()).int()
    return torch.where(wide == values, bits, bits | 1).view(torch.float32).to(dtype)


def check_fits(parameters: dict[str, nn.Parameter], item: Weighted) -> None:
    """Refuse an SFT whose entries lie on parameters that the model lacks or has in another shape.

    Raises:
        MismatchError: naming the parameter and the two shapes.
    """
    for name in item.sft.names:
        wanted = item.sft.metadata.parameters[name].shape
        if name not in parameters:
            if is_pooler(name):
                continue
            raise MismatchError(f"{item.path}: changes {name}, which the base lacks. Was it learned on another model?")
        if tuple(parameters[name].shape) != wanted:
            raise MismatchError(
                f"{item.path}: was learned on {name} of shape {list(wanted)}; "
                f"the base has {list(parameters[name].shape)}. Was it learned on another model?"
            )


def load_head(model: PreTrainedModel, sft: Difference, what: str) -> list[str]:
    """Copy an SFT's head tensors into a model of the same head class.

    Returns:
        The names of the tensors.

    Raises:
        MismatchError: if the model has no such tensor or another shape.
    """
    state = model.state_dict()
    for name, array in sft.head.items():
        if name not in state or tuple(state[name].shape) != tuple(array.shape):
            have = f"it has {list(state[name].shape)}" if name in state else "it has no such tensor"
            raise MismatchError(
                f"{what}: brings {name} of shape {list(array.shape)} to a model for this objective; {have}."
            )
        with torch.no_grad():
            state[name].copy_(torch.from_numpy(np.array(array, dtype=np.float32)))
    return list(sft.head)
