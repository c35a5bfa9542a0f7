"""How much the supports of SFTs of the same base overlap, for every pair of many files at once.

The paper's Figure 5 (appendix E) and beyond: five metrics, per layer as well, each beside what it would be had the
positions been drawn at random. Files are walked side by side in blocks of positions: a bit a position and file, whose
pairwise ANDs are counted 64 at a time; memory depends on the number of files, not on their size. Does not cover SFTs of
different bases: their positions have nothing to do with each other.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sftkit.algebra.arithmetic import cursor, occupied
from sftkit.errors import MismatchError, SettingsError
from sftkit.format.difference import Difference
from sftkit.format.files import SftFile
from sftkit.inspecting.kinds import in_model_order, layer_of
from sftkit.inspecting.names import unique_names as unique_names
from sftkit.inspecting.pairs import Counter, PairSums, block_size
from sftkit.storage.atomic import atomic_file

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

Matrix = NDArray[np.float64]

#: Metric -> what it says of a pair of supports A and B.
METRICS: dict[str, str] = {
    "share": "common entries as a share of the smaller SFT, |A∩B| / min(|A|, |B|)",
    "jaccard": "common entries as a share of all entries, |A∩B| / |A∪B|",
    "lift": "common entries over what random positions within each parameter would give, |A∩B| / Σ(|A| · |B| / N)",
    "sign": "share of the common entries in which both SFTs have the same sign",
    "cosine": "cosine of the two difference vectors",
}


@dataclass(frozen=True, slots=True)
class Pairwise:
    """A metric for every pair of files, and what it would be by chance; float64 ``[n, n]``.

    NaN where the metric is undefined: no entries, or for ``sign`` no common ones.

    Attributes:
        matrix: what was found.
        expected: had each file's positions been drawn at random within each parameter, as many as it has there:
            densities differ by module, and files that change the same modules meet more often for that alone.
        uniform: had they been drawn at random over all parameters together.
    """

    matrix: Matrix
    expected: Matrix
    uniform: Matrix

    @property
    def chance(self) -> tuple[float, float]:
        """The least and the most of ``expected`` for two different SFTs."""
        pairs = self.expected[~np.eye(len(self.expected), dtype=bool)]
        return float(pairs.min()), float(pairs.max())

    def document(self) -> dict[str, Any]:
        """For ``--json``: NaN becomes null."""
        return {
            "matrix": _rows(self.matrix), "expected": _rows(self.expected), "expected_uniform": _rows(self.uniform),
        }  # fmt: skip


@dataclass(frozen=True)
class OverlapReport:
    """What ``overlap`` shows.

    Attributes:
        files: the files, as given.
        names: a short name for each, all different.
        metric: one of :data:`METRICS`.
        k: entries of each file, int64 ``[n]``.
        shared: entries common to each pair, int64 ``[n, n]``; None for ``cosine``, which does not count them.
        whole: over the whole backbone.
        layers: the same for each layer, in model order; empty unless asked for.
    """

    files: tuple[str, ...]
    names: tuple[str, ...]
    metric: str
    k: NDArray[np.int64]
    shared: NDArray[np.int64] | None
    whole: Pairwise
    layers: Mapping[str, Pairwise] = field(default_factory=dict)

    @property
    def meaning(self) -> str:
        """What the metric says of a pair."""
        return METRICS[self.metric]

    def _repr_html_(self) -> str:
        """A heat map, for notebooks."""
        from sftkit.inspecting.pictures.data import overlap_map
        from sftkit.inspecting.pictures.html import heat_table

        return heat_table(overlap_map(self))

    def document(self) -> dict[str, Any]:
        """The document that ``overlap --json`` prints."""
        document = {
            "files": list(self.files),
            "metric": self.metric,
            **self.whole.document(),
            "k": self.k.tolist(),
        }
        if self.shared is not None:
            document["shared"] = self.shared.tolist()
        if self.layers:
            document["layers"] = [{"name": name, **pairs.document()} for name, pairs in self.layers.items()]
        return document


def overlap(
    paths: Sequence[str | Path | Difference],
    metric: str = "share",
    *,
    per_layer: bool = False,
    called: Sequence[str] = (),
) -> OverlapReport:
    """Compare every pair of files.

    Args:
        paths: at least two ``.sft`` files of the same base, or SFTs in memory.
        metric: one of :data:`METRICS`.
        per_layer: whether to report each layer as well.
        called: what the user called the files, if not by their paths.

    Raises:
        SettingsError: if the metric is unknown or there are fewer than two files.
        MismatchError: if the files are not of the same base.
        FormatError: if anything in a file is not what the format asks for.
    """
    if metric not in METRICS:
        raise SettingsError(f"no metric {metric!r}; there are {', '.join(METRICS)}.")
    if len(paths) < 2:
        raise SettingsError("overlap compares SFTs with each other: give two or more .sft files.")
    names = list(called) or [str(path) if isinstance(path, str | Path) else "an SFT" for path in paths]
    files = [SftFile(path) if isinstance(path, str | Path) else path for path in paths]
    sizes = _common_parameters(files, names)
    layers = {layer: PairSums(len(files)) for layer in in_model_order(map(layer_of, sizes))}
    counter = Counter(len(files), metric)
    for name, size in sizes.items():
        layers[layer_of(name)] += _count(files, name, size, counter)
    whole = PairSums(len(files))
    for sums in layers.values():
        whole += sums
    for file, k in zip(files, whole.k, strict=True):
        if isinstance(file, SftFile):
            file.check_count(int(k))
    return OverlapReport(
        files=tuple(names),
        names=unique_names([Path(name) for name in names]),
        metric=metric,
        k=whole.k,
        shared=None if metric == "cosine" else whole.shared,
        whole=_pairwise(whole, metric),
        layers={layer: _pairwise(sums, metric) for layer, sums in layers.items()} if per_layer else {},
    )


def _count(files: Sequence[Difference], name: str, size: int, counter: Counter) -> PairSums:
    """The sums of one parameter, taken block by block."""
    sums = PairSums(len(files))
    sums.size = size
    streams = {at: cursor(file, name) for at, file in enumerate(files) if name in file.names}
    block = block_size(len(files))
    for begin in occupied(list(streams.values()), size, block):
        stop = min(begin + block, size)
        counter.start(stop - begin)
        for at, stream in streams.items():
            positions, values = stream.below(stop)
            counter.add(at, positions - begin, values)
        counter.finish(sums)
    sums.close()
    return sums


def _common_parameters(files: Sequence[Difference], called: Sequence[str]) -> dict[str, int]:
    """Name -> size of every parameter that any file lists, if the files are of the same base."""
    first = files[0]
    shapes = dict(first.metadata.parameters)
    for file, what in zip(files[1:], called[1:], strict=True):
        _check_base(first, file, called[0], what)
        for name, spec in file.metadata.parameters.items():
            known = shapes.setdefault(name, spec)
            if known.shape != spec.shape:
                raise MismatchError(
                    f"{what}: {name} has shape {list(spec.shape)}, in the files before it {list(known.shape)}. "
                    "Overlap compares SFTs of the same base."
                )
        if not file.metadata.parameters.keys() & first.metadata.parameters.keys():
            raise MismatchError(f"{what} and {called[0]} have no parameter in common: they are of different bases.")
    return {name: shapes[name].size for name in sorted(shapes)}


def _check_base(first: Difference, other: Difference, what_first: str, what: str) -> None:
    ours, theirs = first.metadata.base, other.metadata.base
    if ours is None or theirs is None or not ours.fingerprint or not theirs.fingerprint:
        return
    # a half-precision copy of the same base has another fingerprint, which the float32 base's SFTs know
    if {ours.fingerprint, *ours.rounded.values()}.isdisjoint({theirs.fingerprint, *theirs.rounded.values()}):
        raise MismatchError(
            f"{what} was learned on another base ({theirs.name or '?'}, {theirs.fingerprint}) than {what_first} "
            f"({ours.name or '?'}, {ours.fingerprint}). Overlap compares SFTs of the same base."
        )


def _pairwise(sums: PairSums, metric: str) -> Pairwise:
    k, shared = sums.k.astype(np.float64), sums.shared.astype(np.float64)
    smaller, product = np.minimum.outer(k, k), np.outer(k, k)
    undefined = np.where(product > 0, 1.0, np.nan)
    with np.errstate(divide="ignore", invalid="ignore"):
        chance, uniform = sums.chance, product / sums.size  # common entries of random positions, on average
        if metric == "share":
            return Pairwise(shared / smaller, chance / smaller, uniform / smaller)
        if metric == "jaccard":
            either = np.add.outer(k, k)
            return Pairwise(*(common / (either - common) for common in (shared, chance, uniform)))
        if metric == "lift":
            return Pairwise(shared / chance, undefined, uniform / chance)
        if metric == "sign":
            return Pairwise((shared - sums.differing) / shared, undefined / 2, undefined / 2)
        norms = np.sqrt(np.diagonal(sums.dot))
        cosine = np.clip(sums.dot / np.outer(norms, norms), -1, 1)
        return Pairwise(cosine, undefined * 0, undefined * 0)


def write_csv(report: OverlapReport, path: Path, *, overwrite: bool = False) -> None:
    """Write the matrix with the names as its first row and column, and before them the layer where there are layers.

    Undefined values are empty cells; the whole backbone's rows have an empty layer.

    Raises:
        OutputExistsError: if ``path`` exists and ``overwrite`` is false.
    """
    blocks = [("", report.whole), *report.layers.items()]
    with atomic_file(path, overwrite=overwrite) as part, part.open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow([*(["layer"] if report.layers else []), report.metric, *report.names])
        for layer, pairwise in blocks:
            for name, row in zip(report.names, _rows(pairwise.matrix), strict=True):
                rows.writerow([*([layer] if report.layers else []), name, *row])


def _rows(matrix: Matrix) -> list[list[float | None]]:
    return [[None if np.isnan(value) else float(value) for value in row] for row in matrix]
