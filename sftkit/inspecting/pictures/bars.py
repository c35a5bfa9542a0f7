"""The picture of scores: a bar for each language and system, with its interval; the average below.

Bars lie, so that names of languages can be read however many there are. Systems differ in lightness and in hatching as
well as in colour: they are told apart in grey, and by those who see few colours.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sftkit.inspecting.pictures.data import AVERAGE, Bars
from sftkit.inspecting.pictures.style import SMALL, TEXT, label, labels, picture, series

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: Inches: of a bar at most and at least, of all bars if they can be so thin, and of what is no bar.
_THICKEST, _THINNEST, _ALL, _REST = 0.16, 0.07, 9.0, 0.9
#: Systems side by side in the legend.
_LEGEND = 3


def draw_scores(metric: str, systems: Sequence[Bars], path: Path, *, overwrite: bool = False) -> None:
    """Draw scores.

    Args:
        metric: what they are.
        systems: all of the same languages.
        path: a name in .png, .pdf or .svg.
        overwrite: replace an existing picture.

    Raises:
        SettingsError, OutputExistsError: as :func:`~sftkit.inspecting.pictures.style.check_picture`.
    """
    names = list(systems[0].values)
    bars = len(systems) + 0.85  # between two languages there is almost a bar's room
    inches = min(max(_ALL / len(names) / bars, _THINNEST), _THICKEST)
    rows = -(-len(systems) // _LEGEND)
    told = "; lines: 95 % bootstrap intervals" if any(system.intervals for system in systems) else ""
    with picture(path, 7.0, _REST + 0.2 * rows + inches * bars * len(names), overwrite=overwrite) as figure:
        axes = figure.subplots()
        drawn = [_draw_bars(axes, system, at, len(systems), 1 / bars) for at, system in enumerate(systems)]
        small = inches * bars < 0.2
        axes.set_yticks(range(len(names)), labels(names), fontsize=SMALL if small else TEXT)
        _set_axes(axes, names, negative=any(value < 0 for each in systems for value in each.values.values()))
        axes.set_xlabel(label(metric.replace("_", " ")) + told)
        if len(systems) > 1:
            called = labels([system.name for system in systems], 28)
            figure.legend(drawn, called, loc="outside upper left", ncols=min(len(systems), _LEGEND))


def _draw_bars(axes: Axes, system: Bars, number: int, systems: int, thick: float) -> Any:
    """One system's: hatched in white, which is seen on every colour, with a line for each interval."""
    places = np.arange(len(system.values)) + (number - (systems - 1) / 2) * thick
    values, look = _finite(list(system.values.values())), series(number)
    made = axes.barh(places, values, 0.92 * thick, color=look.colour, hatch=look.hatch, edgecolor="white", linewidth=0)
    there = [i for i, name in enumerate(system.values) if name in system.intervals]
    if there:
        ends = _finite([system.intervals[name] for name in system.values if name in system.intervals])
        # a white line below the black one: seen on dark bars, too
        for colour, width in (("white", 2.6), ("black", 1.1)):
            axes.hlines(places[there], ends[:, 0], ends[:, 1], color=colour, linewidth=width, zorder=3)
    return made


def _finite(values: Sequence[Any]) -> Any:
    """As an array; what is no number of this world is no number."""
    made = np.array(values, np.float64)
    return np.where(np.isfinite(made), made, np.nan)


def _set_axes(axes: Axes, names: Sequence[str], *, negative: bool) -> None:
    axes.set_ylim(len(names) - 0.5, -0.5)  # the first language above
    if not negative:
        axes.set_xlim(left=0)
    if AVERAGE in names and len(names) > 1:
        axes.axhline(len(names) - 1.5, color="0.4", linewidth=0.8)
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="x")
    axes.spines["left"].set_visible(False)
