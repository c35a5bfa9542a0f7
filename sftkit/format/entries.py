"""A parameter's entries piece by piece, in the order of their positions, in memory that does not grow with the file."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from sftkit.errors import FormatError
from sftkit.format.encoding import Positions, Values, decode

if TYPE_CHECKING:
    from sftkit.format.files import SftFile

# Stored entries decoded at a time: large enough that numpy's overhead does not show, small enough for the cache.
_PIECE = 1 << 17


class EntryStream:
    """Walks once through the entries of one parameter of an open file."""

    def __init__(self, file: SftFile, name: str) -> None:
        self._file, self._name = file, name
        self._size = file.metadata.parameters[name].size if name in file.names else 0
        self._length = file.stored_length(name) if name in file.names else 0
        self._at = 0
        self._last = -1
        self._positions: Positions = np.zeros(0, np.int64)
        self._values: Values = np.zeros(0, np.float32)

    def below(self, stop: int) -> tuple[Positions, Values]:
        """The entries not yet given whose position is below ``stop``.

        Returns:
            Positions (int64 ``[n]``) and values (float32 ``[n]``, none of them 0).

        Raises:
            FormatError: as ``encoding.decode``.
        """
        pieces = [self._taken(stop)]
        while self._last < stop - 1 and self._at < self._length:  # then all that was decoded is taken
            self._positions, self._values = self._decode()
            pieces.append(self._taken(stop))
        if len(pieces) == 1:
            return pieces[0]
        return np.concatenate([piece[0] for piece in pieces]), np.concatenate([piece[1] for piece in pieces])

    def _taken(self, stop: int) -> tuple[Positions, Values]:
        cut = int(np.searchsorted(self._positions, stop))
        taken = self._positions[:cut], self._values[:cut]
        self._positions, self._values = self._positions[cut:], self._values[cut:]
        return taken

    def following(self) -> int | None:
        """A position before which there are no entries that were not given yet; None if all were.

        Raises:
            FormatError: as ``encoding.decode``.
        """
        while not len(self._positions) and self._at < self._length:  # a piece may be bridges and nothing else
            self._positions, self._values = self._decode()
        return int(self._positions[0]) if len(self._positions) else None

    def _decode(self) -> tuple[Positions, Values]:
        gaps, values = self._file.stored(self._name, self._at, self._at + _PIECE)
        try:
            decoded = decode(gaps, values, self._size, self._name, last=self._last, first=self._at)
        except FormatError as error:
            raise FormatError(f"{self._file.path}: {error}") from None
        self._at += len(gaps)
        self._last += int(gaps.sum(dtype=np.int64))
        return decoded
