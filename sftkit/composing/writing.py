"""A model's weights, written while they are read: block by block, each block read, added to, hashed and written once.

A few tensors are on their way at a time, each on a thread of its own. Memory is a block and a stretch of the SFTs'
entries for each, whatever the model's size. Sums are rounded once, from float64; what is not changed is copied.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
import xxhash
from numpy.typing import NDArray

from sftkit.algebra.arithmetic import WINDOW, Merger, added
from sftkit.algebra.window import Merged
from sftkit.checkpoints.checkpoint import SAFETENSORS_INDEX, Checkpoint
from sftkit.checkpoints.fingerprint import Fingerprint, digest
from sftkit.composing.layout import Layout, OutputTensor
from sftkit.composing.shards import as_the_base, file_names, split, write_index
from sftkit.composing.turns import in_turns
from sftkit.format.metadata import ParameterSpec
from sftkit.storage.dtypes import widened
from sftkit.storage.memory import keep_freed
from sftkit.storage.safefile import SafeWriter, canonical_order

#: Takes a tensor's name in the file, a place in it in bytes, and the bytes from there on.
Put = Callable[[str, int, NDArray[np.uint8]], None]
#: Told how many bytes of how many are done, from any thread, one call at a time.
Watch = Callable[[int, int], None]
#: The smallest normal float32: what is added to weights of normal size is larger.
_LEAST = 2.0**-126
#: Bytes of a tensor that are read, changed and written at a time: a window of float32, twice as many 16-bit numbers.
_BLOCK = 4 * WINDOW


@dataclass(frozen=True)
class Streamed:
    """What writing a model came to.

    Attributes:
        entries: positions changed.
        overlap: positions on which more than one SFT has an entry.
        sign_conflicts: those of them where the signs differ.
        base: fingerprint of the base that was read.
        result: fingerprint of what was written.
        lost: positions whose sum was rounded away entirely.
        exact: whether no sum was rounded.
        rounding: Σ|what rounding took or added| / Σ|φ|; only measured.
    """

    entries: int
    overlap: int
    sign_conflicts: int
    base: str
    result: str
    lost: int = 0
    exact: bool = True
    rounding: float = 0.0


@dataclass
class _Totals:
    """Counts of a pass, or of a part of it."""

    entries: int = 0
    overlap: int = 0
    conflicts: int = 0
    lost: int = 0
    exact: bool = True
    error: float = 0.0
    mass: float = 0.0

    def add(self, part: _Totals) -> None:
        """Count a part."""
        self.entries += part.entries
        self.overlap += part.overlap
        self.conflicts += part.conflicts
        self.lost += part.lost
        self.exact &= part.exact
        self.error += part.error
        self.mass += part.mass


@dataclass(frozen=True)
class _File:
    """The tensors of one file, where their bytes go, and what to do once they are there."""

    tensors: Sequence[OutputTensor]
    put: Put
    close: Callable[[], None]


class _Run:
    """Counts and hashes of one pass over a model."""

    def __init__(self, base: Checkpoint, merger: Merger, *, measuring: bool = False) -> None:
        self.base, self.merger, self._measuring = base, merger, measuring
        self._changing = frozenset(merger.names)
        self._totals = _Totals()
        self.before, self.after = Fingerprint(), Fingerprint()

    def files(self, files: Sequence[_File]) -> None:
        """Make the tensors of each file and give their bytes away, several at a time, the largest of a file first."""
        keep_freed()
        by_size = [sorted(file.tensors, key=lambda each: (-each.plan.nbytes, each.plan.name)) for file in files]
        parts = in_turns(
            by_size,
            lambda number, tensor: self._tensor(tensor, files[number].put),
            lambda number: files[number].close(),
        )
        for part in chain.from_iterable(parts):  # in one order, for sums of floats depend on it
            self._totals.add(part)

    def finish(self, written: Sequence[OutputTensor]) -> Streamed:
        """Hash what is part of the base's fingerprint but not of the result, and sum up."""
        done = {tensor.name for tensor in written}
        for name, spec in self.base.parameters.items():
            if name not in done:
                self.before.add(name, spec, digest(self.base, name))
        total = self._totals
        return Streamed(
            total.entries, total.overlap, total.conflicts, self.before.hexdigest(), self.after.hexdigest(),
            total.lost, total.exact, total.error / total.mass if total.mass else 0.0,
        )  # fmt: skip

    def _tensor(self, tensor: OutputTensor, put: Put) -> _Totals:
        key, totals = tensor.plan.name, _Totals()
        if tensor.array is not None:
            put(key, 0, np.ascontiguousarray(tensor.array).reshape(-1).view(np.uint8))
        elif tensor.name is None:
            assert tensor.source is not None
            for start, block in self.base.blocks(tensor.source, _BLOCK):
                put(key, start, block)
        else:
            self._parameter(tensor, tensor.name, put, totals)
        return totals

    def _parameter(self, tensor: OutputTensor, name: str, put: Put, totals: _Totals) -> None:
        assert tensor.source is not None
        stored = self.base.spec(tensor.source)
        dtype, spec = stored.dtype, ParameterSpec(stored.shape, stored.dtype.name)
        before, after = xxhash.xxh3_128(), xxhash.xxh3_128()
        length = _BLOCK // dtype.itemsize
        blocks = self.base.blocks(tensor.source, length * dtype.itemsize)
        for window, (at, data) in zip(self._windows(name, spec.size, length), blocks, strict=True):
            before.update(data.data)
            self._add(data.view(dtype), window, name, totals)
            after.update(data.data)
            put(tensor.plan.name, at, data)
        if name in self.base.parameters:  # an output matrix is no part of what tells bases apart
            self.before.add(name, spec, before.hexdigest())
            self.after.add(name, spec, after.hexdigest())

    def _windows(self, name: str, size: int, length: int) -> Iterator[Merged]:
        if name in self._changing:
            yield from self.merger.windows(name, size, length)
            return
        for start in range(0, size, length):
            yield Merged(np.zeros(0, np.int64), np.zeros(0), 0, 0, start, min(start + length, size))

    def _add(self, block: NDArray[Any], window: Merged, name: str, totals: _Totals) -> None:
        totals.entries += len(window.positions)
        totals.overlap += window.overlap
        totals.conflicts += window.sign_conflicts
        if not len(window.positions):
            return
        at = window.positions - window.start
        before = block[at]
        block[at] = moved = added(before, window.values, name)
        same = np.flatnonzero(widened(moved) == widened(before))  # what never was more than a mark (UNMOVED) is no loss
        totals.lost += int(np.count_nonzero(np.abs(window.values[same]) >= _LEAST))
        if totals.exact:  # one rounded sum of a tensor says it all
            totals.exact = bool((moved.astype(np.float64) == before.astype(np.float64) + window.values).all())
        if self._measuring:
            gained = moved.astype(np.float64) - before.astype(np.float64)
            totals.error += float(np.abs(gained - window.values).sum())
            totals.mass += float(np.abs(window.values).sum())


def unwatched(done: int, total: int) -> None:
    """A :data:`Watch` that does nothing."""


def write_model(
    folder: Path,
    base: Checkpoint,
    layout: Layout,
    merger: Merger,
    *,
    shard_size: int | None = None,
    watch: Watch = unwatched,
) -> Streamed:
    """Write a model's weights as ``save_pretrained`` would: one file, or shards and their index.

    Args:
        folder: where; files appear there under their final names, so it should be a temporary one.
        base: what the differences are added to.
        layout: the tensors of the result.
        merger: the differences.
        shard_size: most bytes a file; None to split as the base is split.
        watch: told how far it is.
    """
    written, run = _Written(sum(tensor.plan.nbytes for tensor in layout.tensors), watch), _Run(base, merger)
    shards = as_the_base(layout.tensors, base) if shard_size is None else split(layout.tensors, shard_size)
    names = file_names(len(shards))
    with ExitStack() as writers:

        def file(name: str, shard: Sequence[OutputTensor]) -> _File:
            plans = canonical_order(tensor.plan for tensor in shard)
            writer = _Late(lambda: writers.enter_context(SafeWriter(folder / name, plans, {"format": "pt"})))
            return _File(shard, written.to(writer), lambda: writer().close())

        run.files([file(name, shard) for name, shard in zip(names, shards, strict=True)])
    if len(shards) > 1:
        write_index(folder / SAFETENSORS_INDEX, names, shards)
    return run.finish(layout.tensors)


class _Written:
    """Counts bytes on their way to the files."""

    def __init__(self, total: int, watch: Watch) -> None:
        self._done, self._total, self._watch, self._lock = 0, total, watch, Lock()

    def to(self, writer: _Late) -> Put:
        """A way into one file."""

        def put(name: str, start: int, data: NDArray[np.uint8]) -> None:
            writer().put(name, start, data)
            with self._lock:
                self._done += data.nbytes
                self._watch(self._done, self._total)

        return put


class _Late:
    """A file that is begun when the first of its bytes are there: a model may have more files than may be open."""

    def __init__(self, begin: Callable[[], SafeWriter]) -> None:
        self._begin, self._lock = begin, Lock()
        self._writer: SafeWriter | None = None

    def __call__(self) -> SafeWriter:
        """The file's writer."""
        with self._lock:
            if self._writer is None:
                self._writer = self._begin()
            return self._writer


def measure(base: Checkpoint, layout: Layout, merger: Merger) -> Streamed:
    """What :func:`write_model` would come to, and what rounding would lose, without writing."""
    run = _Run(base, merger, measuring=True)
    run.files([_File(layout.tensors, lambda *_: None, lambda: None)])
    return run.finish(layout.tensors)
