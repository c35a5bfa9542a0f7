"""Heat maps: the colours, the numbers in the cells, the scale; and the picture of overlap, with its dendrogram."""

from __future__ import annotations

import textwrap
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sftkit.inspecting.pictures.colours import INK, NOTHING, PAPER, is_dark
from sftkit.inspecting.pictures.data import HeatMap, Matrix, overlap_map
from sftkit.inspecting.pictures.style import LONGEST, SMALL, TEXT, TINY, colour_map, columns, labels, picture

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes

    from sftkit.inspecting.overlap import OverlapReport

#: Inches of a cell: with two numbers, with one or two small ones, and with none.
_ROOMY, _TIGHT, _BARE = 0.56, 0.4, 0.15
#: Rows up to which a cell is so large.
_FEW, _MANY = 14, 60
#: Inches that a picture has at least.
_NARROWEST = 4.2
#: Inches of the dendrogram, of the scale, and of a column of a name.
_TREE, _SCALE, _LETTER = 0.9, 0.9, 0.075


def plot_overlap(report: OverlapReport, path: Path, *, overwrite: bool = False) -> None:
    """Draw the matrix as a heat map, as the paper's Figure 5, in the order of a dendrogram.

    In each cell stands what was found, and below it, smaller, what random positions would give.

    Raises:
        SettingsError, OutputExistsError: as :func:`~sftkit.inspecting.pictures.style.check_picture`.
    """
    heat = overlap_map(report)
    count = len(heat.rows)
    cell = _ROOMY if count <= _FEW else _TIGHT if count <= _MANY else _BARE
    beside = _LETTER * min(LONGEST, max(map(columns, heat.rows))) + 0.2
    cell = max(cell, (_NARROWEST - beside - _SCALE) / count)
    tree = _TREE if count > 2 and heat.joins is not None else 0.0
    width = cell * count + beside + _SCALE
    told = "" if heat.beside is None else ". Below each value: expected at random within each parameter"
    title = _wrapped(heat.title + told, width)
    with picture(
        path, width, cell * count + beside + tree + 0.2 * title.count("\n") + 0.4, overwrite=overwrite
    ) as figure:
        figure.suptitle(title, x=0.01, ha="left", fontsize=TEXT)
        if tree:
            above, axes = figure.subplots(2, 1, height_ratios=(tree, cell * count), sharex=True)
            _draw_tree(above, heat)
        else:
            axes = figure.subplots()
        draw_heat([axes], [heat], numbers=SMALL + 0.5 if count <= _FEW else TINY if count <= _MANY else 0.0)


def _wrapped(text: str, width: float) -> str:
    return textwrap.fill(text, int(width / _LETTER / 1.05))


def draw_heat(
    axes: Sequence[Axes],
    heats: Sequence[HeatMap],
    *,
    numbers: float = SMALL,
    across: int = 1,
    names: bool = True,
) -> None:
    """Draw maps of the same rows, columns and colours, with one scale for all; names stand at the left and below once.

    Args:
        axes: for each map.
        heats: the maps.
        numbers: points of the numbers in the cells; 0 for none.
        across: how many stand side by side.
        names: whether the rows are named, which another map beside may do.
    """
    first = heats[0]
    small = SMALL if len(first.rows) <= _MANY else TINY - 1
    for at, (ax, heat) in enumerate(zip(axes, heats, strict=True)):
        mesh = ax.pcolormesh(
            heat.values, cmap=colour_map(heat.scale), vmin=heat.low, vmax=heat.high,
            edgecolors="white", linewidth=0.4,
        )  # fmt: skip
        ax.set(xlim=(0, max(1, len(heat.columns))), ylim=(max(1, len(heat.rows)), 0))
        below, beside = at + across >= len(heats), names and at % across == 0
        ax.set_xticks(_middles(heat.columns), labels(heat.columns) if below else [], rotation=90, fontsize=small)
        ax.set_yticks(_middles(heat.rows), labels(heat.rows) if beside else [], fontsize=small)
        ax.tick_params(length=0)
        ax.spines[:].set_visible(False)
        ax.patch.set(facecolor=NOTHING, hatch="////", edgecolor="#cccccc")
        if numbers:
            _write_numbers(ax, heat, numbers)
    _scale(axes, first, mesh)


def _middles(names: Sequence[str]) -> Matrix:
    return np.arange(len(names), dtype=np.float64) + 0.5


def _scale(axes: Sequence[Axes], heat: HeatMap, mesh: Any) -> None:
    """The scale beside the maps, not taller than three inches; with a line at the value of no effect."""
    part = axes[0].get_figure()
    assert part is not None
    height = part.bbox.height / part.dpi  # of this part of the picture, in inches
    bar = part.colorbar(mesh, ax=list(axes), shrink=min(0.8, 3 / height), pad=0.015, aspect=18, fraction=0.05)
    bar.outline.set_visible(False)
    bar.ax.tick_params(labelsize=SMALL)
    if heat.neutral is not None:
        bar.ax.axhline(heat.neutral, color=PAPER, linewidth=1.5)


def _write_numbers(axes: Axes, heat: HeatMap, size: float) -> None:
    """What was found; and what was expected below it."""
    if size <= TINY and heat.high >= 10:
        heat = replace(heat, form="{:.0f}")
    for (y, x), value in np.ndenumerate(heat.values):
        if not np.isfinite(value):
            continue
        colour = PAPER if is_dark(heat.colour(float(value))) else INK
        place: dict[str, Any] = {"ha": "center", "color": colour}
        if heat.beside is None:
            axes.text(x + 0.5, y + 0.5, heat.told(value), va="center", fontsize=size, **place)
        else:
            axes.text(x + 0.5, y + 0.56, heat.told(value), va="bottom", fontsize=size, **place)
            axes.text(x + 0.5, y + 0.6, heat.told(float(heat.beside[y, x])), va="top", fontsize=size - 1.5, **place)


def _draw_tree(axes: Axes, heat: HeatMap) -> None:
    """The dendrogram above the columns: where two branches join stands the mean of what they have in common."""
    from matplotlib.collections import LineCollection
    from scipy.cluster.hierarchy import dendrogram

    assert heat.joins is not None
    tree = dendrogram(heat.joins, no_plot=True)
    highest = float(heat.joins[:, 2].max()) or 1.0
    lines = np.stack((np.array(tree["icoord"]) / 10, np.array(tree["dcoord"])), axis=2)
    ends = lines[:, (0, 3), 1]  # a leaf hangs a little below the lowest join, which would not be seen otherwise
    lines[:, (0, 3), 1] = np.where(ends == 0, -0.08 * highest, ends)
    lines[:, :, 1] = heat.top - lines[:, :, 1]
    axes.add_collection(LineCollection(list(lines), colors=INK, linewidths=0.9))
    axes.set_ylim(heat.top + 0.08 * highest, heat.top - 1.06 * highest)
    axes.locator_params(axis="y", nbins=3)
    axes.tick_params(labelbottom=False, labelsize=TINY, length=2)
    axes.tick_params(axis="x", length=0)
    axes.spines["bottom"].set_visible(False)
    axes.set_ylabel("joined at", fontsize=TINY)
