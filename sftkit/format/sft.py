"""A difference in memory, as CSR arrays; :mod:`sftkit.python.api` gives it arithmetic and calls it SFT.

``parameters`` are scipy CSR arrays. The operations work on flat positions instead, which is what the file holds; both
views are offered by anything that satisfies :class:`~sftkit.format.difference.Difference`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sftkit.errors import FormatError
from sftkit.format.difference import density
from sftkit.format.encoding import Positions, Values
from sftkit.format.metadata import Metadata, ParameterSpec
from sftkit.format.writing import digest_of

if TYPE_CHECKING:
    from scipy.sparse import csr_array  # 0.15 s to import, which what works on positions alone need not pay

#: A parameter of more rows than this belongs to no model we know of, and its row pointers alone would fill 16 MB.
MOST_ROWS = 1 << 22
#: Rows of all parameters with entries together: their pointers fill 64 MB. More entries make up for more rows.
_MOST_ROWS_IN_ALL, _ROWS_AN_ENTRY = 1 << 24, 16


@dataclass(frozen=True, eq=False)
class CsrDifference:
    """A sparse fine-tuning in memory; not to be changed in place (``dataclasses.replace`` makes another).

    Two are equal if they would become the same file: same entries, head and metadata, to the bit.

    Attributes:
        parameters: canonical name -> CSR array of shape (rows, everything else), float32.
        metadata: what it says of itself; ``metadata.k`` is the number of entries.
        head: the head's tensors, whole, by their names in the model.
    """

    parameters: Mapping[str, csr_array]
    metadata: Metadata
    head: Mapping[str, NDArray[Any]] = field(default_factory=dict)

    @property
    def names(self) -> tuple[str, ...]:
        """Canonical names of the parameters that have entries, sorted."""
        return tuple(sorted(self.parameters))

    @property
    def k(self) -> int:
        """Number of entries."""
        return sum(int(matrix.nnz) for matrix in self.parameters.values())

    @property
    def density(self) -> float:
        """Entries as a share of the backbone's parameters."""
        return density(self.k, self.metadata.parameters.values())

    @cached_property
    def content(self) -> str:
        """128-bit hash of the f32 file that this SFT would become."""
        return digest_of(self)

    @property
    def digest(self) -> str:
        """The same: what it is known by."""
        return self.content

    def __eq__(self, other: object) -> bool:
        return self is other or self.content == other.content if isinstance(other, CsrDifference) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.content)

    def check_shapes(self) -> None:
        """Refuse matrices that do not belong to the parameters that the metadata list.

        Raises:
            FormatError: naming the parameter and the two shapes.
        """
        for name in self.parameters:
            self._check_shape(name)

    def _check_shape(self, name: str) -> None:
        matrix = self.parameters[name]
        spec = self.metadata.parameters.get(name)
        if spec is None:
            raise FormatError(f"{name} has entries, but is not among the metadata's parameters.", tensor=name)
        if matrix.dtype.kind in "cOSU":
            raise FormatError(f"{name}: entries of {matrix.dtype}; they are float32.", tensor=name)
        if tuple(matrix.shape) != tuple(spec.matrix_shape):
            raise FormatError(
                f"{name}: entries in a matrix of shape {list(matrix.shape)}; the parameter's is "
                f"{list(spec.matrix_shape)}.",
                tensor=name, expected=tuple(spec.matrix_shape), found=tuple(matrix.shape),
            )  # fmt: skip

    def entries(self, name: str) -> tuple[Positions, Values]:
        """Flat row-major positions and values of one parameter."""
        self._check_shape(name)
        return flatten(self.parameters[name])


def check_rows(specs: Iterable[ParameterSpec], entries: int, where: str) -> None:
    """See that the row pointers of an SFT's parameters are in proportion to its entries.

    Args:
        specs: of the parameters that have entries.
        entries: how many are stored.
        where: the file, for errors.

    Raises:
        FormatError: if the parameters together claim more rows than any model has, with so few entries.
    """
    rows, most = sum(spec.matrix_shape[0] for spec in specs), _MOST_ROWS_IN_ALL + _ROWS_AN_ENTRY * entries
    if rows > most:
        raise FormatError(
            f"{where}: its parameters claim {rows:,} rows for {entries:,} entries; {most:,} at most are accepted."
        )


def to_csr(positions: Positions, values: Values, spec: ParameterSpec, name: str) -> csr_array:
    """The CSR array of one parameter.

    Args:
        positions: int64 ``[n]``, strictly increasing, below ``spec.size``.
        values: float32 ``[n]``.
        spec: the parameter's shape.
        name: for errors.

    Raises:
        FormatError: if the parameter claims more rows than any model has.
    """
    from scipy.sparse import csr_array

    rows, columns = spec.matrix_shape
    if rows > MOST_ROWS:
        raise FormatError(f"{name}: a parameter of {rows:,} rows is more than this program accepts.")
    index = np.int32 if max(len(positions), rows, columns) < 2**31 else np.int64
    row_of = positions // max(columns, 1)
    pointers = np.zeros(rows + 1, index)
    np.cumsum(np.bincount(row_of, minlength=rows), out=pointers[1:])
    matrix = csr_array((values, (positions - row_of * columns).astype(index), pointers), shape=(rows, columns))
    matrix.has_canonical_format = True
    return matrix


class RowStream:
    """Walks once through the entries of a CSR array; as :class:`~sftkit.format.entries.EntryStream` does of a file."""

    def __init__(self, matrix: csr_array) -> None:
        from scipy.sparse import csr_array

        matrix = csr_array(matrix)
        if not matrix.has_canonical_format:
            matrix = matrix.copy()
            matrix.sum_duplicates()
        self._matrix, self._at = matrix, 0

    def below(self, stop: int) -> tuple[Positions, Values]:
        """The entries not yet given whose position is below ``stop``.

        Returns:
            Positions (int64 ``[n]``, strictly increasing) and values (float32 ``[n]``, none of them 0).
        """
        (rows, columns), pointers = self._matrix.shape, self._matrix.indptr
        begin, row = self._at, min(stop // max(columns, 1), rows)
        end = int(pointers[row])
        if row < rows:  # the row in which stop lies
            own = self._matrix.indices[end : pointers[row + 1]]
            end += int(np.searchsorted(own, stop - row * columns))
        self._at = end = max(begin, end)
        first = int(np.searchsorted(pointers, begin, "right")) - 1
        counts = np.diff(np.clip(pointers[first : row + 2], begin, end))
        positions = np.repeat(np.arange(first, first + len(counts), dtype=np.int64) * columns, counts)
        positions += self._matrix.indices[begin:end]
        values = self._matrix.data[begin:end].astype(np.float32, copy=False)
        real = values != 0
        return (positions, values) if real.all() else (positions[real], values[real])

    def following(self) -> int | None:
        """As :meth:`~sftkit.format.entries.EntryStream.following`."""
        if self._at >= len(self._matrix.indices):
            return None
        row = int(np.searchsorted(self._matrix.indptr, self._at, "right")) - 1
        return row * int(self._matrix.shape[1]) + int(self._matrix.indices[self._at])


def flatten(matrix: csr_array) -> tuple[Positions, Values]:
    """Inverse of :func:`to_csr`: flat int64 positions and float32 values, sorted, zeros dropped."""
    return RowStream(matrix).below(math.prod(matrix.shape))
