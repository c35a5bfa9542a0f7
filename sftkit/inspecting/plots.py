"""Pictures: where an SFT's entries lie, how much SFTs overlap, how they were learned.

The only module that imports matplotlib. Draws to files without any display. Colours are one hue from light to dark
(two, meeting at the value of no effect, for metrics that have one), and every number that decides anything is written
into its cell where there is room.
"""

from __future__ import annotations

import textwrap
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sftkit.errors import SettingsError
from sftkit.inspecting.curves import PHASES, Curve, best, curves
from sftkit.inspecting.kinds import KINDS, in_model_order, kind_of, layer_of
from sftkit.inspecting.overlap import METRICS, Matrix, OverlapReport
from sftkit.inspecting.stats import Stats, grouped
from sftkit.shown import shown
from sftkit.storage.atomic import atomic_file, check_output

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from sftkit.inspecting.summary import DiffSummary

# The value that says "no effect", and how far from it the colours reach at least: noise must not look like much.
_NEUTRAL = {"sign": (50.0, 10.0), "cosine": (0.0, 0.1), "lift": (1.0, 0.5)}

_COLOURS = {"phase1": "tab:blue", "phase2": "tab:orange"}

#: Inches of a picture, which has 150 dots in each: beyond 2^16 dots it cannot be drawn.
_LARGEST = 400
#: How a picture's name may end.
FORMATS = (".png", ".pdf", ".svg")


def check_picture(path: Path, *, overwrite: bool) -> None:
    """Refuse early a picture that could not be written at the end.

    Raises:
        SettingsError: if the file's ending is not one of :data:`FORMATS`.
        OutputExistsError: if it exists and may not be replaced.
    """
    if path.suffix.lower() not in FORMATS:
        raise SettingsError(f"{path}: a picture's name ends in {', '.join(FORMATS)}.")
    check_output(path, overwrite=overwrite)


def plot_summaries(summaries: Sequence[DiffSummary], path: Path, *, overwrite: bool = False) -> None:
    """Draw density and mean |φ| by layer and kind of module, a row of two maps for each SFT.

    Raises:
        SettingsError, OutputExistsError: as :func:`check_picture`.
    """
    check_picture(path, overwrite=overwrite)
    layers = in_model_order(layer for summary in summaries for layer in map(layer_of, summary.metadata.parameters))
    present = {kind_of(name) for summary in summaries for name in summary.metadata.parameters}
    kinds = [kind for kind in KINDS if kind in present]
    figure = new_figure(2 * (0.62 * len(kinds) + 2.0), (0.26 * len(layers) + 1.6) * len(summaries))
    densities = [_cells(summary, layers, kinds, lambda stats: 100 * stats.density) for summary in summaries]
    means = [
        _cells(summary, layers, kinds, lambda stats: stats.mean_abs if stats.nnz else np.nan) for summary in summaries
    ]
    axes = figure.subplots(len(summaries), 2, squeeze=False, sharey=True)
    for row, summary, density, mean in zip(axes, summaries, densities, means, strict=True):
        _heat(figure, row[0], density, layers, kinds, _Look("Blues", "{:.2g}", 0.0, _largest(densities)))
        _heat(figure, row[1], mean, layers, kinds, _Look("Oranges", "{:.1e}", 0.0, _largest(means)))
        row[0].set_title(f"{_plain(Path(summary.label).name)}: density, % (K = {summary.k:,})", loc="left", fontsize=9)
        row[1].set_title("mean |φ| of the entries", loc="left", fontsize=9)
    save_figure(figure, path, overwrite)


def plot_overlap(report: OverlapReport, path: Path, *, overwrite: bool = False) -> None:
    """Draw the matrix as a heat map with its numbers, as the paper's Figure 5.

    Raises:
        SettingsError, OutputExistsError: as :func:`check_picture`.
    """
    check_picture(path, overwrite=overwrite)
    percent = report.metric in ("share", "jaccard", "sign")
    values = report.whole.matrix * (100 if percent else 1)
    np.fill_diagonal(values, np.nan)  # an SFT overlaps with itself entirely: that would only take the contrast away
    side = 0.42 * len(report.names) + 2.2
    figure = new_figure(max(side, 4.5), max(side, 4.0))
    axes = figure.subplots()
    _heat(figure, axes, values, report.names, report.names, _overlap_look(report.metric, values))
    chances = report.whole.expected[~np.eye(len(report.names), dtype=bool)] * (100 if percent else 1)
    said = f"{report.metric}{', %' if percent else ''}: {METRICS[report.metric]}"
    title = f"{said}; at random within each parameter {_span(chances)}"
    figure.suptitle(textwrap.fill(_plain(title), int(12 * figure.get_figwidth())), x=0.02, ha="left", fontsize=8)
    save_figure(figure, path, overwrite)


def _span(values: Matrix) -> str:
    """The lowest and the highest of some numbers, or the one that they all are."""
    defined = values[np.isfinite(values)]
    if not len(defined):
        return "undefined"
    low, high = f"{defined.min():.3g}", f"{defined.max():.3g}"
    return low if low == high else f"{low} to {high}"


@dataclass(frozen=True, slots=True)
class _Look:
    """Colours, the form of the numbers, and the values at both ends of the colours."""

    colours: str
    form: str
    low: float
    high: float


def _overlap_look(metric: str, values: Matrix) -> _Look:
    if metric in _NEUTRAL:
        neutral, least = _NEUTRAL[metric]
        reach = max(least, _largest([np.abs(values - neutral)]))
        return _Look("RdBu", "{:.3g}", neutral - reach, neutral + reach)
    high = _largest([values])
    return _Look("Blues", "{:.0f}" if high >= 10 and len(values) > 12 else "{:.3g}", 0.0, high)


def _largest(matrices: Sequence[Matrix]) -> float:
    return max(float(np.nanmax(matrix, initial=0.0)) for matrix in matrices) or 1.0


def learning_curves(records: Mapping[str, Mapping[str, Any]], path: Path, *, overwrite: bool = False) -> None:
    """Draw what training records say of their phases: the metric on held-out data, and the training loss.

    Args:
        records: name -> ``training`` of an SFT's metadata; a row each.
        path: where.
        overwrite: replace an existing picture.

    Raises:
        SettingsError, OutputExistsError: as :func:`check_picture`; a SettingsError, too, if no record has curves.
    """
    check_picture(path, overwrite=overwrite)
    drawn = {name: record for name, record in records.items() if curves(record, "history")}
    if not drawn:
        raise SettingsError(f"{', '.join(records)}: no learning curves are recorded.")
    figure = new_figure(9.0, 3.2 * len(drawn))
    for row, (name, record) in zip(figure.subplots(len(drawn), 2, squeeze=False), drawn.items(), strict=True):
        step, value, metric = best(record) or (None, None, "score")
        _curves(row[0], curves(record, "history"))
        if step is not None:
            row[0].plot(step, value, "o", markersize=8, fillstyle="none", color=_COLOURS["phase2"], label="kept")
        row[0].set_title(_plain(f"{name}: {metric}, held out"), loc="left", fontsize=9)
        row[0].legend(frameon=False, fontsize=8)
        _curves(row[1], curves(record, "losses"))
        row[1].set_title("training loss since the evaluation before", loc="left", fontsize=9)
    save_figure(figure, path, overwrite)


def _curves(axes: Axes, phases: Mapping[str, Curve]) -> None:
    """A line for each phase."""
    for phase, curve in phases.items():
        steps, values = list(curve), list(curve.values())
        axes.plot(steps, values, marker="o", markersize=2.5, color=_COLOURS[phase], label=PHASES[phase])
    axes.set_xlabel("step", fontsize=8)
    axes.tick_params(labelsize=8)
    axes.grid(alpha=0.3)


def new_figure(width: float, height: float) -> Figure:
    """An empty figure, in inches."""
    from matplotlib.figure import Figure  # not pyplot, which looks for a display and keeps every figure

    if max(width, height) > _LARGEST:
        raise SettingsError(f"A picture of it would have {width:,.0f} × {height:,.0f} inches: too much to be drawn.")
    return Figure(figsize=(width, height), layout="constrained")


def _plain(text: str) -> str:
    """Text for a picture, in which no dollar begins a formula."""
    return shown(text).replace("$", r"\$")


def save_figure(figure: Figure, path: Path, overwrite: bool) -> None:
    """Write it in the format that its name's ending says.

    Raises:
        OutputExistsError: if it exists and may not be replaced.
    """
    with atomic_file(path, overwrite=overwrite) as part:
        # no dates: the same numbers give the same picture
        metadata: dict[str, Any] = {".pdf": {"CreationDate": None}, ".svg": {"Date": None}}.get(path.suffix.lower(), {})
        figure.savefig(part, format=path.suffix[1:].lower(), dpi=150, metadata=metadata)


def _cells(
    summary: DiffSummary, layers: Sequence[str], kinds: Sequence[str], value: Callable[[Stats], float]
) -> Matrix:
    """A value for every layer and kind, NaN where there is no such parameter."""
    result = np.full((len(layers), len(kinds)), np.nan)
    for at, layer in enumerate(layers):
        for stats in grouped([s for s in summary.parameters if layer_of(s.name) == layer], kind_of, kinds):
            result[at, kinds.index(stats.name)] = value(stats)
    return result


def _heat(figure: Figure, axes: Axes, values: Matrix, rows: Sequence[str], columns: Sequence[str], look: _Look) -> None:
    image = axes.imshow(values, cmap=look.colours, vmin=look.low, vmax=look.high, aspect="auto")
    axes.set_xticks(range(len(columns)), list(map(_plain, columns)), rotation=90, fontsize=8)
    axes.set_yticks(range(len(rows)), list(map(_plain, rows)), fontsize=8)
    axes.set_facecolor("0.93")
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)
    figure.colorbar(image, ax=axes, shrink=0.8, pad=0.02).ax.tick_params(labelsize=7)
    colours: Any = image.cmap(image.norm(values))
    for (y, x), value in np.ndenumerate(values):
        if np.isfinite(value):
            red, green, blue, _ = colours[y, x]
            dark = 0.3 * red + 0.59 * green + 0.11 * blue < 0.55
            text = look.form.format(value)
            axes.text(x, y, text, ha="center", va="center", fontsize=6, color="white" if dark else "0.2")
