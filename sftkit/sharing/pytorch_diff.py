"""``pytorch_diff.bin``, the file of composable-sft, the method's reference implementation, read and written.

A torch-saved dictionary. ``diffs`` (``body`` in early files) maps a parameter's full name to ``size``, ``values`` and
``index_steps``: positions in the column-major flattened parameter (first dimension fastest), the first as it is, each
other as its distance from the one before. ``abs`` (early: ``head``) maps names to whole tensors.

Imports torch, but trusts its pickles with nothing: ``weights_only=True``, and the one global that such files need
beyond tensors, numpy's integer scalar, is a stand-in of ours that makes an int. Does not cover block-sparse entries,
which replace modules of the model and are no differences.
"""

from __future__ import annotations

import io
import math
import re
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sftkit.checkpoints.checkpoint import DAMAGED_PICKLE, numpy_to_tensor, tensor_to_numpy
from sftkit.errors import FormatError
from sftkit.format.encoding import Positions, Values
from sftkit.format.sft import MOST_ROWS
from sftkit.shown import called, shown_on_a_line
from sftkit.storage.atomic import atomic_file

FILE_NAME = "pytorch_diff.bin"
#: No model has so large a parameter; and in a .sft, a bridge for every 2^32 elements between two entries takes 8 bytes.
_MOST_ELEMENTS = 1 << 40
#: numpy's and torch's.
_MOST_DIMENSIONS = 64


@dataclass(frozen=True, slots=True)
class Entries:
    """One parameter's difference: its shape, row-major positions (int64, increasing) and values (float32, none 0)."""

    shape: tuple[int, ...]
    positions: Positions
    values: Values


@dataclass(frozen=True, slots=True)
class Components:
    """What a file holds, by the names that it uses."""

    diffs: Mapping[str, Entries]
    head: Mapping[str, NDArray[Any]]


def read_components(path: Path) -> Components:
    """Read and check a whole file.

    Raises:
        FormatError: naming the file and the tensor, if it is not of this layout or would run code.
    """
    import torch

    document = _load(path)
    diffs = _part(document, path, "diffs", "body")
    if diffs is None:
        raise FormatError(f"{path}: has neither diffs nor body, so it is no {FILE_NAME} of composable-sft.")
    blocks = document.get("block_sparses")
    if isinstance(blocks, torch.Tensor) or blocks:
        raise FormatError(f"{path}: holds block-sparse modules, which are no differences and cannot be converted.")
    head = _part(document, path, "abs", "head") or {}
    return Components(
        {name: _entries(value, f"{path}: {called(name)}") for name, value in diffs.items()},
        {name: _whole(value, f"{path}: {called(name)}") for name, value in head.items()},
    )


def write_components(path: Path, components: Components, *, overwrite: bool = False) -> None:
    """Write a file that the reference implementation loads, also with torch's restricted unpickler.

    Raises:
        OutputExistsError: if ``path`` exists and ``overwrite`` is false.
    """
    import torch

    document = {
        "diffs": {name: _encoded(entries) for name, entries in components.diffs.items()},
        "abs": {name: numpy_to_tensor(array) for name, array in components.head.items()},
        "block_sparses": {},
    }
    with atomic_file(path, overwrite=overwrite) as part:
        data = io.BytesIO()  # torch hides what the system says of a full disk
        torch.save(document, data)
        part.write_bytes(data.getbuffer())


class _Int64:
    """Stands in for ``numpy.dtype`` while a file is read; accepts 64-bit integers only."""

    def __init__(self, code: Any = None, *_: Any) -> None:
        if code not in ("i8", b"i8"):
            raise FormatError(f"a numpy scalar of dtype {code!r} where an int64 is expected")
        self.order = "little"

    def __setstate__(self, state: Any) -> None:
        self.order = "big" if isinstance(state, tuple) and state[1:2] in ((">",), (b">",)) else "little"


def _scalar(dtype: Any, data: Any) -> int:
    """Stands in for ``numpy.core.multiarray.scalar``."""
    if not isinstance(dtype, _Int64) or not isinstance(data, bytes) or len(data) != 8:
        raise FormatError("a malformed numpy scalar")
    return int.from_bytes(data, "big" if dtype.order == "big" else "little", signed=True)


def _load(path: Path) -> dict[Any, Any]:
    import pickle

    import torch

    # numpy 2 renamed numpy.core: a file holds the name that its writer's numpy had
    stand_ins: list[Any] = [(_scalar, f"numpy.{core}.multiarray.scalar") for core in ("core", "_core")]
    try:
        globals_ = torch.serialization.safe_globals([*stand_ins, (_Int64, "numpy.dtype")])
        with warnings.catch_warnings(), globals_, _whole_indices():
            warnings.simplefilter("ignore")  # of layouts that are refused here anyhow
            with torch.sparse.check_sparse_tensor_invariants(True):  # no index outside its tensor
                document = torch.load(path, map_location="cpu", weights_only=True)
    except FormatError as error:
        raise FormatError(f"{path}: {error}. The file is damaged.") from None
    except FileNotFoundError:
        raise FormatError(f"{path}: no such file.") from None
    except OSError as error:
        raise FormatError(f"{path}: torch cannot read it ({error.strerror or error}). Was it cut short?") from None
    except (pickle.UnpicklingError, *DAMAGED_PICKLE) as error:
        raise FormatError(f"{path}: {_why(error)}.") from None
    if not isinstance(document, dict):
        raise FormatError(f"{path}: holds a {type(document).__name__}, not a dictionary of differences.")
    return document


def _whole_indices() -> Any:
    """A context in which no sparse tensor is made of fractions as indices, which torch cuts to whole numbers."""
    import torch
    from torch.overrides import TorchFunctionMode

    class Watch(TorchFunctionMode):
        def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            if func is torch.sparse_coo_tensor and (args[0].dtype.is_floating_point or args[0].dtype.is_complex):
                raise FormatError("a sparse tensor has indices that are no whole numbers")
            return func(*args, **(kwargs or {}))

    return Watch()


def _why(error: Exception) -> str:
    asked = re.search(r"GLOBAL ([\w.]+)", str(error))
    if asked:
        return f"refused, because its pickle asks for {asked[1]}, which no SFT needs and which may run code"
    first = next(iter(str(error).removeprefix("Weights only load failed. ").splitlines()), "")
    short = re.split(r"\. | - got |, but ", first)[0][:200]
    return f"torch cannot read it as plain weights ({short or type(error).__name__})"


def _part(document: Mapping[Any, Any], path: Path, *keys: str) -> dict[str, Any] | None:
    """What is under the key of today or that of early files, whichever holds something; None if neither is there."""
    parts = {key: document[key] for key in keys if document.get(key) is not None}
    for key, part in parts.items():
        if not isinstance(part, dict) or not all(isinstance(name, str) for name in part):
            raise FormatError(f"{path}: {key} is not a dictionary of tensors by name. The file is damaged.")
    filled = [part for part in parts.values() if part]
    if len(filled) > 1:
        raise FormatError(f"{path}: holds both {' and '.join(parts)}, of which a file has one. The file is damaged.")
    return filled[0] if filled else next(iter(parts.values()), None)


def _entries(value: Any, where: str) -> Entries:
    import torch

    if isinstance(value, torch.Tensor):  # early files hold the tensors as they are
        return _from_tensor(value, where)
    if not isinstance(value, dict) or not value.keys() >= {"size", "index_steps", "values"}:
        raise FormatError(f"{where} has no size, index_steps and values. The file is damaged.")
    shape = _shape(value["size"], where)
    at, values = _positions(value["index_steps"], math.prod(shape), where), _values(value["values"], where)
    if at.shape != values.shape:
        raise FormatError(f"{where} has {len(at):,} index_steps and values of shape {list(values.shape)}.")
    return _row_major(shape, at, values)


def _shape(size: Any, where: str) -> tuple[int, ...]:
    sizes = tuple(size) if isinstance(size, (tuple, list)) else (None,)
    if len(sizes) > _MOST_DIMENSIONS or not all(type(each) is int and each >= 0 for each in sizes):
        raise FormatError(f"{where} has a size of {shown_on_a_line(repr(size), 100)}. The file is damaged.")
    if math.prod(each or 1 for each in sizes) > _MOST_ELEMENTS or max(sizes[:1], default=0) > MOST_ROWS:
        raise FormatError(f"{where} has a size of {shown_on_a_line(repr(sizes), 100)}, larger than any .sft holds.")
    return sizes


def _positions(steps: Any, size: int, where: str) -> Positions:
    """Column-major positions, int64 whatever the parameter's size."""
    import torch

    try:
        gaps = tensor_to_numpy(steps, where) if isinstance(steps, torch.Tensor) else np.asarray(steps)
    except (ValueError, OverflowError, TypeError, RuntimeError):
        gaps = np.zeros((0, 0))
    if gaps.shape == (0,):
        return np.zeros(0, np.int64)
    if gaps.ndim != 1 or gaps.dtype.kind != "i":
        raise FormatError(f"{where}: index_steps are no list of integers. The file is damaged.")
    wide = gaps.astype(np.int64, copy=False)
    if int(wide[0]) < 0 or (len(wide) > 1 and int(wide[1:].min()) < 1) or int(wide.max()) >= max(size, 1):
        raise FormatError(f"{where}: index_steps lead backwards or outside its {size:,} elements. The file is damaged.")
    if float(wide.sum(dtype=np.float64)) >= 2**62:
        raise FormatError(f"{where}: index_steps lead outside its {size:,} elements. The file is damaged.")
    at: Positions = np.cumsum(wide)
    if int(at[-1]) >= size:
        raise FormatError(f"{where}: index_steps reach {int(at[-1]):,} of its {size:,} elements. The file is damaged.")
    return at


def _values(tensor: Any, where: str) -> Values:
    array = _whole(tensor, where)
    with np.errstate(over="ignore"):
        values: Values = array.astype(np.float32)
    if not np.isfinite(values).all():
        raise FormatError(f"{where}: a value is not finite. The file is damaged, or the training diverged.")
    return values


def _row_major(shape: tuple[int, ...], at: Positions, values: Values) -> Entries:
    """Column-major positions turned into row-major ones, in order, without entries of 0."""
    if len(shape) > 1 and len(at):
        at = np.ravel_multi_index(np.unravel_index(at, shape, order="F"), shape).astype(np.int64, copy=False)
        order = np.argsort(at)
        at, values = at[order], values[order]
    real = values != 0
    return Entries(shape, at[real], values[real])


def _from_tensor(tensor: Any, where: str) -> Entries:
    if tensor.is_sparse:
        _whole(tensor.detach()._values(), where)  # of a dtype that torch can sum
        if tensor.dense_dim():
            raise FormatError(f"{where}: a sparse tensor with dense dimensions. The file is damaged.")
        shape, tensor = _shape(tuple(tensor.shape), where), tensor.detach().coalesce()
        indices = tensor.indices().numpy()
        at = np.ravel_multi_index(tuple(indices), shape) if len(shape) else np.zeros(indices.shape[1], np.int64)
        if (at[1:] <= at[:-1]).any():
            raise FormatError(f"{where}: a sparse tensor whose indices do not increase. The file is damaged.")
        values = _values(tensor.values(), where)
        return Entries(shape, at[values != 0].astype(np.int64), values[values != 0])
    values = _values(tensor, where).reshape(-1)
    at = np.flatnonzero(values)
    return Entries(_shape(tuple(tensor.shape), where), at.astype(np.int64), values[at])


def _whole(tensor: Any, where: str) -> NDArray[Any]:
    import torch

    if not isinstance(tensor, torch.Tensor):
        raise FormatError(f"{where}: a {type(tensor).__name__} where a tensor is expected. The file is damaged.")
    if not tensor.dtype.is_floating_point:
        raise FormatError(f"{where}: values of {tensor.dtype}, which are no floating-point numbers.")
    return tensor_to_numpy(tensor, where)


def _encoded(entries: Entries) -> dict[str, Any]:
    import torch

    at, values = entries.positions, entries.values
    if len(entries.shape) > 1 and len(at):
        columns = np.ravel_multi_index(np.unravel_index(at, entries.shape), entries.shape, order="F")
        order = np.argsort(columns)
        at, values = columns[order].astype(np.int64), values[order]
    steps = np.diff(at, prepend=np.int64(0)) if len(at) else at
    # plain ints throughout: the reference leaves a numpy scalar in front, which its own loader then refuses
    return {"size": torch.Size(entries.shape), "index_steps": steps.tolist(), "values": numpy_to_tensor(values)}
