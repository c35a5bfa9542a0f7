"""The demonstration's picture: what composing brings on the unseen language, and how little the SFTs overlap."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from sftkit.demo.run import DemoReport
from sftkit.storage.atomic import atomic_file

_COLOURS = ("#9aa5b1", "#e8a33d", "#2f6fb0")


def draw(report: DemoReport, path: Path) -> None:
    """Write the picture as PNG, replacing an earlier one."""
    figure = Figure(figsize=(10.5, 3.8), layout="constrained")
    bars, heat = figure.subplots(1, 2, width_ratios=(1.35, 1))
    _bars(bars, report)
    _heat(heat, report)
    with atomic_file(path, overwrite=True) as part:
        figure.savefig(part, format="png", dpi=150)


def _bars(axes: Any, report: DemoReport) -> None:
    names = [score.what.replace(" + ", "\n+ ") for score in report.scores]
    values = [100 * score.accuracy for score in report.scores]
    bars = axes.bar(names, values, color=_COLOURS, width=0.62)
    axes.bar_label(bars, fmt="{:.1f} %", padding=2)
    axes.set_ylim(0, max(100.0, *values))
    axes.set_ylabel("tagging accuracy, %")
    axes.set_title(f"On {report.target.title()}, which the base has never seen", loc="left", fontsize=10)
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(axis="x", labelsize=8)


def _heat(axes: Any, report: DemoReport) -> None:
    matrix = 100 * report.overlap.whole.matrix
    np.fill_diagonal(matrix, np.nan)
    axes.imshow(matrix, cmap="Blues", vmin=0)
    names = report.overlap.names
    axes.set_xticks(range(len(names)), names, rotation=30, ha="right", fontsize=8)
    axes.set_yticks(range(len(names)), names, fontsize=8)
    largest = np.nanmax(matrix)
    for row, column in np.argwhere(np.isfinite(matrix)):
        value = matrix[row, column]
        axes.text(
            column,
            row,
            f"{value:.1f}",
            ha="center",
            va="center",
            fontsize=8,
            color="white" if value > 0.6 * largest else "black",
        )
    low, high = (f"{100 * value:.1f}" for value in report.overlap.whole.chance)
    chance = low if low == high else f"{low} to {high}"
    axes.set_title(f"Common entries, % of K (by chance {chance} %)", loc="left", fontsize=10)
