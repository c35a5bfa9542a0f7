"""The picture of scores: a bar for each language and system, with its interval; the average below.

Bars lie, so that names of languages can be read however many there are. Systems differ in lightness and in hatching as
well as in colour: they are told apart in grey, and by those who see few colours.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sftkit.inspecting.plots import check_picture, new_figure, save_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.container import BarContainer

#: After Okabe and Ito 2008; neighbours differ in lightness.
_COLOURS = ("#0072B2", "#E69F00", "#F4F1DE", "#009E73", "#CC79A7", "#56B4E9")
_HATCHES = ("", "///", "...", "xxx", "---", "++")
#: Inches: of a bar at most and at least, of all bars if they can be so thin, and of what is no bar.
_THICKEST, _THINNEST, _ALL, _REST = 0.16, 0.07, 9.0, 1.1
AVERAGE = "average"


@dataclass(frozen=True)
class Bars:
    """One system's.

    Attributes:
        name: of the system.
        values: language -> score; the average is among them.
        intervals: language -> (low, high), where there is one.
    """

    name: str
    values: Mapping[str, float]
    intervals: Mapping[str, tuple[float, float]]


def draw_scores(metric: str, systems: Sequence[Bars], path: Path, *, overwrite: bool = False) -> None:
    """Draw scores.

    Args:
        metric: what they are.
        systems: all of the same languages.
        path: a name in .png, .pdf or .svg.
        overwrite: replace an existing picture.

    Raises:
        SettingsError, OutputExistsError: as :func:`~sftkit.inspecting.plots.check_picture`.
    """
    check_picture(path, overwrite=overwrite)
    names = list(systems[0].values)
    bars = len(systems) + 0.85  # between two languages there is almost a bar's room
    inches = min(max(_ALL / len(names) / bars, _THINNEST), _THICKEST)
    thick = 1 / bars
    figure = new_figure(7.0, _REST + inches * bars * len(names))
    axes = figure.subplots()
    drawn: list[Any] = []
    for i, system in enumerate(systems):
        places = np.arange(len(names)) + (i - (len(systems) - 1) / 2) * thick
        drawn.append(_bars(axes, system, places, thick, i))
    _lines_and_names(axes, names, small=inches * bars < 0.2)
    told = "; lines: 95 % bootstrap intervals" if any(system.intervals for system in systems) else ""
    axes.set_xlabel(metric.replace("_", " ") + told, fontsize=9)
    if len(systems) > 1:
        labels = [_plain(system.name) for system in systems]
        figure.legend(drawn, labels, loc="outside upper left", ncols=min(len(systems), 4), frameon=False, fontsize=9)
    save_figure(figure, path, overwrite)


def _bars(axes: Axes, system: Bars, places: Any, thick: float, number: int) -> BarContainer:
    colour = _COLOURS[number % len(_COLOURS)]
    hatch = _HATCHES[(number + number // len(_COLOURS)) % len(_HATCHES)]
    values = np.array(list(system.values.values()))
    made = axes.barh(places, values, 0.92 * thick, color=colour, hatch=hatch, edgecolor="0.15", linewidth=0.6)
    there = [i for i, name in enumerate(system.values) if name in system.intervals]
    if there:
        ends = np.array([system.intervals[name] for name in system.values if name in system.intervals])
        # a white line below the black one: seen on dark bars, too
        for colour, width in (("white", 2.6), ("black", 1.1)):
            axes.hlines(places[there], ends[:, 0], ends[:, 1], color=colour, linewidth=width, zorder=3)
    return made


def _lines_and_names(axes: Axes, names: Sequence[str], *, small: bool) -> None:
    axes.set_yticks(range(len(names)), [_plain(name) for name in names], fontsize=7 if small else 9)
    axes.set_ylim(len(names) - 0.5, -0.5)  # the first language above
    axes.set_xlim(left=0)
    if AVERAGE in names and len(names) > 1:
        axes.axhline(len(names) - 1.5, color="0.4", linewidth=0.8)
    axes.tick_params(axis="y", length=0)
    axes.tick_params(axis="x", labelsize=8)
    axes.grid(axis="x", alpha=0.35)
    axes.set_axisbelow(True)
    axes.spines[["top", "right", "left"]].set_visible(False)


def _plain(name: str) -> str:
    """A name as it is: between two dollar signs stand formulas."""
    return name.replace("$", r"\$")
