"""The in-memory SFT and the protocol that it shares with a file that is read lazily.

``parameters`` are scipy CSR arrays. The operations work on flat positions instead, which is what the file holds; both
views are offered by anything that satisfies :class:`Difference`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from sftkit.errors import FormatError
from sftkit.format.encoding import Positions, Values
from sftkit.format.metadata import Metadata, ParameterSpec

if TYPE_CHECKING:
    from scipy.sparse import csr_array  # 0.15 s to import, which what works on positions alone need not pay

# A parameter of more rows than this belongs to no model we know of, and its row pointers alone would fill 16 MB.
_MOST_ROWS = 1 << 22


class Difference(Protocol):
    """A difference vector φ on a backbone, and the head that came with it."""

    @property
    def metadata(self) -> Metadata:
        """What the SFT says of itself."""
        ...

    @property
    def names(self) -> tuple[str, ...]:
        """Canonical names of the parameters that have entries, sorted."""
        ...

    @property
    def head(self) -> Mapping[str, NDArray[Any]]:
        """The fully tuned head, by its names in the model."""
        ...

    @property
    def digest(self) -> str:
        """128-bit hash of the SFT's file or, in memory, of the file it would become."""
        ...

    def entries(self, name: str) -> tuple[Positions, Values]:
        """Flat row-major positions (int64, strictly increasing) and values (float32, none 0) of one parameter."""
        ...


@dataclass(frozen=True, eq=False)
class SFT:
    """A sparse fine-tuning in memory.

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

    @property
    def digest(self) -> str:
        """128-bit hash of the file that this SFT would become."""
        from sftkit.format.files import digest_of  # the file layer is above this one

        return digest_of(self)

    def entries(self, name: str) -> tuple[Positions, Values]:
        """Flat row-major positions and values of one parameter."""
        return flatten(self.parameters[name])


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
    if rows > _MOST_ROWS:
        raise FormatError(f"{name}: a parameter of {rows:,} rows is more than this program accepts.")
    index = np.int32 if max(len(positions), rows, columns) < 2**31 else np.int64
    pointers = np.searchsorted(positions, np.arange(rows + 1, dtype=np.int64) * columns).astype(index)
    row_of = np.repeat(np.arange(rows, dtype=np.int64) * columns, np.diff(pointers))
    matrix = csr_array((values, (positions - row_of).astype(index), pointers), shape=(rows, columns))
    matrix.has_canonical_format = True
    return matrix


def flatten(matrix: csr_array) -> tuple[Positions, Values]:
    """Inverse of :func:`to_csr`: flat int64 positions and float32 values, sorted, zeros dropped."""
    from scipy.sparse import csr_array

    matrix = csr_array(matrix)
    if not matrix.has_canonical_format:
        matrix = matrix.copy()
        matrix.sum_duplicates()
    rows, columns = matrix.shape
    starts = np.repeat(np.arange(rows, dtype=np.int64) * columns, np.diff(matrix.indptr))
    values = matrix.data.astype(np.float32, copy=False)
    real = values != 0
    positions = starts + matrix.indices
    return (positions, values) if real.all() else (positions[real], values[real])


def density(k: int, parameters: Iterable[ParameterSpec]) -> float:
    """Entries as a share of the backbone's parameters; 0 for an empty backbone."""
    total = sum(spec.size for spec in parameters)
    return k / total if total else 0.0
