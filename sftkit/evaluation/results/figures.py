"""The paper's figures of scores: against K (Figure 2), density × density (Figure 3), bars by language (Table 5).

Each function draws, and returns the numbers that it drew, as ``--json`` shows them.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sftkit.errors import SettingsError
from sftkit.evaluation.results import look
from sftkit.evaluation.results.means import Mean, mean
from sftkit.evaluation.results.panels import Point, ScorePanel, language_mean
from sftkit.evaluation.results.table import LANGUAGE_DENSITY
from sftkit.inspecting.pictures.style import SMALL, TEXT, TINY, label, picture

if TYPE_CHECKING:
    from matplotlib.axes import Axes

AVERAGE = "average"
#: Panels side by side at most; inches of one.
_ABREAST, _WIDE, _HIGH = 3, 3.6, 2.9
#: Sizes on an axis that are named one by one at most.
_NAMED = 6


def draw_sweep(panels: Sequence[ScorePanel], path: Path, *, overwrite: bool = False) -> list[dict[str, Any]]:
    """Score against the number of tuned entries, a line a method, with 95 % intervals.

    What has no entries has no place on a logarithmic axis: a note says so.

    Raises:
        SettingsError: if a method has several densities of languages, or its size is not known, or nothing has one.
    """
    by_k = all(point.k is not None for panel in panels for point in panel.points)
    drawn = [_sweep_numbers(panel, by_k) for panel in panels]
    columns, rows = min(len(panels), _ABREAST), math.ceil(len(panels) / _ABREAST)
    methods = list(dict.fromkeys(series["method"] for numbers in drawn for series in numbers["series"]))
    with picture(path, _WIDE * columns + 0.4, _HIGH * rows + 0.5, overwrite=overwrite) as figure:
        grid = figure.subplots(rows, columns, squeeze=False).flat
        for axes, panel, numbers in zip(grid, panels, drawn, strict=False):
            look.frame(axes, panel.title)
            for series in numbers["series"]:
                _curve(axes, series["points"], panel.scale, by_k, methods.index(series["method"]))
            points = [point for each in numbers["series"] for point in each["points"]]
            _size_axis(axes, [point["k"] if by_k else 100 * point["density"] for point in points], by_k=by_k)
            if panel.scale == 100:
                axes.set_ylim(*_of_shares(axes.get_ylim(), min(point["mean"] for point in points)))
            axes.set_xlabel("K, entries of the task SFT" if by_k else "density of the task SFT, %", fontsize=TEXT)
        for axes in list(grid):
            axes.set_visible(False)
        for axes in figure.axes[len(panels) :]:
            axes.set_visible(False)
        handles = [figure.axes[0].plot([], [], **look.line(at))[0] for at in range(len(methods))]
        look.legend(figure, handles, methods)
    return drawn


def _of_shares(ends: tuple[float, float], lowest: float = 0.0) -> tuple[float, float]:
    """The ends of an axis of per cent: intervals of few languages reach far beyond what there is, and would flatten it.

    A little more than 100, for a mark to stand there whole. Below 0 only if the lowest mean is.
    """
    return max(ends[0], 0.0 if lowest >= 0 else -102.0), min(ends[1], 102.0)


def _size_axis(axes: Axes, sizes: Sequence[float], *, by_k: bool) -> None:
    """Logarithmic; few sizes are named as they are, for matplotlib crowds a short range with powers of ten."""
    axes.set_xscale("log")
    named = list[float]()
    for size in sorted(sizes):  # of those that stand too close for their names the first
        named += [size] if not named or size > 1.15 * named[-1] else []
    if len(named) <= _NAMED:
        axes.set_xticks(named, [f"{size:,.0f}" if by_k else f"{size:.3g}" for size in named])
        axes.minorticks_off()


def _sweep_numbers(panel: ScorePanel, by_k: bool) -> dict[str, Any]:
    units = panel.common(panel.points)
    series = []
    for method in panel.methods:
        points = panel.of(method)
        _one_language_density(panel, method, points)
        if not by_k and any(point.setting.density is None for point in points):
            raise SettingsError(f"{panel.title}: neither k nor density of {method} is known.")
        made = [(size, point) for point in points if (size := _size(point, by_k)) > 0]
        if len(made) < len(points):
            panel.notes.append(f"{panel.title}: {method} of size 0 is left out: the axis of sizes is logarithmic.")
        made.sort(key=lambda pair: pair[0])
        if made:
            series.append({"method": method, "points": [_point(point, mean(point.values, units)) for _, point in made]})
    if not series:
        raise SettingsError(f"{panel.title}: no {'k' if by_k else 'density'} is above 0. Draw --figure languages.")
    return {"task": panel.task, "metric": panel.metric, "units": len(units), "series": series}


def _size(point: Point, by_k: bool) -> float:
    return (point.k if by_k else point.setting.density) or 0.0


def _one_language_density(panel: ScorePanel, method: str, points: Sequence[Point]) -> None:
    densities = sorted({each for point in points if (each := point.setting.language_density) is not None})
    if len(densities) > 1:
        raise SettingsError(
            f"{panel.title}: {method} has {len(densities)} densities of languages. Choose one with "
            f"--where {LANGUAGE_DENSITY}={densities[0]:g}, or draw --figure contour."
        )


def _point(point: Point, found: Mean) -> dict[str, Any]:
    return {"k": point.k, "density": point.setting.density} | found.document()


def _curve(axes: Axes, points: Sequence[dict[str, Any]], scale: float, by_k: bool, number: int) -> None:
    places = np.array([point["k"] if by_k else 100 * point["density"] for point in points], float)
    places *= 1.03 ** (number - 1)  # so that intervals of different methods do not hide each other
    values = scale * np.array([point["mean"] for point in points], float)
    ends = scale * np.array([[point["low"], point["high"]] for point in points], float)
    axes.plot(places, values, **look.line(number))
    axes.vlines(places, ends[:, 0], ends[:, 1], color=look.line(number)["color"], linewidth=1.1, alpha=0.8)


def draw_languages(panels: Sequence[ScorePanel], path: Path, *, overwrite: bool = False) -> list[dict[str, Any]]:
    """A bar for each language and method with its 95 % interval, and the average; methods at their best density."""
    drawn = [language_numbers(panel) for panel in panels]
    languages = dict.fromkeys(language for panel in panels for language in panel.languages)
    names = [*languages, mean_name(languages)]
    methods = list(dict.fromkeys(method for panel in panels for method in panel.methods))
    thick = min(max(9.0 / len(names) / (len(methods) + 0.9), 0.055), 0.16)
    height = 1.2 + thick * (len(methods) + 0.9) * len(names)
    with picture(path, 1.4 + _WIDE * len(panels), height, overwrite=overwrite) as figure:
        grid = figure.subplots(1, len(panels), squeeze=False, sharey=True)[0]
        for axes, panel, numbers in zip(grid, panels, drawn, strict=True):
            look.frame(axes, panel.title)
            axes.grid(visible=False, axis="y")
            for each in numbers["methods"]:
                _bars(axes, each, names, panel.scale, methods.index(each["method"]), len(methods))
            axes.axhline(len(names) - 1.5, color="0.4", linewidth=0.8)
            if panel.scale == 100:
                axes.set_xlim(*_of_shares(axes.get_xlim(), _lowest(numbers)))
            axes.tick_params(axis="y", length=0)
        grid[0].set_yticks(range(len(names)), [label(name) for name in names], fontsize=SMALL)
        grid[0].set_ylim(len(names) - 0.5, -0.5)  # the first language above
        handles = [figure.axes[0].barh([0], [np.nan], **look.bar(at)) for at in range(len(methods))]
        look.legend(figure, handles, methods)
    return drawn


def mean_name(languages: Collection[str]) -> str:
    """How the languages' mean is called beside them."""
    return f"{AVERAGE} of all" if AVERAGE in languages else AVERAGE


def _lowest(numbers: dict[str, Any]) -> float:
    return min(float(one["mean"]) for each in numbers["methods"] for one in each["languages"].values())


def language_numbers(panel: ScorePanel) -> dict[str, Any]:
    """Per language and on average, each method at its best setting; the average over what all methods have."""
    best = panel.best()
    units = panel.common(best)
    methods = []
    for point in best:
        found = {language: language_mean(point, language) for language in panel.languages}
        languages = {language: each.document() for language, each in found.items() if each is not None}
        density = {"language_density": point.setting.language_density, **_point(point, mean(point.values, units))}
        methods.append({"method": point.method, **density, "languages": languages})
    return {"task": panel.task, "metric": panel.metric, "units": len(units), "methods": methods}


def _bars(axes: Axes, each: dict[str, Any], names: Sequence[str], scale: float, number: int, count: int) -> None:
    thick = 1 / (count + 0.9)
    found = [*map(each["languages"].get, names[:-1]), each]
    there = [(at, one) for at, one in enumerate(found) if one is not None]
    places = np.array([at for at, _ in there]) + (number - (count - 1) / 2) * thick
    axes.barh(places, [scale * one["mean"] for _, one in there], 0.94 * thick, **look.bar(number))
    ends = [(place, one) for place, (_, one) in zip(places, there, strict=True)]
    known = [(place, scale * one["low"], scale * one["high"]) for place, one in ends if one["low"] is not None]
    if known:
        at, low, high = np.array(known).T
        for colour, width in (("white", 2.2), ("black", 0.9)):  # seen on dark bars, too
            axes.hlines(at, low, high, color=colour, linewidth=width, zorder=3)


def draw_contour(panels: Sequence[ScorePanel], path: Path, *, overwrite: bool = False) -> list[dict[str, Any]]:
    """Score by the density of the language's SFT and of the task's, a panel a task, metric and method.

    Raises:
        SettingsError: if no method has two of both, or one has too few combinations of them for an area.
    """
    drawn = [found for panel in panels for method in panel.methods if (found := _contour_numbers(panel, method))]
    if not drawn:
        raise SettingsError(f"No method has scores at two or more densities of both: density and {LANGUAGE_DENSITY}.")
    columns, rows = min(len(drawn), _ABREAST), math.ceil(len(drawn) / _ABREAST)
    titles = {(panel.task, panel.metric): (panel.title, panel.scale) for panel in panels}
    with picture(path, (_WIDE + 0.7) * columns, (_HIGH + 0.7) * rows, overwrite=overwrite) as figure:
        grid = figure.subplots(rows, columns, squeeze=False).flat
        for axes, numbers in zip(grid, drawn, strict=False):
            title, scale = titles[numbers["task"], numbers["metric"]]
            look.frame(axes, f"{title}, {numbers['method']}")
            _surface(axes, numbers, scale)
        for axes in figure.axes[: rows * columns][len(drawn) :]:
            axes.set_visible(False)
    return drawn


def _contour_numbers(panel: ScorePanel, method: str) -> dict[str, Any] | None:
    points = [
        point for point in panel.of(method) if None not in (point.setting.density, point.setting.language_density)
    ]
    tasks = sorted({point.setting.density for point in points if point.setting.density is not None})
    languages = sorted({each for point in points if (each := point.setting.language_density) is not None})
    if len(tasks) < 2 or len(languages) < 2:
        return None
    units = panel.common(points)
    values: list[list[float | None]] = [[None] * len(tasks) for _ in languages]
    for point in points:
        assert point.setting.density is not None
        assert point.setting.language_density is not None
        row, column = languages.index(point.setting.language_density), tasks.index(point.setting.density)
        values[row][column] = mean(point.values, units).value
    _tell_missing(panel, method, values, tasks, languages)
    return {
        "task": panel.task, "metric": panel.metric, "method": method, "units": len(units),
        "density": tasks, "language_density": languages, "values": values,
    }  # fmt: skip


def _tell_missing(
    panel: ScorePanel, method: str, values: list[list[float | None]], tasks: list[float], languages: list[float]
) -> None:
    """Note the combinations that have no score; refuse them where no three neighbours are left, for an area."""
    there = np.isfinite(np.array(values, float))
    if there.all():
        return
    pairs = [f"{tasks[column]:g} ({LANGUAGE_DENSITY} {languages[row]:g})" for row, column in np.argwhere(~there)]
    told = ", ".join(pairs[:_NAMED]) + (f" and {len(pairs) - _NAMED} more" if len(pairs) > _NAMED else "")
    told = f"{panel.title}: {method} has no score at density {told}"
    if (there[1:, 1:].astype(int) + there[1:, :-1] + there[:-1, 1:] + there[:-1, :-1]).max() < 3:
        raise SettingsError(f"{told}: no area can be drawn. Choose other methods or densities with --where.")
    panel.notes.append(f"{told}: left white.")


def _surface(axes: Axes, numbers: dict[str, Any], scale: float) -> None:
    """Filled contours between the measured points, at even steps so that each point's value can be read."""
    values = scale * np.array(numbers["values"], float)
    made = axes.contourf(np.ma.masked_invalid(values), levels=12, cmap=look.amount())
    dark = np.nanmin(values) + 0.6 * np.ptp(values[np.isfinite(values)])
    for (row, column), value in np.ndenumerate(values):
        if np.isfinite(value):
            edge = {0: "left", values.shape[1] - 1: "right"}.get(column, "center")
            above = {0: "bottom", values.shape[0] - 1: "top"}.get(row, "center")
            axes.text(column, row, f" {value:.1f} ", fontsize=TINY, color="white" if value > dark else "0.15",
                      ha=edge, va=above)  # fmt: skip
    for axis, places in ((axes.xaxis, numbers["density"]), (axes.yaxis, numbers["language_density"])):
        axis.set_ticks(range(len(places)), [f"{100 * place:.3g}" for place in places])
    axes.set_xlabel("density of the task SFT, %", fontsize=TEXT)
    axes.set_ylabel("density of the language SFT, %", fontsize=TEXT)
    axes.grid(visible=False)
    axes.figure.colorbar(made, ax=axes, shrink=0.9).ax.tick_params(labelsize=TINY)
