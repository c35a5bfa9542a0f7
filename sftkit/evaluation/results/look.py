"""How figures of results look, beyond the style of every picture: lines, bars, frames."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from sftkit.inspecting.pictures.colours import AMOUNT
from sftkit.inspecting.pictures.style import TEXT, colour_map, label, series

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colors import Colormap
    from matplotlib.figure import Figure


def amount() -> Colormap:
    """Colours from nothing to much, readable in grey."""
    return colour_map(AMOUNT)


def line(number: int) -> dict[str, Any]:
    """The look of the number-th line."""
    made = series(number)
    return {
        "color": made.colour, "linestyle": made.dash, "marker": made.marker, "markersize": 5,
        "markeredgecolor": "white", "markeredgewidth": 0.6, "linewidth": 1.6,
    }  # fmt: skip


def bar(number: int) -> dict[str, Any]:
    """The look of the number-th system's bars."""
    made = series(number)
    return {"color": made.colour, "hatch": made.hatch, "edgecolor": "white", "linewidth": 0.4}


def legend(figure: Figure, handles: list[Any], names: Sequence[str]) -> None:
    """What every line or bar stands for, above the panels."""
    columns = min(len(names), 6)
    figure.legend(handles, [label(name) for name in names], loc="outside upper left", ncols=columns, fontsize=TEXT)


def frame(axes: Axes, title: str) -> None:
    """Title and thin grid."""
    axes.set_title(label(title, 60))
    axes.grid(linewidth=0.6)
