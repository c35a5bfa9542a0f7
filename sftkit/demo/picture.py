"""The demonstration's picture: what composing brings on the unseen language, and how little the SFTs overlap."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sftkit.demo.run import DemoReport
from sftkit.inspecting.pictures.data import overlap_map
from sftkit.inspecting.pictures.heat import draw_heat
from sftkit.inspecting.pictures.style import SMALL, TITLE, picture, series


def draw(report: DemoReport, path: Path) -> None:
    """Write the picture as PNG, replacing an earlier one."""
    with picture(path, 10.5, 3.8, overwrite=True) as figure:
        bars, heat = figure.subplots(1, 2, width_ratios=(1.35, 1))
        _bars(bars, report)
        draw_heat([heat], [overlap_map(report.overlap, ordered=False)], numbers=SMALL + 0.5)
        heat.set_title("Common entries, % of K; below: expected at random", fontsize=TITLE)


def _bars(axes: Any, report: DemoReport) -> None:
    names = [score.what.replace(" + ", "\n+ ") for score in report.scores]
    values = [100 * score.accuracy for score in report.scores]
    looks = [series(number) for number in range(len(names))]
    bars = axes.bar(
        names, values, color=[look.colour for look in looks], hatch=[look.hatch for look in looks], edgecolor="white",
        linewidth=0, width=0.62,
    )  # fmt: skip
    axes.bar_label(bars, fmt="{:.1f} %", padding=2)
    axes.set_ylim(0, max(100.0, *values))
    axes.set_ylabel("tagging accuracy, %")
    axes.set_title(f"On {report.target.title()}, which the base has never seen")
    axes.tick_params(axis="x", labelsize=SMALL)
