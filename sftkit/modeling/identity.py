"""Whether a model in memory has the weights that SFTs were learned on: its fingerprint, as that of a checkpoint.

A model is hashed once, and again when torch says that its weights were written to.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
import torch
import xxhash
from torch import nn
from torch.utils.weak import WeakIdKeyDictionary
from transformers import PreTrainedModel

from sftkit.algebra.arithmetic import Weighted
from sftkit.checkpoints.checkpoint import tensor_to_numpy
from sftkit.checkpoints.classes import type_facts
from sftkit.checkpoints.fingerprint import Fingerprint
from sftkit.composing.belong import check_fingerprint
from sftkit.composing.record import Record
from sftkit.composing.turns import THREADS
from sftkit.errors import MismatchError, SftkitError
from sftkit.format.metadata import ParameterSpec
from sftkit.modeling.backbone import backbone_parameters, prefix_of, stored_buffers
from sftkit.storage.dtypes import BFLOAT16

_DTYPES = {"float32": np.dtype(np.float32), "float16": np.dtype(np.float16), "bfloat16": BFLOAT16}
#: Elements of a tensor that are hashed at a time.
_BLOCK = 1 << 20
_Known = tuple[tuple[Any, ...], dict[str, str]]
_KNOWN: WeakKeyDictionary[nn.Module, _Known] = WeakKeyDictionary()
#: Tensor -> how often we wrote to it and told torch: what we put on comes off again to the bit.
_OURS: Any = WeakIdKeyDictionary()


def check_identity(model: PreTrainedModel, weighted: Sequence[Weighted]) -> None:
    """Refuse SFTs that were learned on other weights, as ``compose`` refuses them.

    Raises:
        MismatchError: naming both fingerprints.
    """
    recorded = [item for item in weighted if item.sft.metadata.base and item.sft.metadata.base.fingerprint]
    if not recorded:
        return
    dtype = _main_dtype(backbone_parameters(model).values())
    for item in recorded:
        base = item.sft.metadata.base
        assert base is not None
        wanted = {base.fingerprint, *base.rounded.values()}
        learned = _main_dtype_of(item)
        for rounding in dict.fromkeys(("", learned, dtype)):
            if {found := _print(model, rounding), _origin(model, found)} & wanted:
                break
        else:
            stored = type_facts(str(model.config.model_type)).get("converted", False)
            if stored and {_print(model, "", stored=True), _print(model, learned, stored=True)} & wanted:
                continue
            _check_not_rounded(model, item, dtype)
            wide = _width(dtype) >= _width(learned)  # then its own weights, rounded to what was learned on, decide
            found, compared = (_print(model, learned), learned) if wide else (_print(model, ""), dtype)
            check_fingerprint(found, compared, [item], f"the model{_without_decoder(model)}")


def _check_not_rounded(model: PreTrainedModel, item: Weighted, dtype: str) -> None:
    """Refuse a copy of the base in half precision that was loaded in a wider dtype, and say what it is.

    ``compose`` would round what it adds to the copy as the copy is rounded; here it would not be rounded.

    Raises:
        MismatchError: naming both dtypes.
    """
    base = item.sft.metadata.base
    for narrow, rounded in (base.rounded if base is not None else {}).items():
        if _width(narrow) < _width(dtype) and _print(model, narrow) == rounded:
            raise MismatchError(
                f"{item.path} was learned on {base.name if base else ''} in {_main_dtype_of(item)}; the model has the "
                f"weights of its {narrow} copy, loaded in {dtype}. Load it with dtype=torch.{narrow}, or go on in "
                f"{dtype} with --force.",
                path=item.path, expected=narrow, found=dtype,
            )  # fmt: skip


def _without_decoder(model: PreTrainedModel) -> str:
    """Said of an encoder that is loaded alone: what fingerprints cover is more."""
    whole = "seq2seq" in type_facts(str(model.config.model_type))
    alone = whole and not any(name.startswith("decoder.") for name in backbone_parameters(model))
    return ", of which the decoder is not loaded and so cannot be compared," if alone else ""


def _origin(model: PreTrainedModel, found: str) -> str:
    """The fingerprint of what the model was composed from, if it was and has not been changed since; else ""."""
    folder = Path(str(getattr(model, "name_or_path", "") or "-"))
    try:
        record = Record.read(folder)
    except (SftkitError, OSError):
        return ""
    return record.origin(found) if record is not None and record.fingerprint else ""


def _print(model: PreTrainedModel, rounding: str, *, stored: bool = False) -> str:
    """The fingerprint of a model's weights, rounded to another dtype first, under the names that saving gives them."""
    parameters = _tensors(model)
    state = tuple((each.data_ptr(), version(each), each.dtype) for each in parameters.values())
    known = _KNOWN.get(model)
    if known is None or known[0] != state:
        known = _KNOWN[model] = (state, {})
    key = f"{rounding} {stored}"
    if key not in known[1]:
        tensors = _as_stored(model) if stored else {name: each.detach() for name, each in parameters.items()}
        known[1][key] = _fingerprint(tensors, _DTYPES.get(rounding))
    return known[1][key]


def _tensors(model: PreTrainedModel) -> dict[str, torch.Tensor]:
    """What a checkpoint of the backbone holds, by canonical name."""
    return dict(sorted({**backbone_parameters(model), **stored_buffers(model)}.items()))


def version(parameter: torch.Tensor) -> int:
    """How often others than we wrote to a tensor, as far as torch knows; -1 if it does not count."""
    return -1 if parameter.is_inference() else parameter._version - _OURS.get(parameter, 0)


def written(touched: Iterable[torch.Tensor], among: Iterable[torch.Tensor]) -> None:
    """Tell torch that we wrote to tensors: a gradient of what was computed before is then refused, not wrong.

    Args:
        touched: what we wrote to.
        among: all that is looked after, for some share a count: weights that loading split from one are views of it.
    """
    counting = [tensor for tensor in among if not tensor.is_inference()]
    before = [tensor._version for tensor in counting]
    torch.autograd.graph.increment_version([tensor for tensor in touched if not tensor.is_inference()])
    for tensor, was in zip(counting, before, strict=True):
        if tensor._version != was:
            _OURS[tensor] = _OURS.get(tensor, 0) + tensor._version - was


def forget(model: nn.Module) -> None:
    """Hash a model anew when it is next asked for: it was written to behind torch's back."""
    _KNOWN.pop(model, None)


def _as_stored(model: PreTrainedModel) -> dict[str, torch.Tensor]:
    """The backbone's weights by the names, and in the pieces, that ``save_pretrained`` gives them."""
    from transformers.core_model_loading import revert_weight_conversion

    prefix = prefix_of(model)
    own = {prefix + name: each.detach() for name, each in _tensors(model).items()}
    reverted: dict[str, torch.Tensor] = revert_weight_conversion(model, own)
    return {name.removeprefix(prefix): tensor for name, tensor in reverted.items() if name.startswith(prefix)}


def _fingerprint(tensors: Mapping[str, torch.Tensor], rounding: np.dtype[Any] | None) -> str:
    result = Fingerprint()

    def digest(name: str) -> tuple[str, ParameterSpec, str]:
        hashed, dtype = xxhash.xxh3_128(), ""
        flat = tensors[name].contiguous().view(-1)
        for start in range(0, max(flat.numel(), 1), _BLOCK):
            block = tensor_to_numpy(flat[start : start + _BLOCK].cpu().clone(), name)
            with np.errstate(over="ignore", invalid="ignore"):
                block = block if rounding is None else block.astype(rounding)
            hashed.update(np.ascontiguousarray(block).view(np.uint8).data)
            dtype = block.dtype.name
        return name, ParameterSpec(tuple(tensors[name].shape), dtype), hashed.hexdigest()

    with ThreadPoolExecutor(THREADS) as pool:
        for name, spec, found in pool.map(digest, tensors):
            result.add(name, spec, found)
    return result.hexdigest()


def _width(dtype: str) -> int:
    return _DTYPES[dtype].itemsize if dtype in _DTYPES else 8


def _main_dtype(parameters: Any) -> str:
    sizes: dict[str, int] = {}
    for parameter in parameters:
        name = str(parameter.dtype).removeprefix("torch.")
        sizes[name] = sizes.get(name, 0) + parameter.numel()
    return max(sizes, key=lambda name: sizes[name], default="")


def _main_dtype_of(item: Weighted) -> str:
    sizes: dict[str, int] = {}
    for spec in item.sft.metadata.parameters.values():
        sizes[spec.dtype] = sizes.get(spec.dtype, 0) + spec.size
    return max(sizes, key=lambda name: sizes[name], default="")
