"""``.sft`` files: read lazily or whole, written whole or not at all.

Everything that a file claims is checked before it is believed: see the format page for the list. The two ways to read:
:class:`SftFile` decodes one parameter at a time, :func:`read` gives the :class:`~sftkit.format.sft.SFT` in memory.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import xxhash
from numpy.typing import NDArray

from sftkit.errors import FormatError
from sftkit.format.encoding import GAP_DTYPES, Positions, Values, decode, encode
from sftkit.format.metadata import Metadata
from sftkit.format.sft import SFT, Difference, check_rows, to_csr
from sftkit.storage.atomic import atomic_file
from sftkit.storage.dtypes import CODES, FLOATS, VALUE_DTYPES
from sftkit.storage.places import at_home
from sftkit.storage.safefile import Planned, SafeReader, SafeWriter, canonical_order, header_of, planned

_DIFF, _GAPS, _VALUES, _HEAD = "diff/", "/gaps", "/values", "head/"
_NAMELESS = ("diff/gaps", "diff//gaps", "diff/values", "diff//values")


class SftFile:
    """An open ``.sft`` file; satisfies :class:`~sftkit.format.sft.Difference`.

    Opening checks the header, ``entries`` the tensor that it decodes, ``check_count`` K once all are read.
    """

    def __init__(self, path: str | Path) -> None:
        """Open and check the header.

        Raises:
            FormatError: if it is not an SFT of a version known here, or its header contradicts itself.
            FileNotFoundError: if there is no such file.
        """
        self.path = at_home(path)
        if self.path.is_dir():
            raise FormatError(f"{path}: a directory, not an SFT file.")
        if not self.path.exists():
            raise FormatError(f"{path}: no such file.")
        if not self.path.is_file():
            raise FormatError(f"{path}: not a file but a pipe or a device.")  # opening one may wait forever
        self._reader = SafeReader(self.path)
        self.metadata = Metadata.from_strings(self._reader.metadata, str(path))
        self.names = tuple(sorted(key[len(_DIFF) : -len(_GAPS)] for key in self._reader if _is_part(key, _GAPS)))
        for name in self.names:
            self._check_header(name)
        for key in self._reader:
            if key in _NAMELESS:
                raise FormatError(f"{path}: {key} names no parameter. The file is damaged.")
            if _is_part(key, _VALUES) and _gaps(key[len(_DIFF) : -len(_VALUES)]) not in self._reader:
                raise FormatError(f"{path}: {key} has no gaps beside it. The file is damaged.")

    def _check_header(self, name: str) -> None:
        gaps, values = self._reader.specs[_gaps(name)], self._reader.specs.get(_values(name))
        if name not in self.metadata.parameters:
            raise FormatError(f"{self.path}: diff/{name} is not among the metadata's parameters. The file is damaged.")
        if values is None:
            raise FormatError(f"{self.path}: diff/{name}/values is missing. The file is damaged.")
        if len(gaps.shape) != 1 or gaps.shape != values.shape:
            raise FormatError(
                f"{self.path}: diff/{name} has gaps of shape {list(gaps.shape)} and values of shape "
                f"{list(values.shape)}; both must be [n]. The file is damaged."
            )
        if CODES.get(gaps.code) not in GAP_DTYPES or CODES.get(values.code) not in VALUE_DTYPES.values():
            raise FormatError(
                f"{self.path}: diff/{name} has gaps of {gaps.code} and values of {values.code}; "
                "known are U8, U16, U32 and F32, BF16, F16."
            )

    @cached_property
    def digest(self) -> str:
        """xxh3-128 of the file's bytes, in hexadecimal."""
        return file_digest(self.path)

    @cached_property
    def head(self) -> Mapping[str, NDArray[Any]]:
        """The head's tensors, read when they are first asked for.

        Raises:
            FormatError: if one of them is not finite, or of a dtype that numpy lacks.
        """
        tensors = {key: self._reader.read(key) for key in self._reader if key.startswith(_HEAD)}
        for key, array in tensors.items():
            if array.dtype in FLOATS and not np.isfinite(array).all():
                raise FormatError(f"{self.path}: {key}: a value is not finite. The file is damaged.")
        return {key[len(_HEAD) :]: array for key, array in tensors.items()}

    @property
    def stored_values(self) -> str:
        """How the values are stored: "f32", "bf16", "f16", or several joined by "+"."""
        dtypes = {self._reader.specs[_values(name)].dtype for name in self.names}
        return "+".join(key for key, dtype in VALUE_DTYPES.items() if dtype in dtypes) or "f32"

    def entries(self, name: str) -> tuple[Positions, Values]:
        """Positions and values of one parameter, checked, bridge entries dropped.

        Raises:
            FormatError: as ``encoding.decode``.
        """
        gaps, values = self.stored(name, 0, self.stored_length(name))
        try:
            return decode(gaps, values, self.metadata.parameters[name].size, name)
        except FormatError as error:
            raise FormatError(f"{self.path}: {error}") from None

    def stored_length(self, name: str) -> int:
        """Number of gaps that are stored for one parameter, bridges counted."""
        return self._reader.specs[_gaps(name)].size

    def stored(self, name: str, begin: int, end: int) -> tuple[NDArray[Any], NDArray[Any]]:
        """Some of one parameter's gaps and values as they are stored, unchecked."""
        return self._reader.piece(_gaps(name), begin, end), self._reader.piece(_values(name), begin, end)

    def check_count(self, entries: int) -> None:
        """Compare the number of entries that were read with what the metadata promises.

        Raises:
            FormatError: if they differ.
        """
        if entries != self.metadata.k:
            raise FormatError(
                f"{self.path}: {entries:,} entries, but the metadata says k = {self.metadata.k:,}. The file is damaged."
            )


def read(path: str | Path) -> SFT:
    """Read a whole ``.sft`` file into memory.

    Raises:
        FormatError: if anything in it is not what the format asks for.
    """
    file = SftFile(path)
    stored = sum(file.stored_length(name) for name in file.names)
    check_rows((file.metadata.parameters[name] for name in file.names), stored, str(path))
    parameters = {}
    for name in file.names:
        positions, values = file.entries(name)
        parameters[name] = to_csr(positions, values, file.metadata.parameters[name], f"{path}: {name}")
    sft = SFT(parameters, file.metadata, file.head)
    file.check_count(sft.k)
    return sft


def write(path: str | Path, sft: Difference, *, values: str = "f32", overwrite: bool = False) -> Path:
    """Write an SFT to a file.

    Args:
        path: where; nothing appears there before it is whole.
        sft: what.
        values: "f32", "bf16" or "f16"; entries that round to 0 are dropped, and K is counted after that.
        overwrite: replace an existing file.

    Raises:
        OutputExistsError: if ``path`` exists and ``overwrite`` is false.
        FormatError: if a value does not fit the chosen dtype.
    """
    path = at_home(path)
    tensors, metadata = _tensors(sft, values)
    with atomic_file(path, overwrite=overwrite) as part:
        _write(part, tensors, metadata)
    return path


def file_digest(path: Path) -> str:
    """xxh3-128 of a file's bytes, in hexadecimal."""
    digest = xxhash.xxh3_128()
    with path.open("rb") as file:
        while piece := file.read(1 << 22):
            digest.update(piece)
    return digest.hexdigest()


def digest_of(sft: Difference) -> str:
    """xxh3-128 of the f32 file that an SFT in memory would become."""
    tensors, metadata = _tensors(sft, "f32")
    plans = canonical_order(planned(name, array) for name, array in tensors.items())
    digest = xxhash.xxh3_128(header_of(plans, metadata.to_strings()))
    for plan in plans:
        digest.update(np.ascontiguousarray(tensors[plan.name]).reshape(-1).view(np.uint8).data)
    return digest.hexdigest()


def _tensors(sft: Difference, stored: str) -> tuple[dict[str, NDArray[Any]], Metadata]:
    from dataclasses import replace

    from sftkit.format.sft import density

    if stored not in VALUE_DTYPES:
        raise FormatError(f"values of {stored}: known are {', '.join(VALUE_DTYPES)}.")
    tensors: dict[str, NDArray[Any]] = {}
    k = 0
    if isinstance(sft, SFT):
        sft.check_shapes()
    for name, array in sft.head.items():
        _check_head(name, array)
    for name in sft.names:
        positions, values = sft.entries(name)
        _check(name, positions, values, sft)
        rounded = _round(values, stored, name)
        real = rounded != 0
        if not real.all():
            positions, rounded = positions[real], rounded[real]
        if len(positions):
            k += len(positions)
            tensors[_gaps(name)], tensors[_values(name)] = encode(positions, rounded)
    tensors |= {_HEAD + name: array for name, array in sft.head.items()}
    return tensors, replace(sft.metadata, k=k, density=density(k, sft.metadata.parameters.values()))


def _check_head(name: str, array: Any) -> None:
    if not isinstance(name, str) or not isinstance(array, np.ndarray) or array.dtype not in CODES.values():
        kind = array.dtype if isinstance(array, np.ndarray) else type(array).__name__
        raise FormatError(f"{name}: a tensor of the head is {kind}; known are numpy arrays of {', '.join(CODES)}.")
    if array.dtype in FLOATS and not np.isfinite(array).all():
        raise FormatError(f"{name}: a value of the head is not finite.", tensor=name)


def _check(name: str, positions: Positions, values: Values, sft: Difference) -> None:
    """Refuse what :func:`read` would refuse."""
    spec = sft.metadata.parameters.get(name)
    if spec is None:
        raise FormatError(f"{name} has entries, but is not among the metadata's parameters.", tensor=name)
    if len(positions) and int(positions[-1]) >= spec.size:
        raise FormatError(f"{name}: an entry at {int(positions[-1]):,}, of {spec.size:,} elements.")
    if not np.isfinite(values).all():
        raise FormatError(f"{name}: a value is not finite.", tensor=name)


def _round(values: Values, stored: str, name: str) -> NDArray[Any]:
    dtype = VALUE_DTYPES[stored]
    if values.dtype == dtype:
        return values
    with np.errstate(over="ignore"):
        rounded = values.astype(dtype)
    if not np.isfinite(rounded.astype(np.float32)).all():
        raise FormatError(
            f"{name}: a value of {np.abs(values).max():.4g} does not fit {stored}. Store it as f32 or bf16."
        )
    return rounded


def _write(path: Path, tensors: Mapping[str, NDArray[Any]], metadata: Metadata) -> None:
    plans: list[Planned] = canonical_order(planned(name, array) for name, array in tensors.items())
    with SafeWriter(path, plans, metadata.to_strings()) as writer:
        for plan in plans:
            writer.write(plan.name, tensors[plan.name])


def _is_part(key: str, ending: str) -> bool:
    """Whether a tensor is some parameter's gaps, or values."""
    return key.startswith(_DIFF) and key.endswith(ending) and len(key) > len(_DIFF) + len(ending)


def _gaps(name: str) -> str:
    return f"{_DIFF}{name}{_GAPS}"


def _values(name: str) -> str:
    return f"{_DIFF}{name}{_VALUES}"
