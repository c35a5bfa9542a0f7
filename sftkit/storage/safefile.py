"""safetensors files, read tensor by tensor or in pieces, and written piece by piece in any order.

The ``safetensors`` library validates a file's header when it is opened here; the bytes are then read by us, because the
library's numpy reader has no pieces and does not know bfloat16. They are read, not mapped: a mapped file that another
process cuts short ends the program by a signal, and its pages count as memory. The library also has no way to write a
file tensor by tensor, and its metadata order changes from run to run, so the writer is ours: the same tensors and
metadata always give the same bytes.
"""

from __future__ import annotations

import json
import os
import weakref
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from types import TracebackType
from typing import Any, BinaryIO, cast

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open

from sftkit.errors import FormatError
from sftkit.shown import brief, called
from sftkit.storage.cut import check_whole
from sftkit.storage.dtypes import CODES, code_of
from sftkit.storage.kinds import kind_of

#: Bytes after which a writer begins to flush: a disk that only starts at the end makes the user wait.
_FLUSH = 96 << 20


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """A tensor's place in a file: safetensors dtype code, shape, and byte range after the header."""

    name: str
    code: str
    shape: tuple[int, ...]
    begin: int
    end: int

    @property
    def size(self) -> int:
        """Number of elements."""
        return int(np.prod(self.shape, dtype=np.int64))

    @property
    def dtype(self) -> np.dtype[Any]:
        """Numpy dtype.

        Raises:
            FormatError: if numpy has no such dtype.
        """
        if self.code not in CODES:
            raise FormatError(f"{called(self.name)}: dtype {self.code} is not supported.")
        return CODES[self.code]


class SafeReader:
    """One open safetensors file. May be read from several threads; is closed when it is collected."""

    def __init__(self, path: Path) -> None:
        """Open and validate.

        Raises:
            FormatError: if the file is not a valid safetensors file.
            FileNotFoundError: if there is none.
        """
        self.path = path
        try:
            with safe_open(str(path), framework="np"):
                pass
        except SafetensorError as error:
            with path.open("rb") as file:
                if file.read(4) == b"GGUF":
                    raise FormatError(f"{path}: GGUF weights are not covered.") from None
            if kind := kind_of(path):
                raise FormatError(f"{path}: not a safetensors file, as models and SFTs are, but {kind}") from None
            check_whole(path)
            reason = brief(str(error).removeprefix("Error while deserializing header: "), 300)
            raise FormatError(f"{path}: not a safetensors file, as models and SFTs are ({reason}).") from error
        self._file, self._lock = path.open("rb", buffering=0), Lock()
        weakref.finalize(self, self._file.close)
        header_size = int.from_bytes(self._bytes(0, 8, "its header"), "little")
        header: dict[str, Any] = json.loads(self._bytes(8, header_size, "its header"))
        self.metadata: dict[str, str] = header.pop("__metadata__", None) or {}  # the library lets null pass
        base = 8 + header_size
        self.specs: dict[str, TensorSpec] = {
            name: TensorSpec(
                name,
                info["dtype"],
                tuple(info["shape"]),
                base + info["data_offsets"][0],
                base + info["data_offsets"][1],
            )
            for name, info in header.items()
        }

    def __contains__(self, name: str) -> bool:
        return name in self.specs

    def __iter__(self) -> Iterator[str]:
        return iter(self.specs)

    def read(self, name: str) -> NDArray[Any]:
        """The tensor, in its own dtype and shape.

        Raises:
            FormatError: if numpy has no such dtype, or the file has become shorter than its header says.
        """
        spec = self.specs[name]
        return self.piece(name, 0, spec.size).reshape(spec.shape)

    def piece(self, name: str, begin: int, end: int) -> NDArray[Any]:
        """Elements ``begin`` up to ``end``, or to the tensor's own end, of the flattened tensor.

        Raises:
            FormatError: as :meth:`read`.
        """
        spec = self.specs[name]
        if spec.code not in CODES:
            raise FormatError(f"{self.path}: {called(name)}: dtype {spec.code} is not supported.")
        array: NDArray[Any] = np.empty(max(min(end, spec.size) - begin, 0), spec.dtype)
        self.read_into(name, begin * spec.dtype.itemsize, array.view(np.uint8))
        return array

    def read_into(self, name: str, offset: int, buffer: NDArray[np.uint8]) -> None:
        """Fill ``buffer`` (u8 ``[n]``) with the tensor's bytes from ``offset`` on.

        Raises:
            FormatError: if the file has become shorter than its header says.
        """
        self._fill(buffer.data, self.specs[name].begin + offset, name)

    def _bytes(self, at: int, count: int, what: str) -> bytearray:
        data = bytearray(count)
        self._fill(memoryview(data), at, what)
        return data

    def _fill(self, view: memoryview, at: int, what: str) -> None:
        while view.nbytes:  # a read may be short
            got = self._read_some(view, at)
            if not got:
                raise FormatError(f"{self.path}: {what} ends early. Was the file changed while it was read?")
            at, view = at + got, view[got:]

    def _read_some(self, view: memoryview, at: int) -> int:
        if hasattr(os, "preadv"):
            return os.preadv(self._file.fileno(), [view], at)
        with self._lock:  # Windows
            self._file.seek(at)
            return self._file.readinto(view)


@dataclass(frozen=True, slots=True)
class Planned:
    """A tensor that will be written: name, safetensors dtype code (numpy need not know it), shape, size in bytes."""

    name: str
    code: str
    shape: tuple[int, ...]
    nbytes: int

    @property
    def width(self) -> float:
        """Bytes an element."""
        elements = int(np.prod(self.shape, dtype=np.int64))
        return self.nbytes / elements if elements else float(CODES[self.code].itemsize if self.code in CODES else 1)


def planned(name: str, array: NDArray[Any]) -> Planned:
    """The plan for writing ``array`` under ``name``."""
    return Planned(name, code_of(array.dtype), tuple(array.shape), array.nbytes)


def canonical_order(plans: Iterable[Planned]) -> list[Planned]:
    """The library's own order: wider dtypes first, so that every tensor is aligned, then by name."""
    return sorted(plans, key=lambda plan: (-plan.width, plan.name))


def header_of(plans: Iterable[Planned], metadata: Mapping[str, str]) -> bytes:
    """What a file with these tensors, in this order, begins with."""
    header: dict[str, Any] = {"__metadata__": dict(metadata)} if metadata else {}
    offset = 0
    for plan in plans:
        place = [offset, offset + plan.nbytes]
        header[plan.name] = {"dtype": plan.code, "shape": list(plan.shape), "data_offsets": place}
        offset += plan.nbytes
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text


class SafeWriter:
    """Writes a safetensors file whose tensors are announced first; then their bytes come in any order, from any thread.

    The path is written directly: callers that want "whole or not at all" pass a temporary one (see ``atomic``).
    """

    def __init__(self, path: Path, plans: Iterable[Planned], metadata: Mapping[str, str]) -> None:
        plans = list(plans)
        head, offset = header_of(plans, metadata), 0
        self._begins: dict[str, int] = {}
        for plan in plans:
            self._begins[plan.name] = offset
            offset += plan.nbytes
        self._left, self._lock = offset, Lock()
        self._unflushed, self._flusher, self._flushing = 0, ThreadPoolExecutor(1), Future[None]()
        self._flushing.set_result(None)
        self._data = len(head)
        self._path, self._file = path, cast(BinaryIO, path.open("wb", buffering=0))
        try:
            self._write(memoryview(head), 0)
        except BaseException:
            self._release()
            raise

    def put(self, name: str, start: int, data: NDArray[Any] | memoryview) -> None:
        """A piece of a tensor, from its byte ``start`` on; a contiguous array or bytes. Each byte is to come once."""
        piece = data.reshape(-1).view(np.uint8).data if isinstance(data, np.ndarray) else data
        self._write(piece, self._data + self._begins[name] + start)
        with self._lock:
            self._left -= piece.nbytes
            self._unflushed += piece.nbytes
            if self._unflushed >= _FLUSH and self._flushing.done():
                self._flush()

    def write(self, name: str, data: NDArray[Any] | memoryview) -> None:
        """A whole tensor."""
        self.put(name, 0, np.ascontiguousarray(data) if isinstance(data, np.ndarray) else data)

    def close(self) -> None:
        """Finish the file, unless that was done.

        Raises:
            ValueError: if announced bytes are missing: a bug in the caller.
        """
        if self._file.closed:
            return
        if self._left:
            raise ValueError(f"{self._left} bytes were announced but not written")
        try:
            self._flush()
            self._flushing.result()
        finally:
            self._release()

    def _flush(self) -> None:
        """Send what was written to the disk, on another thread. An error comes out of the next call, or of the last."""
        self._flushing.result()
        self._unflushed, self._flushing = 0, self._flusher.submit(self._sync)

    def _sync(self) -> None:
        try:
            os.fsync(self._file.fileno())
        except OSError as error:
            error.filename = str(self._path)
            raise

    def _release(self) -> None:
        self._flusher.shutdown()
        self._file.close()

    def _write(self, view: memoryview, at: int) -> None:
        while view.nbytes:  # a write may be short
            try:
                done = self._write_some(view, at)
            except OSError as error:
                error.filename = str(self._path)  # what the system says of a descriptor names no file
                raise
            view, at = view[done:], at + done

    def _write_some(self, view: memoryview, at: int) -> int:
        with self._lock:  # the system takes one write at a time, and would let the other threads spin until then
            if hasattr(os, "pwrite"):
                return os.pwrite(self._file.fileno(), view, at)
            self._file.seek(at)  # Windows
            return self._file.write(view)

    def __enter__(self) -> SafeWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.close()
        else:
            self._release()
