"""SFTs on a torch model that is already in memory: θ + Σ wᵢφᵢ, and the heads that come with them.

The arithmetic is that of ``algebra.arithmetic``, in numpy on the parameters' own memory, so a model composed in
memory equals one composed on disk. A model on another device sends K values to the processor and gets them back.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import torch
import xxhash
from numpy.typing import NDArray
from torch import nn
from transformers import PreTrainedModel

from sftkit.algebra.arithmetic import Merger, Weighted, added
from sftkit.checkpoints.checkpoint import numpy_to_tensor, tensor_to_numpy
from sftkit.checkpoints.names import is_pooler
from sftkit.composing.turns import THREADS
from sftkit.errors import MismatchError
from sftkit.format.difference import Difference
from sftkit.modeling.backbone import backbone_parameters, flat, output_name, stored_buffers
from sftkit.storage.dtypes import FLOATS

#: Of a parameter, stretch by stretch: positions (int32 where that is enough), θ at them in its dtype, both ``[n]``, and
#: a hash of what was put in its place.
Kept = list[tuple[NDArray[Any], NDArray[Any], int]]

#: Dtypes of weights that are plain numbers.
_FLOATS = (torch.float64, torch.float32, torch.bfloat16, torch.float16)

#: Elements of a parameter that are added to at a time: at usual densities the entries stay in the processor's cache.
_STRETCH = 1 << 20


def add_differences(
    model: PreTrainedModel, weighted: Sequence[Weighted], stored: Callable[[str], np.dtype[Any] | None] | None = None
) -> dict[str, Kept]:
    """Add SFTs to a model's backbone in place: summed in float64, added, rounded once to the parameter's dtype.

    Entries on a pooler that the model lacks are left out, as ``compose`` leaves them out.

    Args:
        model: any head on the backbone that the SFTs were learned on.
        weighted: the SFTs, in any order.
        stored: gives the dtype that a parameter has in its checkpoint, by its canonical name, if the model was loaded
            in a wider one: sums are rounded to that, as ``compose`` would.

    Returns:
        What :func:`put_back` needs, by canonical name.

    Raises:
        MismatchError: if the model lacks a parameter or has it in another shape, or a sum does not fit its dtype.
        FormatError: if a file's entries are not what the format asks for. The model is as it was then, to the bit.
    """
    parameters = movable_parameters(model)
    check_writable(parameters)
    for item in weighted:
        check_fits(parameters, item)
    merger = Merger(weighted)
    names = sorted((name for name in merger.names if name in parameters), key=lambda name: -parameters[name].numel())
    kept: dict[str, Kept] = {name: [] for name in names}

    def add(name: str) -> None:
        _add(parameters[name], name, merger, kept[name], stored(name) if stored is not None else None)

    try:
        with ThreadPoolExecutor(THREADS) as pool:
            list(pool.map(add, names))
    except BaseException:
        put_back(model, kept)
        raise
    return kept


def movable_parameters(model: PreTrainedModel) -> dict[str, torch.Tensor]:
    """What a checkpoint's differences may lie on, by canonical name.

    The backbone's parameters, its pooler's, the buffers that are stored with them (running means, correction biases)
    and, by its full name, an output matrix of its own.
    """
    found: dict[str, torch.Tensor] = {**backbone_parameters(model, pooler=True), **stored_buffers(model)}
    output, _ = embeddings_of(model)
    if output is not None and all(each is not output for each in found.values()):
        own = next(name for name, each in model.named_parameters() if each is output)
        found[output_name(model, own)] = output
    return found


def embeddings_of(model: PreTrainedModel) -> tuple[nn.Parameter | None, nn.Module | None]:
    """The output matrix, unless it is the input embedding or there is none, and the module that has or shares it."""
    try:
        module, inputs = model.get_output_embeddings(), model.get_input_embeddings()
    except (AttributeError, NotImplementedError):
        return None, None
    weight = getattr(module, "weight", None)
    own = isinstance(weight, nn.Parameter) and weight is not getattr(inputs, "weight", None)
    return weight if own else None, module


def put_back(model: PreTrainedModel, kept: Mapping[str, Kept]) -> None:
    """Undo :func:`add_differences`, to the bit."""
    parameters = movable_parameters(model)

    def restore(name: str) -> None:
        theta = memory_of(parameters[name])
        for positions, before, _ in reversed(kept[name]):
            theta[positions] = before

    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(restore, kept))


def unchanged(model: PreTrainedModel, kept: Mapping[str, Kept]) -> str:
    """The first parameter on which something else than what :func:`add_differences` wrote lies now, or "" for none."""
    parameters = movable_parameters(model)

    def differs(name: str) -> bool:
        if name not in parameters or not _is_writable(parameters[name]):
            return True
        theta, size = memory_of(parameters[name]), parameters[name].numel()
        return any(
            (len(positions) and int(positions.max()) >= size) or _hash(theta[positions]) != written
            for positions, _, written in kept[name]
        )

    with ThreadPoolExecutor(THREADS) as pool:
        return next((name for name, wrong in zip(kept, pool.map(differs, kept), strict=True) if wrong), "")


def _hash(values: NDArray[Any]) -> int:
    """Of values and their dtype."""
    bits = np.ascontiguousarray(values).view(np.uint8)
    return xxhash.xxh3_64_intdigest(bits.data, seed=values.dtype.num)


def check_writable(parameters: Mapping[str, torch.Tensor]) -> None:
    """Refuse a model with a parameter to which nothing can be added: quantised, sharded, elsewhere, or shared.

    Raises:
        MismatchError: naming the parameter.
    """
    places: dict[tuple[torch.device, int], str] = {}
    for name, parameter in parameters.items():
        if not _is_writable(parameter):
            kind = type(parameter.data).__name__ if type(parameter.data) is not torch.Tensor else ""
            what = f"a {kind or str(parameter.dtype).removeprefix('torch.')} on {parameter.device}"
            raise MismatchError(
                f"{name} is {what}{'' if parameter.is_contiguous() else ', not contiguous'}: differences can only be "
                "added to whole float32, bfloat16, float16 and float64 weights in memory.",
                tensor=name,
            )
        there = places.setdefault((parameter.device, parameter.data_ptr()), name) if parameter.numel() else name
        if there != name:
            raise MismatchError(
                f"{there} and {name} have their values in one place, and are two parameters. Tie them (make them one), "
                "or give each a copy.",
                tensor=name,
            )


def _is_writable(parameter: torch.Tensor) -> bool:
    plain = type(parameter.data) in (torch.Tensor, nn.Parameter) and parameter.layout == torch.strided
    return plain and parameter.dtype in _FLOATS and parameter.device.type != "meta" and parameter.is_contiguous()


def _add(parameter: torch.Tensor, name: str, merger: Merger, kept: Kept, stored: np.dtype[Any] | None = None) -> None:
    """Add to one parameter, and leave in ``kept`` what was there."""
    theta, size = memory_of(parameter), parameter.numel()
    index = np.int32 if size < 2**31 else np.int64
    for window in merger.windows(name, size, _STRETCH):
        before = theta[window.positions]
        narrow = before if stored is None else before.astype(stored)
        moved = added(narrow, window.values, name).astype(before.dtype)
        kept.append((window.positions.astype(index), before, _hash(moved)))
        theta[window.positions] = moved


class DeviceMemory:
    """A tensor that is no memory of ours, read and written at positions as if it were a numpy array."""

    def __init__(self, tensor: torch.Tensor) -> None:
        self._tensor = flat(tensor.data)  # versions are counted by who puts something on: identity.written

    def __getitem__(self, positions: NDArray[Any]) -> NDArray[Any]:
        return tensor_to_numpy(self._tensor.index_select(0, self._index(positions)).cpu(), "a parameter")

    def __setitem__(self, positions: NDArray[Any], values: NDArray[Any]) -> None:
        self._tensor.index_copy_(0, self._index(positions), numpy_to_tensor(values).to(self._tensor.device))

    def _index(self, positions: NDArray[Any]) -> torch.Tensor:
        return torch.from_numpy(positions.astype(np.int64, copy=False)).to(self._tensor.device)


def memory_of(parameter: torch.Tensor) -> NDArray[Any] | DeviceMemory:
    """A parameter's elements in row-major order, to be read and written at positions; writes go through."""
    if parameter.device.type != "cpu":
        return DeviceMemory(parameter)
    return tensor_to_numpy(flat(parameter), "a parameter")


def check_fits(parameters: Mapping[str, torch.Tensor], item: Weighted) -> None:
    """Refuse an SFT whose entries lie on parameters that the model lacks or has in another shape.

    Raises:
        MismatchError: naming the parameter and the two shapes.
    """
    for name in item.sft.names:
        wanted = item.sft.metadata.parameters[name].shape
        if name not in parameters:
            if is_pooler(name) or name == item.sft.metadata.output:  # heads' models have one or not
                continue
            raise MismatchError(
                f"{item.path}: changes {name}, which the base lacks. Was it learned on another model?",
                path=item.path, tensor=name, expected=wanted,
            )  # fmt: skip
        if tuple(parameters[name].shape) != wanted:
            raise MismatchError(
                f"{item.path}: was learned on {name} of shape {list(wanted)}; "
                f"the base has {list(parameters[name].shape)}. Was it learned on another model?",
                path=item.path, tensor=name, expected=wanted, found=tuple(parameters[name].shape),
            )  # fmt: skip


def load_head(model: PreTrainedModel, sft: Difference, what: str, stored: np.dtype[Any] | None = None) -> list[str]:
    """Copy an SFT's head tensors into a model of the same head class, rounded to a dtype first if one is given.

    Returns:
        The names of the tensors.

    Raises:
        MismatchError: if the model has no such tensor or another shape, or the head is of an earlier kind.
    """
    state = model.state_dict()
    for name in (name for name in getattr(model, "retired", ()) if name in sft.head):
        raise MismatchError(
            f"{what}: its head ({name}) is of an earlier sftkit, which computed otherwise. Train it anew."
        )
    for name, array in sft.head.items():
        if name not in state or tuple(state[name].shape) != tuple(array.shape):
            have = f"it has {list(state[name].shape)}" if name in state else "it has no such tensor"
            raise MismatchError(
                f"{what}: brings {name} of shape {list(array.shape)} to a model for this objective; {have}."
                + ("" if sft.metadata.labels else " It does not name its labels: convert it with --labels A,B,…")
            )
        with torch.no_grad():
            rounded = array if stored is None or array.dtype not in FLOATS else array.astype(stored)
            state[name].copy_(torch.from_numpy(np.array(rounded, dtype=np.float32)))
    return list(sft.head)
