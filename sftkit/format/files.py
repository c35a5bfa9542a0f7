"""``.sft`` files, read lazily or whole.

Everything that a file claims is checked before it is believed: see the format page for the list. The two ways to read:
:class:`SftFile` decodes one parameter at a time, :func:`read` gives a :class:`~sftkit.format.sft.CsrDifference`.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sftkit.errors import FormatError
from sftkit.format.encoding import GAP_DTYPES, Positions, Values, decode
from sftkit.format.metadata import Metadata
from sftkit.format.sft import CsrDifference, check_rows, to_csr
from sftkit.format.writing import DIFF, GAPS, HEAD, VALUES, file_digest, gaps_of, values_of
from sftkit.shown import called
from sftkit.storage.dtypes import CODES, FLOATS, VALUE_DTYPES
from sftkit.storage.nearby import no_such
from sftkit.storage.places import at_home
from sftkit.storage.safefile import SafeReader

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
            raise FormatError(no_such(path))
        if not self.path.is_file():
            raise FormatError(f"{path}: not a file but a pipe or a device.")  # opening one may wait forever
        self._reader = SafeReader(self.path)
        self.metadata = Metadata.from_strings(self._reader.metadata, str(path))
        self.names = tuple(sorted(key[len(DIFF) : -len(GAPS)] for key in self._reader if _is_part(key, GAPS)))
        for name in self.names:
            self._check_header(name)
        for key in self._reader:
            if key in _NAMELESS:
                raise FormatError(f"{path}: {called(key)} names no parameter. The file is damaged.")
            if _is_part(key, VALUES) and gaps_of(key[len(DIFF) : -len(VALUES)]) not in self._reader:
                raise FormatError(f"{path}: {called(key)} has no gaps beside it. The file is damaged.")

    def _check_header(self, name: str) -> None:
        gaps, values = self._reader.specs[gaps_of(name)], self._reader.specs.get(values_of(name))
        if name not in self.metadata.parameters:
            raise FormatError(
                f"{self.path}: diff/{called(name)} is not among the metadata's parameters. The file is damaged."
            )
        if values is None:
            raise FormatError(f"{self.path}: diff/{called(name)}/values is missing. The file is damaged.")
        if len(gaps.shape) != 1 or gaps.shape != values.shape:
            raise FormatError(
                f"{self.path}: diff/{called(name)} has gaps of shape {list(gaps.shape)} and values of shape "
                f"{list(values.shape)}; both must be [n]. The file is damaged."
            )
        if CODES.get(gaps.code) not in GAP_DTYPES or CODES.get(values.code) not in VALUE_DTYPES.values():
            raise FormatError(
                f"{self.path}: diff/{called(name)} has gaps of {gaps.code} and values of {values.code}; "
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
        tensors = {key: self._reader.read(key) for key in self._reader if key.startswith(HEAD)}
        for key, array in tensors.items():
            if array.dtype in FLOATS and not np.isfinite(array).all():
                raise FormatError(f"{self.path}: {called(key)}: a value is not finite. The file is damaged.")
        return {key[len(HEAD) :]: array for key, array in tensors.items()}

    @property
    def stored_values(self) -> str:
        """How the values are stored: "f32", "bf16", "f16", or several joined by "+"."""
        dtypes = {self._reader.specs[values_of(name)].dtype for name in self.names}
        return "+".join(key for key, dtype in VALUE_DTYPES.items() if dtype in dtypes) or "f32"

    def entries(self, name: str) -> tuple[Positions, Values]:
        """Positions and values of one parameter, checked, bridge entries dropped.

        Raises:
            FormatError: as ``encoding.decode``.
        """
        gaps, values = self.stored(name, 0, self.stored_length(name))
        try:
            return decode(gaps, values, self.metadata.parameters[name].size, called(name))
        except FormatError as error:
            raise FormatError(f"{self.path}: {error}") from None

    def stored_length(self, name: str) -> int:
        """Number of gaps that are stored for one parameter, bridges counted."""
        return self._reader.specs[gaps_of(name)].size

    def stored(self, name: str, begin: int, end: int) -> tuple[NDArray[Any], NDArray[Any]]:
        """Some of one parameter's gaps and values as they are stored, unchecked."""
        return self._reader.piece(gaps_of(name), begin, end), self._reader.piece(values_of(name), begin, end)

    def check_count(self, entries: int) -> None:
        """Compare the number of entries that were read with what the metadata promises.

        Raises:
            FormatError: if they differ.
        """
        if entries != self.metadata.k:
            raise FormatError(
                f"{self.path}: {entries:,} entries, but the metadata says k = {self.metadata.k:,}. The file is damaged."
            )


def read(path: str | Path) -> CsrDifference:
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
        parameters[name] = to_csr(positions, values, file.metadata.parameters[name], f"{path}: {called(name)}")
    sft = CsrDifference(parameters, file.metadata, file.head)
    file.check_count(sft.k)
    return sft


def _is_part(key: str, ending: str) -> bool:
    """Whether a tensor is some parameter's gaps, or values."""
    return key.startswith(DIFF) and key.endswith(ending) and len(key) > len(DIFF) + len(ending)
