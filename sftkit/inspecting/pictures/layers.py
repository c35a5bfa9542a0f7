"""The picture of what SFTs hold: density and mean |φ| by layer and kind of module, and how large the entries are."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sftkit.inspecting.pictures.data import HeatMap, density_maps, magnitude_maps, short_names
from sftkit.inspecting.pictures.heat import draw_heat
from sftkit.inspecting.pictures.style import LONGEST, SMALL, TEXT, TINY, TITLE, labels, picture, series

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import SubFigure

    from sftkit.inspecting.summary import DiffSummary

#: Maps side by side; with more SFTs the next ones stand below.
_ACROSS = 6
#: Inches of a cell with a number in it and of one without, width and height.
_WITH, _WITHOUT = (0.46, 0.22), (0.24, 0.15)
#: Inches of names and scale, of a title, of the names of kinds, and of the histogram.
_BESIDE, _TITLE, _KINDS, _HISTOGRAM = 2.1, 0.45, 1.1, 2.2


def plot_summaries(summaries: Sequence[DiffSummary], path: Path, *, overwrite: bool = False) -> None:
    """Draw density and mean |φ| by layer and kind of module, a map of each for every SFT, and the histogram of |φ|.

    All maps of one kind have their names and their colours in common.

    Raises:
        SettingsError, OutputExistsError: as :func:`~sftkit.inspecting.pictures.style.check_picture`.
    """
    densities, magnitudes = density_maps(summaries), magnitude_maps(summaries)
    alone = len(summaries) == 1  # one SFT's two maps stand side by side; of several the magnitudes below the densities
    cell = _WITH if alone else _WITHOUT
    across = 2 if alone else min(len(summaries), _ACROSS)
    down = -(-len(summaries) // _ACROSS)
    rows, kinds = max(1, len(densities[0].rows)), max(1, len(densities[0].columns))
    width = across * (kinds * cell[0] + 0.15) + _BESIDE + (0.7 if alone else 0)
    block = down * (rows * cell[1] + _TITLE) + _KINDS
    histogram = max(_HISTOGRAM, 0.18 * len(summaries) + 0.4) if any(summary.k for summary in summaries) else 0.0
    heights = [part for part in (block, 0.0 if alone else block, histogram) if part]
    with picture(path, max(width, 6.0), sum(heights), overwrite=overwrite) as figure:
        names = labels(short_names(summaries))
        figures = np.atleast_1d(np.asarray(figure.subfigures(len(heights), 1, height_ratios=heights)))
        if alone:
            _draw_one(figures[0], densities[0], magnitudes[0], names[0])
        else:
            for figure, heats in zip(figures, (densities, magnitudes), strict=False):
                _draw_several(figure, heats, short_names(summaries))
        if histogram:
            _draw_histogram(figures[-1].subplots(), summaries, names)


def _draw_one(figure: SubFigure, density: HeatMap, magnitude: HeatMap, name: str) -> None:
    """The two maps of one SFT, each with its own scale and with names of layers in common."""
    figure.suptitle(name, x=0.01, ha="left", fontsize=TITLE)
    left, right = figure.subplots(1, 2)
    for ax, heat, beside in ((left, density, True), (right, magnitude, False)):
        ax.set_title(heat.title, fontsize=TEXT)
        draw_heat([ax], [heat], numbers=TINY, names=beside)


def _draw_several(figure: SubFigure, heats: Sequence[HeatMap], names: Sequence[str]) -> None:
    """A map for each SFT; names of layers at the left, of kinds below the last row."""
    across = min(len(heats), _ACROSS)
    figure.suptitle(heats[0].title, x=0.01, ha="left", fontsize=TITLE)
    axes = figure.subplots(-(-len(heats) // across), across, squeeze=False)
    letters = int(len(heats[0].columns) * _WITHOUT[0] / 0.085)  # that fit above a map
    for ax, name in zip(axes.flat, labels(names, max(12, min(letters, LONGEST))), strict=False):
        ax.set_title(name, fontsize=TEXT)
    for ax in axes.flat[len(heats) :]:
        ax.remove()
    draw_heat(list(axes.flat[: len(heats)]), heats, numbers=0.0, across=across)


def _draw_histogram(axes: Axes, summaries: Sequence[DiffSummary], names: Sequence[str]) -> None:
    """The number of entries by |φ|, a line for each SFT."""
    for at, (summary, name) in enumerate(zip(summaries, names, strict=True)):
        # K first: a name that is read from right to left would turn around what follows it
        look: dict[str, Any] = {
            "color": series(at).colour,
            "linestyle": series(at).dash,
            "label": f"K = {summary.k:,}: {name}",
        }
        if summary.histogram is None:
            axes.plot([], [], **look)
        else:
            axes.stairs(summary.histogram.counts, summary.histogram.edges, linewidth=1.3, fill=False, **look)
    axes.set_xscale("log")
    axes.set_ylim(bottom=0)
    axes.set_xlabel("|φ|, eight bins to a power of ten; the first: or less", loc="left")
    axes.set_ylabel("entries")
    axes.yaxis.set_major_formatter(lambda count, _: f"{count:,.0f}")
    axes.grid(visible=True)
    axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), fontsize=SMALL)
