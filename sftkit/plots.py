"""Pictures: where an SFT's entries lie, and how much SFTs overlap. The only module that imports matplotlib.

Draws to files without any display. Colours are one hue from light to dark (two, meeting at the value of no effect, for
metrics that have one), and every number that decides anything is written into its cell where there is room.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sftkit.errors import SettingsError
from sftkit.format.atomic import atomic_file, check_output
from sftkit.operations.kinds import KINDS, in_model_order, kind_of, layer_of
from sftkit.operations.overlap import METRICS, OverlapReport
from sftkit.operations.summary import DiffSummary, Stats, grouped

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

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
    height = (0.26 * len(layers) + 1.6) * len(summaries)
    figure = _figure(2 * (0.62 * len(kinds) + 2.0), height)
    axes = figure.subplots(len(summaries), 2, squeeze=False, sharey=True)
    for row, summary in zip(axes, summaries, strict=True):
        cells = _cells(summary, layers, kinds)
        _heat(figure, row[0], _of(cells, lambda s: 100 * s.density), layers, kinds, "Blues", "{:.2g}")
        _heat(figure, row[1], _of(cells, lambda s: s.mean_abs), layers, kinds, "Oranges", "{:.1e}")
        row[0].set_title(f"{Path(summary.label).name}: density, % of {_count(summary)}", loc="left")
        row[1].set_title("mean |φ| of the entries", loc="left")
    _save(figure, path, overwrite)


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
    figure = _figure(max(side, 4.5), max(side, 4.0))
    axes = figure.subplots()
    form = "{:.0f}" if percent and np.nanmax(values, initial=0) >= 10 and len(report.names) > 12 else "{:.3g}"
    centre = {"sign": 50.0, "cosine": 0.0, "lift": 1.0}.get(report.metric)
    _heat(figure, axes, values, report.names, report.names, "Blues", form, centre)
    axes.set_title(f"{report.metric}{', %' if percent else ''}\n{METRICS[report.metric]}", loc="left", fontsize=9)
    _save(figure, path, overwrite)


def _figure(width: float, height: float) -> Figure:
    from matplotlib.figure import Figure  # not pyplot, which looks for a display and keeps every figure

    return Figure(figsize=(width, height), layout="constrained")


def _save(figure: Figure, path: Path, overwrite: bool) -> None:
    with atomic_file(path, overwrite=overwrite) as part:
        # no dates: the same numbers give the same picture
        metadata: dict[str, Any] = {".pdf": {"CreationDate": None}, ".svg": {"Date": None}}.get(path.suffix.lower(), {})
        figure.savefig(part, format=path.suffix[1:].lower(), dpi=150, metadata=metadata)


def _cells(summary: DiffSummary, layers: Sequence[str], kinds: Sequence[str]) -> list[list[Stats | None]]:
    by_layer = {layer: [s for s in summary.parameters if layer_of(s.name) == layer] for layer in layers}
    return [
        [next(iter(grouped(by_layer[layer], kind_of, [kind])), None) for kind in kinds] for layer in layers
    ]


def _of(cells: Sequence[Sequence[Stats | None]], value: Any) -> np.ndarray[Any, np.dtype[np.float64]]:
    return np.array([[np.nan if stats is None else value(stats) for stats in row] for row in cells], np.float64)


def _count(summary: DiffSummary) -> str:
    return f"{summary.total.size:,} (K = {summary.k:,})"


def _heat(
    figure: Figure, axes: Axes, values: Any, rows: Sequence[str], columns: Sequence[str], colours: str, form: str,
    centre: float | None = None,
) -> None:  # fmt: skip
    from matplotlib.colors import TwoSlopeNorm

    defined = values[np.isfinite(values)]
    low, high = (float(defined.min()), float(defined.max())) if len(defined) else (0.0, 1.0)
    norm = None
    if centre is None:
        low = min(low, 0.0)
    else:
        colours = "RdBu"
        reach = max(abs(high - centre), abs(low - centre), 1e-9)
        norm = TwoSlopeNorm(centre, centre - reach, centre + reach)
    limits = {} if norm else {"vmin": low, "vmax": high if high > low else low + 1}
    image = axes.imshow(values, cmap=colours, norm=norm, aspect="auto", **limits)
    axes.set_xticks(range(len(columns)), columns, rotation=90, fontsize=8)
    axes.set_yticks(range(len(rows)), rows, fontsize=8)
    axes.set_facecolor("0.93")
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)
    figure.colorbar(image, ax=axes, shrink=0.8, pad=0.02)
    for (y, x), value in np.ndenumerate(values):
        if np.isfinite(value):
            red, green, blue, _ = image.cmap(image.norm(value))
            dark = 0.3 * red + 0.59 * green + 0.11 * blue < 0.5
            axes.text(x, y, form.format(value), ha="center", va="center", fontsize=6, color="white" if dark else "0.2")
