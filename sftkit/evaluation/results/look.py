"""How figures of results look: colours, marks, text. The one place that says it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sftkit.inspecting.plots import new_figure, save_figure
from sftkit.shown import shown_on_a_line

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: After Okabe and Ito 2008; neighbours differ in lightness, and marks, dashes and hatches say the same once more.
_COLOURS = ("#0072B2", "#E69F00", "#56B4E9", "#D55E00", "#009E73", "#CC79A7", "#000000")
_MARKS, _DASHES, _HATCHES = "osD^vPX", ("-", "--", "-.", ":"), ("", "///", "...", "xxx", "---", "++")
#: From nothing to much, readable in grey.
AMOUNT = "Blues"
TITLE, TEXT, SMALL, TINY = 10.0, 9.0, 7.5, 6.0


def line(number: int) -> dict[str, Any]:
    """The look of the number-th line."""
    again = number // len(_COLOURS)
    return {
        "color": _COLOURS[number % len(_COLOURS)], "marker": _MARKS[number % len(_MARKS)], "markersize": 5,
        "linestyle": _DASHES[(number + again) % len(_DASHES)], "markeredgecolor": "white", "markeredgewidth": 0.6,
    }  # fmt: skip


def bar(number: int) -> dict[str, Any]:
    """The look of the number-th system's bars."""
    hatch = _HATCHES[(number + number // len(_COLOURS)) % len(_HATCHES)]
    return {"color": _COLOURS[number % len(_COLOURS)], "hatch": hatch, "edgecolor": "white", "linewidth": 0.4}


@contextmanager
def figure(path: Path, width: float, height: float, *, overwrite: bool) -> Iterator[Figure]:
    """A figure in inches; it is written at the block's end."""
    made = new_figure(width, height)
    yield made
    save_figure(made, path, overwrite)


def legend(figure: Figure, handles: list[Any], names: Sequence[str]) -> None:
    """What every line or bar stands for, above the panels."""
    columns, labels = min(len(names), 6), [plain(name) for name in names]
    figure.legend(handles, labels, loc="outside upper left", ncols=columns, frameon=False, fontsize=TEXT)


def plain(text: str, most: int = 32) -> str:
    """Text of files in a figure: no formula, on one line, cut in the middle where it is long."""
    text = shown_on_a_line(text)
    if len(text) > most:
        text = f"{text[: most - most // 2 - 1]}…{text[-(most // 2) :]}"
    return text.replace("$", r"\$")


def frame(axes: Axes, title: str) -> None:
    """Title, thin grid, no box."""
    axes.set_title(plain(title, 60), loc="left", fontsize=TITLE)
    axes.grid(alpha=0.3, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=SMALL)
