"""A model's weights, written while they are read: block by block, each block read, added to, hashed and written once.

Memory is one block and the SFTs' entries on the parameter at hand, whatever the size of the model or its shards. Sums
are taken in float64 and rounded once to the parameter's dtype; what is not changed is copied to the byte.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path
from typing import Any

import numpy as np
import xxhash
from numpy.typing import NDArray

from sftkit.errors import MismatchError
from sftkit.format.checkpoint import SAFETENSORS, SAFETENSORS_INDEX, Checkpoint
from sftkit.format.fingerprint import Fingerprint, digest
from sftkit.format.metadata import ParameterSpec
from sftkit.format.safefile import Planned, SafeWriter, canonical_order
from sftkit.operations.arithmetic import WINDOW, Merged, Merger
from sftkit.operations.layout import Layout, OutputTensor

#: transformers' default.
SHARD_SIZE = 50 * 10**9
#: Bytes of an unchanged tensor that are copied at a time.
_COPY = 1 << 20


@dataclass(frozen=True)
class Streamed:
    """What writing a model came to.

    Attributes:
        entries: positions changed.
        overlap: positions on which more than one SFT has an entry.
        sign_conflicts: those of them where the signs differ.
        base: fingerprint of the base that was read.
        result: fingerprint of what was written.
        lost: positions whose sum was rounded away entirely; only measured, 0 where it was not.
        rounding: Σ|what rounding took or added| / Σ|φ|; only measured.
    """

    entries: int
    overlap: int
    sign_conflicts: int
    base: str
    result: str
    lost: int = 0
    rounding: float = 0.0


class _Run:
    """Counts and hashes of one pass over a model."""

    def __init__(self, base: Checkpoint, merger: Merger, *, measuring: bool = False) -> None:
        self.base, self.merger, self._measuring = base, merger, measuring
        self.lost, self.error, self.mass = 0, 0.0, 0.0
        self.entries = self.overlap = self.conflicts = 0
        self.before, self.after = Fingerprint(), Fingerprint()
        self._buffers = cycle([np.empty(WINDOW * 8, np.uint8) for _ in range(2)])
        self._changing = frozenset(merger.names)

    def blocks(self, tensor: OutputTensor) -> Iterator[NDArray[np.uint8]]:
        """The bytes of one tensor of the result, a block at a time; each is overwritten by the next but one."""
        if tensor.array is not None:
            yield np.ascontiguousarray(tensor.array).reshape(-1).view(np.uint8)
        elif tensor.name is None:
            assert tensor.source is not None
            yield from self._copy(tensor.source, tensor.plan)
        else:
            yield from self._parameter(tensor, tensor.name)

    def finish(self, written: Sequence[OutputTensor]) -> Streamed:
        """Hash what is part of the base's fingerprint but not of the result, and sum up."""
        done = {tensor.name for tensor in written}
        for name, spec in self.base.parameters.items():
            if name not in done:
                self.before.add(name, spec, digest(self.base, name))
        return Streamed(
            self.entries, self.overlap, self.conflicts, self.before.hexdigest(), self.after.hexdigest(),
            self.lost, self.error / self.mass if self.mass else 0.0,
        )  # fmt: skip

    def _copy(self, key: str, plan: Planned) -> Iterator[NDArray[np.uint8]]:
        for start in range(0, plan.nbytes, _COPY):
            block = next(self._buffers)[: min(_COPY, plan.nbytes - start)]
            self.base.read_into(key, start, block)
            yield block

    def _parameter(self, tensor: OutputTensor, name: str) -> Iterator[NDArray[np.uint8]]:
        assert tensor.source is not None
        spec = self.base.parameters[name]
        dtype = self.base.spec(tensor.source).dtype
        before, after = xxhash.xxh3_128(), xxhash.xxh3_128()
        for window in self._windows(name, spec.size):
            block = next(self._buffers)[: (window.stop - window.start) * dtype.itemsize]
            self.base.read_into(tensor.source, window.start * dtype.itemsize, block)
            before.update(block.data)
            self._add(block.view(dtype), window, name)
            after.update(block.data)
            yield block
        self._hashed(name, spec, before.hexdigest(), after.hexdigest())

    def _windows(self, name: str, size: int) -> Iterator[Merged]:
        if name in self._changing:
            yield from self.merger.windows(name, size)
            return
        nothing, zeros = np.zeros(0, np.int64), np.zeros(0)
        for start in range(0, size, WINDOW):
            yield Merged(nothing, zeros, 0, 0, start, min(start + WINDOW, size))

    def _add(self, block: NDArray[Any], window: Merged, name: str) -> None:
        self.entries += len(window.positions)
        self.overlap += window.overlap
        self.conflicts += window.sign_conflicts
        if not len(window.positions):
            return
        at = window.positions - window.start
        with np.errstate(over="ignore", invalid="ignore"):
            moved = (block[at].astype(np.float64) + window.values).astype(block.dtype)
        if not np.isfinite(moved).all() and np.isfinite(block[at]).all():
            raise MismatchError(f"{name}: a sum does not fit {block.dtype.name}. Give the SFTs smaller weights.")
        if self._measuring:
            before = block[at].astype(np.float64)
            gained = moved.astype(np.float64) - before
            self.lost += int(np.count_nonzero(gained == 0))
            self.error += float(np.abs(gained - window.values).sum())
            self.mass += float(np.abs(window.values).sum())
        block[at] = moved

    def _hashed(self, name: str, spec: ParameterSpec, before: str, after: str) -> None:
        self.before.add(name, spec, before)
        self.after.add(name, spec, after)


def write_model(
    folder: Path, base: Checkpoint, layout: Layout, merger: Merger, *, shard_size: int = SHARD_SIZE
) -> Streamed:
    """Write a model's weights as ``save_pretrained`` would: one file, or shards and their index.

    Args:
        folder: where; files appear there under their final names, so it should be a temporary one.
        base: what the differences are added to.
        layout: the tensors of the result.
        merger: the differences.
        shard_size: most bytes a file.
    """
    run = _Run(base, merger)
    shards = _shards(layout.tensors, shard_size)
    names = _file_names(len(shards))
    with ThreadPoolExecutor(1) as pool:
        for name, shard in zip(names, shards, strict=True):
            by_key = {tensor.plan.name: tensor for tensor in shard}
            plans = canonical_order(tensor.plan for tensor in shard)
            with SafeWriter(folder / name, plans, {"format": "pt"}) as writer:
                for plan in plans:
                    writer.begin(plan.name)
                    _write_behind(writer, run.blocks(by_key[plan.name]), pool)
    if len(shards) > 1:
        _write_index(folder / SAFETENSORS_INDEX, names, shards)
    return run.finish(layout.tensors)


def _write_behind(writer: SafeWriter, blocks: Iterable[NDArray[np.uint8]], pool: ThreadPoolExecutor) -> None:
    """Write each block while the next one is made."""
    pending: Future[None] | None = None
    for block in blocks:
        if pending is not None:
            pending.result()
        pending = pool.submit(writer.append, block)
    if pending is not None:
        pending.result()


def measure(base: Checkpoint, layout: Layout, merger: Merger) -> Streamed:
    """What :func:`write_model` would come to, and what rounding would lose, without writing."""
    run = _Run(base, merger, measuring=True)
    for tensor in layout.tensors:
        for _ in run.blocks(tensor):
            pass
    return run.finish(layout.tensors)


def _shards(tensors: Sequence[OutputTensor], most: int) -> list[list[OutputTensor]]:
    """Greedily by name; a tensor larger than ``most`` gets a file of its own, as in transformers."""
    shards: list[list[OutputTensor]] = [[]]
    filled = 0
    for tensor in sorted(tensors, key=lambda tensor: tensor.plan.name):
        if shards[-1] and filled + tensor.plan.nbytes > most:
            shards.append([])
            filled = 0
        shards[-1].append(tensor)
        filled += tensor.plan.nbytes
    return shards


def _file_names(count: int) -> list[str]:
    if count == 1:
        return [SAFETENSORS]
    return [f"model-{number:05d}-of-{count:05d}.safetensors" for number in range(1, count + 1)]


def _write_index(path: Path, names: Sequence[str], shards: Sequence[Sequence[OutputTensor]]) -> None:
    places = {tensor.plan.name: name for name, shard in zip(names, shards, strict=True) for tensor in shard}
    plans = [tensor.plan for shard in shards for tensor in shard]
    metadata = {
        "total_parameters": sum(int(np.prod(plan.shape, dtype=np.int64)) for plan in plans),
        "total_size": sum(plan.nbytes for plan in plans),
    }
    document = {"metadata": metadata, "weight_map": dict(sorted(places.items()))}
    path.write_text(json.dumps(document, indent=2, sort_keys=True) + "\n", encoding="utf-8")
