"""The data behind each picture, without any way to draw it: for matplotlib, the terminal, and pages.

:func:`overlap_map`: how much SFTs overlap. :func:`density_maps`, :func:`magnitude_maps`: where an SFT's entries sit,
layers × kinds of module. ``DiffSummary.histogram``: how large they are. :func:`curve_panels`: how they were learned.
:class:`Bars`: scores by language and system, from :func:`sftkit.evaluation.report.bars_of`.
Names are as they were given: whoever shows them sees to what they may do there.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sftkit.inspecting.curves import PHASES, Curve, best, curves, start
from sftkit.inspecting.kinds import KINDS, in_model_order, kind_of, layer_of
from sftkit.inspecting.names import unique_names
from sftkit.inspecting.pictures.colours import AMOUNT, CONTRAST, Colour, shade
from sftkit.inspecting.stats import Stats, combined

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from sftkit.inspecting.overlap import OverlapReport
    from sftkit.inspecting.summary import DiffSummary

Matrix = NDArray[np.float64]

#: The value that says "no effect", and how far from it the colours reach at least: noise must not look like much.
_NEUTRAL = {"sign": (50.0, 10.0), "cosine": (0.0, 0.1), "lift": (1.0, 0.5)}
#: With more leaves than this the best order of a dendrogram's branches takes longer than it is worth.
_MOST_SORTED = 200


@dataclass(frozen=True)
class HeatMap:
    """Numbers in rows and columns, whose colours say how large they are.

    Attributes:
        title: what they are, with their unit.
        rows, columns: names.
        values: float64 ``[rows, columns]``, as they are to be shown (shares in per cent); NaN where there is nothing.
        low, high: the values at the two ends of the colours.
        form: how a number is written, for ``str.format``.
        neutral: the value that says "no effect", in the middle of the colours; None if they go from nothing to much.
        beside: what would be expected of each cell, in the same unit; None where nothing is, or the same of all.
        joins: of rows and columns that a dendrogram put in order: float64 ``[rows - 1, 4]``, a scipy linkage, whose
            leaves are the rows as they stand here and whose heights are ``top - value``; None if they were not.
        top: see there.
    """

    title: str
    rows: tuple[str, ...]
    columns: tuple[str, ...]
    values: Matrix
    low: float
    high: float
    form: str = "{:.3g}"
    neutral: float | None = None
    beside: Matrix | None = None
    joins: Matrix | None = None
    top: float = 0.0

    @property
    def scale(self) -> tuple[Colour, ...]:
        """The colours, from ``low`` to ``high``."""
        return AMOUNT if self.neutral is None else CONTRAST

    def colour(self, value: float) -> Colour:
        """The colour of a value that is not NaN."""
        return shade(self.scale, value, self.low, self.high)

    def told(self, value: float) -> str:
        """A value in words: a dash where there is none."""
        if np.isnan(value):
            return "–"
        text = self.form.format(value)
        return text.removeprefix("-") if float(text) == 0 else text


def overlap_map(report: OverlapReport, *, ordered: bool = True) -> HeatMap:
    """The matrix of ``overlap``: what was found, and beside it what random positions would give.

    Shares are in per cent. An SFT's overlap with itself is left out: it would only take the contrast away.

    Args:
        report: what ``overlap`` found.
        ordered: put SFTs that overlap much side by side: by average linkage of highest value - value.
    """
    scale = 100.0 if report.metric in ("share", "jaccard", "sign") else 1.0
    values, beside = scale * report.whole.matrix, scale * report.whole.expected
    for matrix in (values, beside):
        np.fill_diagonal(matrix, np.nan)
    order, joins, top = _clustered(values) if ordered else (np.arange(len(values)), None, 0.0)
    names = tuple(report.names[at] for at in order)
    low, high, neutral = _ends(report.metric, values, beside)
    chance = "" if neutral is None else f"; at random {neutral:g}"
    return HeatMap(
        title=f"{report.metric}{', %' if scale == 100 else ''}: {report.meaning}{chance}",
        rows=names, columns=names, values=values[np.ix_(order, order)], low=low, high=high,
        form="{:.1f}" if scale == 100 else "{:.2f}", neutral=neutral,
        beside=beside[np.ix_(order, order)] if neutral is None else None, joins=joins, top=top,
    )  # fmt: skip


def _ends(metric: str, values: Matrix, expected: Matrix) -> tuple[float, float, float | None]:
    """Of the colours, and their middle; of shares chance has no darker colour than the middle one's."""
    if metric not in _NEUTRAL:
        return 0.0, min(100.0, max(_largest([values]), 2 * _largest([expected]))), None
    neutral, least = _NEUTRAL[metric]
    reach = max(least, _largest([np.abs(values - neutral)]))
    return neutral - reach, neutral + reach, neutral


def _clustered(values: Matrix) -> tuple[NDArray[np.intp], Matrix | None, float]:
    """(order of the rows, linkage in that order, the highest value); as they are where nothing is defined."""
    from scipy.cluster.hierarchy import leaves_list, linkage

    pairs = values[np.triu_indices(len(values), 1)]
    defined = pairs[np.isfinite(pairs)]
    if not len(defined):
        return np.arange(len(values)), None, 0.0
    top = float(defined.max())
    # an SFT without entries overlaps with none: it stands apart
    distances = top - np.where(np.isfinite(pairs), pairs, min(0.0, float(defined.min())))
    tree = linkage(distances, "average", optimal_ordering=len(values) <= _MOST_SORTED)
    order = leaves_list(tree).astype(np.intp)
    joins, leaves = tree.copy(), len(values)
    place = np.argsort(order)
    for column in (0, 1):
        is_leaf = tree[:, column] < leaves
        joins[is_leaf, column] = place[tree[is_leaf, column].astype(np.intp)]
    return order, joins, top


def density_maps(summaries: Sequence[DiffSummary]) -> list[HeatMap]:
    """For each SFT the density, in per cent, of every layer (rows) and kind of module (columns).

    All have the same rows, columns and colours; NaN where a layer has no such module.
    """
    return _layer_maps(summaries, "density, %", "{:.2g}", lambda stats: 100 * stats.density)


def magnitude_maps(summaries: Sequence[DiffSummary]) -> list[HeatMap]:
    """The same of the mean |φ| of the entries; NaN where there are none."""
    return _layer_maps(
        summaries, "mean |φ| of the entries", "{:.2g}", lambda stats: stats.mean_abs if stats.nnz else np.nan
    )


def _layer_maps(
    summaries: Sequence[DiffSummary], title: str, form: str, value: Callable[[Stats], float]
) -> list[HeatMap]:
    cells = [_cells(summary) for summary in summaries]
    present = {kind for each in cells for _, kind in each}
    rows = tuple(in_model_order(layer for each in cells for layer, _ in each))
    columns = tuple(kind for kind in KINDS if kind in present)
    matrices = [
        np.array([[value(each[row, kind]) if (row, kind) in each else np.nan for kind in columns] for row in rows])
        for each in cells
    ]
    matrices = [matrix.reshape(len(rows), len(columns)) for matrix in matrices]
    high = _largest(matrices)
    return [HeatMap(title, rows, columns, matrix, 0.0, high, form) for matrix in matrices]


def _cells(summary: DiffSummary) -> dict[tuple[str, str], Stats]:
    """(layer, kind) -> its parameters together."""
    groups: dict[tuple[str, str], list[Stats]] = {}
    for stats in summary.parameters:
        groups.setdefault((layer_of(stats.name), kind_of(stats.name)), []).append(stats)
    return {key: combined("", parts) for key, parts in groups.items()}


def _largest(matrices: Sequence[Matrix]) -> float:
    return max((float(np.nanmax(matrix, initial=0.0)) for matrix in matrices), default=0.0) or 1.0


def short_names(summaries: Sequence[DiffSummary]) -> tuple[str, ...]:
    """What to call each of several SFTs in a picture: its file's name without the ending, all different."""
    return unique_names([Path(summary.label or "an SFT") for summary in summaries])


@dataclass(frozen=True)
class Line:
    """One phase of one run.

    Attributes:
        run: the run's name, and its number among those drawn.
        number: see there.
        phase: "phase1" or "phase2".
        points: step -> value; step 0 is the model before the first step.
        kept: the step of phase 2 that became the SFT, if that is told and is on the line.
    """

    run: str
    number: int
    phase: str
    points: Curve
    kept: int | None = None


@dataclass(frozen=True)
class Panel:
    """Lines with a scale in common: a metric on held-out data, or the training loss."""

    title: str
    lines: tuple[Line, ...] = field(default=())

    @property
    def runs(self) -> tuple[str, ...]:
        """The names of the runs that have lines here."""
        return tuple(dict.fromkeys(line.run for line in self.lines))


def curve_panels(records: Mapping[str, Mapping[str, Any]]) -> list[Panel]:
    """Learning curves of several runs: a panel for each metric on held-out data, then one of the training losses.

    Args:
        records: name -> ``training`` of an SFT's metadata.

    Returns:
        Panels with at least one line; none if no record has curves.
    """
    scores: dict[str, list[Line]] = {}
    losses: list[Line] = []
    for number, (run, record) in enumerate(records.items()):
        found = best(record)
        metric = found[2] if found else "score"
        for phase, curve in _from_the_start(record).items():
            kept = found[0] if found and phase == "phase2" and found[0] in curve else None
            scores.setdefault(metric, []).append(Line(run, number, phase, curve, kept))
        losses += [Line(run, number, phase, curve) for phase, curve in curves(record, "losses").items()]
    panels = [Panel(f"{metric.replace('_', ' ')}, held out", tuple(lines)) for metric, lines in scores.items()]
    return [*panels, *([Panel("training loss since the evaluation before", tuple(losses))] if losses else [])]


def _from_the_start(record: Mapping[str, Any]) -> dict[str, Curve]:
    """The history of each phase; the score before the first step is the first one's point 0, if it is told apart."""
    found, before = curves(record, "history"), start(record)
    for phase in [phase for phase in PHASES if phase in found][:1]:
        if before is not None and 0 not in found[phase]:
            found[phase] = {0: before, **found[phase]}
    return found


#: What the mean over languages is called among them.
AVERAGE = "average"


@dataclass(frozen=True)
class Bars:
    """One system's scores.

    Attributes:
        name: of the system.
        values: language -> score; the average is among them.
        intervals: language -> (low, high), where there is one.
    """

    name: str
    values: Mapping[str, float]
    intervals: Mapping[str, tuple[float, float]]
