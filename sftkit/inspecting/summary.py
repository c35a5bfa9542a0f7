"""What an SFT holds, in numbers: entries, densities and magnitudes by parameter, layer and kind of module.

Works on anything that is a ``Difference``, one parameter at a time, and never looks at a base. Does not print, and does
not know tokenizers: which token a row of the embedding belongs to is :mod:`sftkit.inspecting.tokens`' business.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from sftkit.format.files import SftFile
from sftkit.inspecting.kinds import KINDS, in_model_order, is_embedding, is_token_embedding, kind_of, layer_of
from sftkit.inspecting.stats import Stats, combined, grouped

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from sftkit.format.difference import Difference
    from sftkit.format.encoding import Positions, Values
    from sftkit.format.metadata import Metadata, ParameterSpec

#: The quantiles of |φ| that are reported.
QUANTILES = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99)
#: Bins of the histogram to a power of ten, and powers of ten below the largest entry. What is smaller moves nothing
#: beside it in float32, and what did not move at all is held as the smallest number that there is.
_BINS, _POWERS = 8, 8


@dataclass(frozen=True, slots=True)
class EmbeddingRows:
    """Which rows of an embedding matrix an SFT touches.

    Attributes:
        name: the parameter.
        rows: how many rows it has.
        touched: the rows with at least one entry, increasing, int64 ``[t]``.
        nnz: entries in each of them, int64 ``[t]``.
        l2: Euclidean norm of φ in each of them, float64 ``[t]``.
    """

    name: str
    rows: int
    touched: NDArray[np.int64]
    nnz: NDArray[np.int64]
    l2: NDArray[np.float64]

    def document(self) -> dict[str, Any]:
        """For ``--json``."""
        return {"name": self.name, "rows": self.rows, "touched": len(self.touched)}


@dataclass(frozen=True, slots=True)
class HeadTensor:
    """One tensor of the head."""

    name: str
    shape: tuple[int, ...]
    dtype: str
    nbytes: int

    @property
    def size(self) -> int:
        """Number of elements."""
        return math.prod(self.shape)


@dataclass(frozen=True, slots=True)
class Histogram:
    """How many entries are how large.

    Attributes:
        edges: of |φ|, float64 ``[bins + 1]``: eight bins to a power of ten, at the same places for every SFT, from the
            smallest entry, or 10^-8 of the largest, on.
        counts: entries in each, int64 ``[bins]``; a bin holds its lower edge and not its upper one, and the first one
            what is smaller, too.
    """

    edges: NDArray[np.float64]
    counts: NDArray[np.int64]


@dataclass(frozen=True)
class DiffSummary:
    """Everything that ``inspect`` shows of one SFT.

    Attributes:
        label: the file's name as it was given.
        metadata: what the SFT says of itself.
        total: all entries together; its shape is the number of the backbone's parameters.
        parameters: every parameter of the backbone, also those without entries, in model order.
        layers: the same summed by layer; ``kinds``: by kind of module. Groups without any parameter are left out.
        quantiles: quantile of |φ| -> value, over all entries; empty without entries.
        embeddings: rows touched of each embedding matrix.
        head: the head's tensors.
        nbytes: size of the file; 0 for an SFT in memory.
        stored: how the values are stored, such as "f32".
        histogram: of |φ|, over all entries; None without entries.
    """

    label: str
    metadata: Metadata
    total: Stats
    parameters: tuple[Stats, ...]
    layers: tuple[Stats, ...]
    kinds: tuple[Stats, ...]
    quantiles: Mapping[float, float]
    embeddings: tuple[EmbeddingRows, ...]
    head: tuple[HeadTensor, ...]
    nbytes: int = 0
    stored: str = "f32"
    histogram: Histogram | None = None

    @property
    def k(self) -> int:
        """Number of entries."""
        return self.total.nnz

    @property
    def density(self) -> float:
        """Entries as a share of the backbone's parameters."""
        return self.total.density

    @property
    def head_size(self) -> int:
        """Elements of the head."""
        return sum(tensor.size for tensor in self.head)

    @property
    def model_density(self) -> float:
        """What this SFT sets, entries and head, as a share of backbone and head together."""
        size = self.total.size + self.head_size
        return (self.k + self.head_size) / size if size else 0.0

    @property
    def token_embedding(self) -> EmbeddingRows | None:
        """The rows touched of the input embedding, if the SFT's base has one."""
        return next((rows for rows in self.embeddings if is_token_embedding(rows.name)), None)

    def _repr_html_(self) -> str:
        """What it is, and where its entries sit, for notebooks."""
        from sftkit.inspecting.pictures.html import summary_html

        return summary_html(self)

    def document(self) -> dict[str, Any]:
        """The document that ``inspect --json`` prints."""
        metadata = self.metadata.document()
        said = ("objective", "method", "base", "labels", "trained_with", "tied_embeddings")
        return {
            "file": self.label,
            "bytes": self.nbytes,
            "values": self.stored,
            "k": self.k,
            "density": self.density,
            "model_density": self.model_density,
            **{key: metadata[key] for key in said},
            "head_class": self.metadata.head,
            "l1": self.total.l1,
            "l2": self.total.l2,
            "max_abs": self.total.max_abs,
            "quantiles": {f"{quantile:g}": value for quantile, value in self.quantiles.items()},
            "parameters": [stats.document() for stats in self.parameters],
            "layers": [stats.document() for stats in self.layers],
            "kinds": [stats.document() for stats in self.kinds],
            "embeddings": [rows.document() for rows in self.embeddings],
            "head": [{"name": t.name, "shape": list(t.shape), "dtype": t.dtype} for t in self.head],
            "training": metadata["training"],
            "parents": metadata["parents"],
        }


def summarise(path: str | Path, label: str = "") -> DiffSummary:
    """Read a ``.sft`` file once, one parameter at a time, and sum it up.

    Args:
        path: the file.
        label: what to call it; by default its path.

    Raises:
        FormatError: if anything in the file is not what the format asks for.
    """
    file = SftFile(path)
    nbytes = file.path.stat().st_size
    summary = summarise_difference(file, label or str(path), nbytes=nbytes, stored=file.stored_values)
    file.check_count(summary.k)
    return summary


def summarise_difference(sft: Difference, label: str = "", *, nbytes: int = 0, stored: str = "f32") -> DiffSummary:
    """Sum up an SFT.

    Args:
        sft: the SFT; its parameters are decoded one at a time.
        label: what to call it.
        nbytes: size of its file.
        stored: how its values are stored.
    """
    specs, present = sft.metadata.parameters, set(sft.names)
    magnitudes: list[Values] = []
    embeddings: list[EmbeddingRows] = []
    parameters: list[Stats] = []
    for name in _in_model_order(specs):
        positions, values = sft.entries(name) if name in present else _NOTHING
        parameters.append(_stats(name, specs[name], values, magnitudes))
        if is_embedding(name) and len(specs[name].shape) == 2:
            embeddings.append(_rows(name, specs[name], positions, values))
    ordered = np.concatenate(magnitudes) if magnitudes else _NOTHING[1]
    ordered.sort()
    return DiffSummary(
        label=label,
        metadata=sft.metadata,
        total=combined("", parameters),
        parameters=tuple(parameters),
        layers=grouped(parameters, layer_of, in_model_order(map(layer_of, specs))),
        kinds=grouped(parameters, kind_of, KINDS),
        quantiles=_quantiles(ordered),
        embeddings=tuple(embeddings),
        head=tuple(
            HeadTensor(name, array.shape, array.dtype.name, array.nbytes) for name, array in sorted(sft.head.items())
        ),
        nbytes=nbytes,
        stored=stored,
        histogram=_histogram(ordered),
    )


_NOTHING: tuple[Positions, Values] = (np.zeros(0, np.int64), np.zeros(0, np.float32))


def _in_model_order(specs: Mapping[str, ParameterSpec]) -> list[str]:
    rank = {layer: at for at, layer in enumerate(in_model_order(map(layer_of, specs)))}
    return sorted(specs, key=lambda name: (rank[layer_of(name)], KINDS.index(kind_of(name)), name))


def _stats(name: str, spec: ParameterSpec, values: Values, magnitudes: list[Values]) -> Stats:
    if not len(values):
        return Stats(name, spec.shape, 0, 0.0, 0.0, 0.0)
    absolute = np.abs(values)
    magnitudes.append(absolute)
    l1 = float(absolute.sum(dtype=np.float64))
    l2 = math.sqrt(float(np.square(values, dtype=np.float64).sum()))
    return Stats(name, spec.shape, len(values), l1, l2, float(absolute.max()))


def _rows(name: str, spec: ParameterSpec, positions: Positions, values: Values) -> EmbeddingRows:
    rows, columns = spec.matrix_shape
    if not len(positions):
        nothing = np.zeros(0, np.int64)
        return EmbeddingRows(name, rows, nothing, nothing, np.zeros(0))
    row_of = positions // columns
    changes = np.flatnonzero(row_of[1:] != row_of[:-1]) + 1  # positions increase, so rows come in runs
    ends = np.concatenate(([0], changes, [len(row_of)]))
    squares = np.add.reduceat(np.square(values, dtype=np.float64), ends[:-1])
    return EmbeddingRows(name, rows, row_of[ends[:-1]], np.diff(ends), np.sqrt(squares))


def _quantiles(values: Values) -> dict[float, float]:
    """Linear interpolation between order statistics, as ``numpy.quantile`` does, of sorted values.

    Sorting is vectorised: half the time of numpy.quantile's partition for this many quantiles.
    """
    result = {}
    for quantile in QUANTILES if len(values) else ():
        part, at = math.modf(quantile * (len(values) - 1))
        low, high = float(values[int(at)]), float(values[min(int(at) + 1, len(values) - 1)])
        result[quantile] = low + part * (high - low)
    return result


def _histogram(values: Values) -> Histogram | None:
    """Of sorted, positive values."""
    if not len(values):
        return None
    first, last = (math.floor(_BINS * math.log10(float(value))) for value in (values[0], values[-1]))
    edges = 10.0 ** (np.arange(max(first, last - _BINS * _POWERS), last + 2) / _BINS)
    inner = np.searchsorted(values, edges[1:-1])  # whatever rounding does at the ends, no entry is left out
    return Histogram(edges, np.diff(inner, prepend=0, append=len(values)).astype(np.int64))
