"""Model directories, read tensor by tensor.

Covers safetensors (one file or shards) and ``pytorch_model.bin`` (one file or shards, ``weights_only=True``), in any
float dtype, with or without a prefix before the backbone's names. Does not cover TensorFlow or Flax weights, nor GGUF.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from sftkit.checkpoints.classes import class_facts
from sftkit.checkpoints.config import read_config, read_index
from sftkit.checkpoints.names import backbone_prefix, canonical, check_parts, heads_of, is_buffer
from sftkit.checkpoints.quantised import check_no_gguf, check_plain
from sftkit.checkpoints.ties import Ties, asks_for_ties, dropped_while_loading, find_ties
from sftkit.checkpoints.wrappers import HAVE_MODULES, check_all_wrapped, unwrapped, wrappers_of
from sftkit.errors import CheckpointError, FormatError
from sftkit.format.metadata import ParameterSpec
from sftkit.shown import brief
from sftkit.storage.dtypes import BFLOAT16, FLOAT_CODES, code_of
from sftkit.storage.safefile import SafeReader, TensorSpec

SAFETENSORS, SAFETENSORS_INDEX = "model.safetensors", "model.safetensors.index.json"
PYTORCH, PYTORCH_INDEX = "pytorch_model.bin", "pytorch_model.bin.index.json"
#: Suffixes of weights that other programs take, or that are called otherwise.
_OTHERS = (".bin", ".ckpt", ".h5", ".msgpack", ".onnx", ".ot", ".pt", ".pth", ".safetensors")

#: What torch's restricted unpickler lets out of a damaged file, beside its own error.
DAMAGED_PICKLE = (
    RuntimeError, EOFError, ValueError, TypeError, LookupError, AttributeError, AssertionError, OverflowError,
    MemoryError, struct.error,
)  # fmt: skip


class TensorReader(Protocol):
    """One file of weights."""

    specs: dict[str, TensorSpec]

    def read(self, name: str) -> NDArray[Any]:
        """The tensor; not to be written to."""
        ...

    def read_into(self, name: str, offset: int, buffer: NDArray[np.uint8]) -> None:
        """Fill ``buffer`` with the tensor's bytes from ``offset`` on."""
        ...


class Checkpoint:
    """A model directory: its config and its tensors, by their names in the file and by their canonical names.

    Attributes:
        path, config: the directory and its ``config.json``; model_type, architecture: what that says, or "".
        prefix: what is before the backbone's names, dot included.
        wrappers: pattern -> replacement of what a wrapper added to names, for whoever reads the files themselves.
        stored_output: what the files call the output matrix, where the model calls it otherwise; else "".
    """

    def __init__(self, path: str | Path) -> None:
        """Open; reads headers only.

        Raises:
            CheckpointError: if it is not a model directory, or its files contradict each other.
            FormatError: if a safetensors file in it is damaged.
        """
        self.path = Path(path)
        self.config = read_config(self.path)
        self.model_type = str(self.config.get("model_type") or "")
        self.architecture = str((self.config.get("architectures") or [""])[0])
        readers: dict[str, TensorReader] = {}
        self._in_order = tuple(_open(self.path))
        for reader in self._in_order:
            readers |= dict.fromkeys(reader.specs, reader)
        self._stored = unwrapped(readers, self.path)
        self.wrappers = wrappers_of(self._stored)
        self.stored_output = self._name_output()
        self._readers = {name: readers[key] for name, key in self._stored.items()}
        self.prefix = backbone_prefix(self.model_type, self._readers, self.architecture)
        if not self.config.get("auto_map"):  # else a Python file that comes along may name them as it likes
            if self.model_type not in HAVE_MODULES:
                check_all_wrapped(self.path, self._readers)
            check_parts(self.path, self.model_type, self._readers, self.prefix)
        check_plain(self.path, self.config, (self.spec(key) for key in self._readers if key not in self.ignored))

    @cached_property
    def keys(self) -> tuple[str, ...]:
        """Every tensor's name in the checkpoint, sorted."""
        return tuple(sorted(self._readers))

    def _name_output(self) -> str:
        """Call the output matrix what the model calls it where transformers stores it by another name."""
        stored, loaded = map(class_facts(self.model_type, self.architecture).get, ("stored_output", "output"))
        if stored not in self._stored or loaded is None or loaded in self._stored:
            return ""
        self._stored[loaded] = self._stored.pop(stored)
        return str(stored)

    @cached_property
    def ignored(self) -> frozenset[str]:
        """Names of what is no weight of the model: buffers, and what transformers drops while loading."""
        dropped = dropped_while_loading(self.model_type, self.architecture, self.config)
        return frozenset(key for key in self._readers if is_buffer(key, self.spec(key).shape) or dropped(key))

    @cached_property
    def tied(self) -> bool:
        """Whether the config asks for ties, where tensors that are stored do not say otherwise."""
        return asks_for_ties(self.model_type, self.config)

    @cached_property
    def _ties(self) -> Ties:
        return find_ties(self) if self.tied else Ties({}, {})

    @property
    def copies(self) -> Mapping[str, str]:
        """Tensor -> the one that it is tied to and a copy of, to the byte. Reads what is stored twice."""
        return self._ties.copies

    @cached_property
    def names(self) -> Mapping[str, str]:
        """Key -> canonical name, for everything that is backbone, whatever its dtype; copies and buffers left out.

        Where of two tied tensors only the second is stored, it goes by the first one's name.
        """
        heads = heads_of(self.model_type)
        pairs = ((key, canonical(self._ties.stands_for.get(key, key), self.prefix, heads)) for key in self.keys)
        return {key: name for key, name in pairs if name and key not in self.ignored and key not in self.copies}

    @cached_property
    def heads(self) -> tuple[str, ...]:
        """Keys of everything outside the backbone; copies and buffers left out."""
        inside = {*self.names, *self.ignored, *self.copies}
        return tuple(key for key in self.keys if key not in inside)

    @cached_property
    def backbone(self) -> Mapping[str, str]:
        """Canonical name -> key, for every parameter of the backbone (buffers and copies left out), sorted."""
        pairs = sorted((name, key) for key, name in self.names.items())
        return {name: key for name, key in pairs if self.spec(key).code in FLOAT_CODES}

    @cached_property
    def parameters(self) -> Mapping[str, ParameterSpec]:
        """Canonical name -> shape and dtype, for every parameter of the backbone."""
        specs = ((name, self.spec(key)) for name, key in self.backbone.items())
        return {name: ParameterSpec(spec.shape, spec.dtype.name) for name, spec in specs}

    def spec(self, key: str) -> TensorSpec:
        """Shape and dtype of one tensor."""
        return self._readers[key].specs[self._stored[key]]

    @cached_property
    def shards(self) -> Mapping[str, int]:
        """Key -> the number of the file that it is in, from 0."""
        numbers = {id(reader): number for number, reader in enumerate(self._in_order)}
        return {key: numbers[id(reader)] for key, reader in self._readers.items()}

    def read(self, key: str) -> NDArray[Any]:
        """One tensor by its name in the checkpoint, in its own dtype; not to be written to."""
        return self._readers[key].read(self._stored[key])

    def read_into(self, key: str, offset: int, buffer: NDArray[np.uint8]) -> None:
        """Fill ``buffer`` (u8 ``[n]``) with a tensor's bytes from ``offset`` on."""
        self._readers[key].read_into(self._stored[key], offset, buffer)

    def blocks(
        self, key: str, most: int, begin: int = 0, end: int | None = None
    ) -> Iterator[tuple[int, NDArray[np.uint8]]]:
        """A tensor's bytes between two places, at most so many at a time, each with its place.

        A block is overwritten by the next, and may be written to.
        """
        spec = self.spec(key)
        end = spec.end - spec.begin if end is None else end
        buffer = np.empty(min(most, max(end - begin, 0)), np.uint8)
        for start in range(begin, end, most):
            block = buffer[: end - start]
            self.read_into(key, start, block)
            yield start, block

    @property
    def dtype(self) -> str:
        """The dtype of most of the backbone's elements, such as "float32"; "" for an empty backbone."""
        sizes: dict[str, int] = {}
        for spec in self.parameters.values():
            sizes[spec.dtype] = sizes.get(spec.dtype, 0) + spec.size
        return max(sizes, key=lambda name: sizes[name], default="")


def _open(path: Path) -> Iterator[TensorReader]:
    if (path / SAFETENSORS).is_file():
        yield SafeReader(path / SAFETENSORS)
    elif (path / SAFETENSORS_INDEX).is_file():
        for name in read_index(path / SAFETENSORS_INDEX):
            yield SafeReader(path / name)
    elif (path / PYTORCH).is_file():
        yield TorchReader(path / PYTORCH)
    elif (path / PYTORCH_INDEX).is_file():
        for name in read_index(path / PYTORCH_INDEX):
            yield TorchReader(path / name)
    else:
        check_no_gguf(path)
        others = sorted(each.name for each in path.iterdir() if each.suffix in _OTHERS)
        raise CheckpointError(
            f"{path}: holds no weights (neither {SAFETENSORS} nor {PYTORCH}, whole or in shards)"
            f"{f', but {brief(others[0])}, which is not read here' if others else ''}."
        )


class TorchReader:
    """A ``pytorch_model.bin``, memory-mapped by torch and shown as numpy arrays. Imports torch."""

    def __init__(self, path: Path) -> None:
        """Open with ``weights_only=True``.

        Raises:
            FormatError: if torch refuses the file.
        """
        import pickle

        import torch

        try:
            try:
                tensors = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
            except RuntimeError:  # files from before torch 1.6 are no zip archives and cannot be mapped
                tensors = torch.load(path, map_location="cpu", weights_only=True)
        except (pickle.UnpicklingError, *DAMAGED_PICKLE) as error:
            first = next(iter(str(error).splitlines()), type(error).__name__)
            raise FormatError(f"{path}: torch cannot read it as plain weights ({first}).") from None
        if not isinstance(tensors, dict):
            raise FormatError(f"{path}: holds a {type(tensors).__name__}, not a dictionary of tensors.")
        inner = next((str(name) for name, each in tensors.items() if isinstance(each, dict) and each), "")
        if inner and not any(isinstance(each, torch.Tensor) for each in tensors.values()):
            raise FormatError(
                f"{path}: holds no tensors but a dictionary ({inner!r:.60}), as a trainer's checkpoint does. Save the "
                "model itself: model.save_pretrained(…)"
            )
        for name, each in tensors.items():
            beside = isinstance(name, str) and ("." not in name or name.endswith("_extra_state"))  # no weight's name
            if not beside and not (isinstance(name, str) and isinstance(each, torch.Tensor)):
                raise FormatError(f"{path}: {name!r:.80} is a {type(each).__name__}, not a tensor with a name.")
        self._arrays = {
            name: tensor_to_numpy(tensor, f"{path}: {name}")
            for name, tensor in tensors.items()
            if isinstance(tensor, torch.Tensor)
        }
        self.specs = {
            name: TensorSpec(name, code_of(array.dtype), array.shape, 0, math.prod(array.shape) * array.itemsize)
            for name, array in self._arrays.items()
        }

    def read(self, name: str) -> NDArray[Any]:
        """The tensor, read-only by convention."""
        return self._arrays[name]

    def read_into(self, name: str, offset: int, buffer: NDArray[np.uint8]) -> None:
        """Fill ``buffer`` with the tensor's bytes from ``offset`` on."""
        data = self._arrays[name].reshape(-1).view(np.uint8)
        buffer[:] = data[offset : offset + len(buffer)]


def tensor_to_numpy(tensor: Any, where: str) -> NDArray[Any]:
    """A torch tensor as a numpy array on the same memory, where it is contiguous.

    Raises:
        FormatError: if the tensor is sparse or nested, on no processor, or claims more elements than its storage holds.
    """
    import torch

    if tensor.is_nested or tensor.layout != torch.strided or tensor.device.type != "cpu":
        kind = f"{'nested ' * tensor.is_nested}tensor of layout {tensor.layout} on {tensor.device}"
        raise FormatError(f"{where}: a {kind}, not a plain one.")
    if tensor.numel() * tensor.itemsize > tensor.untyped_storage().nbytes():  # one number, said to be repeated
        raise FormatError(f"{where}: {tensor.numel():,} elements, more than are stored. The file is damaged.")
    tensor = tensor.detach().contiguous()
    if tensor.dtype == torch.bfloat16:
        array: NDArray[Any] = tensor.view(torch.int16).numpy().view(BFLOAT16)
        return array
    try:
        result: NDArray[Any] = tensor.numpy()
        code_of(result.dtype)
    except (TypeError, KeyError):
        raise FormatError(f"{where}: dtype {str(tensor.dtype).removeprefix('torch.')} is not supported.") from None
    return result


def numpy_to_tensor(array: NDArray[Any]) -> Any:
    """The inverse of :func:`tensor_to_numpy`, on memory of its own."""
    import torch

    own = np.ascontiguousarray(array).reshape(array.shape).copy()
    return torch.from_numpy(own.view(np.int16)).view(torch.bfloat16) if own.dtype == BFLOAT16 else torch.from_numpy(own)
