"""The overlap of languages' SFTs beside how related the languages are (the paper's Figure 5).

Whether the two go together is told by Mantel's test (1967): pairs of languages are not independent of each other, so
whole languages are permuted, not pairs.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sftkit.errors import DataError, SettingsError
from sftkit.evaluation.results import look
from sftkit.inspecting.overlap import METRICS, overlap
from sftkit.inspecting.pictures.style import SMALL, TEXT, TINY, label, picture
from sftkit.shown import brief
from sftkit.storage.documents import read_object

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Matrix = NDArray[np.float64]
_PERMUTATIONS = 9999
_SHARES = ("share", "jaccard", "sign")
#: No overlap is as large, in whichever metric.
_MOST = 1e15


@dataclass(frozen=True)
class Pairs:
    """A number for every two SFTs; float64 ``[n, n]``."""

    metric: str
    names: tuple[str, ...]
    values: Matrix

    def ordered(self, order: Sequence[int]) -> Pairs:
        """The same in another order."""
        return Pairs(self.metric, tuple(self.names[at] for at in order), self.values[np.ix_(order, order)])


def read_pairs(files: Sequence[Path], metric: str | None) -> Pairs:
    """The overlap of SFTs, or what ``sftkit overlap --csv`` wrote of it.

    Args:
        files: two or more ``.sft`` files, or one CSV file.
        metric: of the overlap; None: "share", or what the CSV file has.

    Raises:
        SettingsError: if it is neither, or the metric is another than the file's.
        DataError: if the CSV file is malformed.
        SftkitError: if SFTs cannot be compared.
    """
    if metric is not None and metric not in METRICS:
        raise SettingsError(f"--metric {metric}: of overlap there is {', '.join(METRICS)}.")
    if len(files) == 1 and files[0].suffix.lower() == ".csv":
        return _from_csv(files[0], metric)
    if len(files) < 2:
        raise SettingsError("--figure overlap: name two or more .sft files, or what sftkit overlap --csv wrote.")
    report = overlap(list(files), metric or "share")
    return Pairs(report.metric, tuple(report.names), report.whole.matrix)


def _from_csv(path: Path, metric: str | None) -> Pairs:
    try:
        rows = list(csv.reader(StringIO(path.read_text(encoding="utf-8-sig"), newline=""), strict=True))
        head = rows[0]
        body = [row for row in rows[1:] if row and (head[0] != "layer" or row[0] == "")]
        skip = 2 if head[0] == "layer" else 1
        found, names = head[skip - 1], tuple(head[skip:])
        if found not in METRICS or len(names) < 2 or any(len(row) != len(head) for row in body):
            raise ValueError
    except (ValueError, IndexError, csv.Error):
        raise DataError(f"{path} is no matrix as sftkit overlap --csv writes it.") from None
    if metric not in (None, found):
        raise SettingsError(f"--metric {metric}: {path} has {found}.")
    lines = {row[skip - 1]: row[skip:] for row in body}
    if len(set(names)) < len(names) or len(lines) < len(body) or set(lines) != set(names):
        raise DataError(f"{path}: its lines and its columns do not have the same names, each of them once.")
    return Pairs(found, names, np.array([[_cell(path, name, cell) for cell in lines[name]] for name in names]))


def _cell(path: Path, name: str, text: str) -> float:
    """A number; NaN where there is none, as of two SFTs without a common entry."""
    try:
        value = float(text) if text.strip() else np.nan
    except ValueError:
        value = np.inf
    if text.strip() and not abs(value) < _MOST:
        raise DataError(f"{path}: {brief(repr(text), 40)} in the line {brief(name, 40)} is no number of an overlap.")
    return value


def read_relatedness(path: Path, names: Sequence[str]) -> Matrix:
    """How related some languages are, from a world's file: float64 ``[n, n]``, in the order of the names.

    Args:
        path: ``world.json``, or any document with ``languages`` and ``relatedness``.
        names: of SFTs; a language's name is all of it, or one of its words ("modalese-0.1").

    Raises:
        DataError: if it is no such document.
        SettingsError: if a name has no language in it, or several.
    """
    document = read_object(path)
    try:
        languages = [str(name) for name in document["languages"]]
        matrix = np.array(document["relatedness"], float)
        if matrix.shape != (len(languages), len(languages)):
            raise ValueError
    except (KeyError, TypeError, ValueError):
        raise DataError(f"{path} has no languages with a square matrix of relatedness, as world.json has.") from None
    order = [languages.index(_language(name, languages, path)) for name in names]
    return matrix[np.ix_(order, order)]


def _language(name: str, languages: Sequence[str], path: Path) -> str:
    words = [name, *re.split(r"[^\w]+|_", name)]
    found = {language for language in languages if language in words}
    if len(found) != 1:
        raise SettingsError(f"{brief(name, 60)} names {len(found) or 'none'} of the languages of {path}.")
    return found.pop()


def in_order(matrix: Matrix) -> list[int]:
    """Put what is alike side by side: average linkage of the highest value less each value, branches sorted."""
    from scipy.cluster.hierarchy import leaves_list, linkage
    from scipy.spatial.distance import squareform

    alike = np.nan_to_num((matrix + matrix.T) / 2)
    apart = alike.max() - alike
    np.fill_diagonal(apart, 0.0)
    if len(matrix) < 3:
        return list(range(len(matrix)))
    return [int(at) for at in leaves_list(linkage(squareform(apart, checks=False), "average", optimal_ordering=True))]


def mantel(first: Matrix, second: Matrix, seed: int = 0) -> tuple[float, float] | None:
    """Pearson's r of two symmetric matrices' pairs, and its one-sided p; None of fewer than three, or no spread.

    Returns:
        r, and (1 + permutations with as large an r) / (1 + permutations).
    """
    upper = np.triu_indices(len(first), 1)
    x, y = first[upper], second[upper]
    if len(first) < 3 or not np.isfinite(x).all() or np.ptp(x) == 0 or np.ptp(y) == 0:
        return None
    observed, rng, more = float(np.corrcoef(x, y)[0, 1]), np.random.default_rng(seed), 0
    for _ in range(_PERMUTATIONS):
        order = rng.permutation(len(first))
        more += bool(np.corrcoef(first[np.ix_(order, order)][upper], y)[0, 1] >= observed - 1e-12)
    return observed, (1 + more) / (1 + _PERMUTATIONS)


def draw_overlap(pairs: Pairs, related: Matrix | None, path: Path, *, overwrite: bool = False) -> dict[str, Any]:
    """The matrix, relatives side by side; and, where relatedness is known, each pair's overlap against it.

    Returns:
        The numbers drawn; with relatedness ``mantel``: ``r`` and ``p``.

    Raises:
        SettingsError: if the overlap of no two is known.
    """
    if not np.isfinite(pairs.values[~np.eye(len(pairs.names), dtype=bool)]).any():
        raise SettingsError(f"The overlap by {pairs.metric} is known of no two: they have nothing in common.")
    order = in_order(pairs.values if related is None else related)
    pairs = pairs.ordered(order)
    related = None if related is None else related[np.ix_(order, order)]
    test = None if related is None else mantel(pairs.values, related)
    side = max(2.6, 0.26 * len(pairs.names) if len(pairs.names) > 12 else 0.42 * len(pairs.names)) + 1.6
    width = side + 0.6 + (0.0 if related is None else 4.2)
    with picture(path, width, max(side, 3.4), overwrite=overwrite) as figure:
        ratios = [side + 0.6] if related is None else [side + 0.6, 4.2]
        grid = figure.subplots(1, len(ratios), squeeze=False, width_ratios=ratios)[0]
        _heat(figure, grid[0], pairs)
        if related is not None:
            _against(grid[1], pairs, related, test)
    document = {"metric": pairs.metric, "names": list(pairs.names), "matrix": pairs.values.tolist()}
    if related is None:
        return document
    told = {"r": test[0], "p": test[1]} if test else None
    return document | {"relatedness": related.tolist(), "mantel": told}


def _heat(figure: Figure, axes: Axes, pairs: Pairs) -> None:
    scale = 100 if pairs.metric in _SHARES else 1
    values = scale * pairs.values
    np.fill_diagonal(values, np.nan)  # an SFT overlaps with itself entirely: that would only take the contrast away
    image = axes.imshow(values, cmap=look.amount())
    names, size = [label(name) for name in pairs.names], SMALL if len(values) <= 20 else TINY
    axes.set_xticks(range(len(names)), names, rotation=90, fontsize=size)
    axes.set_yticks(range(len(names)), names, fontsize=size)
    axes.tick_params(length=0)
    axes.set_facecolor("0.92")
    axes.spines[:].set_visible(False)
    axes.set_title(f"overlap: {pairs.metric}{', %' if scale == 100 else ''}")
    figure.colorbar(image, ax=axes, shrink=0.7, pad=0.02).ax.tick_params(labelsize=TINY)
    form = "{:.2f}" if scale == 1 else "{:.0f}" if len(values) > 20 else "{:.1f}"
    middle = (np.nanmin(values) + np.nanmax(values)) / 2
    for (row, column), value in np.ndenumerate(values):
        if np.isfinite(value):
            text = form.format(value)
            axes.text(column, row, text, ha="center", va="center", fontsize=TINY if len(values) <= 20 else 4.5,
                      color="white" if value > middle else "0.15")  # fmt: skip


def _against(axes: Axes, pairs: Pairs, related: Matrix, test: tuple[float, float] | None) -> None:
    scale = 100 if pairs.metric in _SHARES else 1
    upper = np.triu_indices(len(related), 1)
    said = "" if test is None else f" (r = {test[0]:.2f}, Mantel p = {test[1]:.2g})"
    look.frame(axes, f"each pair{said}")
    axes.plot(related[upper], scale * pairs.values[upper], **(look.line(0) | {"linestyle": "none"}))
    axes.set_xlabel("relatedness", fontsize=TEXT)
    axes.set_ylabel(f"{pairs.metric}{', %' if scale == 100 else ''}", fontsize=TEXT)
