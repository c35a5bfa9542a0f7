"""Small tables and heat maps as HTML, for notebooks: whole by themselves, without scripts or style sheets.

Names, labels and what else comes from files are shown and never obeyed.
"""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from sftkit.inspecting.facts import facts
from sftkit.inspecting.pictures.colours import INK, PAPER, as_hex, is_dark
from sftkit.inspecting.pictures.data import HeatMap, density_maps
from sftkit.shown import shown_on_a_line

if TYPE_CHECKING:
    from sftkit.inspecting.summary import DiffSummary, Histogram

#: Columns up to which cells hold their numbers, and rows up to which a map is open at first.
_NUMBERED, _OPEN = 16, 20
#: Letters of a value that are shown.
_MOST = 200
_TABLE = "border-collapse:collapse;font-size:12px;margin:4px 0"
_CELL = "padding:2px 6px;border:0;text-align:{}"


def escaped(text: object, most: int = _MOST) -> str:
    """Text that has no meaning in HTML, nor in a quoted attribute, and is on one line."""
    return html.escape(shown_on_a_line(str(text), most))


def table(headings: Sequence[str], rows: Iterable[Sequence[object]], title: str = "", *, numbers: bool = True) -> str:
    """A table whose first column is text.

    Args:
        headings: one for each column; all empty for none.
        rows: cells; a cell with line feeds takes several lines.
        title: above it.
        numbers: whether the other columns are numbers.
    """
    sides = ["left", *["right" if numbers else "left"] * (len(headings) - 1)]
    head = "".join(
        f'<th style="{_CELL.format(side)}">{escaped(text)}</th>' for text, side in zip(headings, sides, strict=True)
    )
    body = "".join(
        "<tr>" + "".join(
            f'<td style="{_CELL.format(side)}">{"<br>".join(map(escaped, str(cell).splitlines()))}</td>'
            for cell, side in zip(row, sides, strict=True)
        ) + "</tr>"
        for row in rows
    )  # fmt: skip
    return (
        f'{_caption(title)}<table style="{_TABLE}">{f"<thead><tr>{head}</tr></thead>" if any(headings) else ""}'
        f"<tbody>{body}</tbody></table>"
    )


def _caption(title: str) -> str:
    return f'<div style="font-style:italic">{escaped(title)}</div>' if title else ""


def heat_table(heat: HeatMap, name: str = "") -> str:
    """A heat map; a cell's numbers stand in it where there is room, and with its names where the pointer rests.

    Args:
        heat: the map.
        name: whose it is, if its title does not say so.
    """
    small = len(heat.columns) > _NUMBERED
    turned = "writing-mode:vertical-rl;" if len(heat.columns) > 6 else ""
    head = "".join(
        f'<th style="{turned}font-weight:normal;padding:2px">{escaped(text, 40)}</th>' for text in heat.columns
    )
    rows = "".join(
        f'<tr><th style="{_CELL.format("right")};font-weight:normal;white-space:nowrap">{escaped(row, 40)}</th>'
        + "".join(_cell(heat, at, column, small) for column in range(len(heat.columns)))
        + "</tr>"
        for at, row in enumerate(heat.rows)
    )
    told = "; small: expected at random" if heat.beside is not None else ""
    title = escaped(f"{name}: {heat.title}{told}" if name else f"{heat.title}{told}")
    body = f'<table style="{_TABLE}"><thead><tr><th></th>{head}</tr></thead><tbody>{rows}</tbody></table>'
    opened = " open" if len(heat.rows) <= _OPEN else ""
    return f'<details{opened}><summary style="font-style:italic">{title}</summary>{body}</details>'


def _cell(heat: HeatMap, row: int, column: int, small: bool) -> str:
    value = float(heat.values[row, column])
    pointed = f"{heat.rows[row]}, {heat.columns[column]}: {heat.told(value)}"
    beside = "" if heat.beside is None else heat.told(float(heat.beside[row, column]))
    if beside:
        pointed += f", expected {beside}"
    inside = "" if small else heat.told(value) + (f'<br><span style="font-size:9px">{beside}</span>' if beside else "")
    if np.isnan(value):
        colours, inside = "background:#88888822", "" if small else "–"
    else:
        colour = heat.colour(value)
        colours = f"background:{as_hex(colour)};color:{PAPER if is_dark(colour) else INK}"
    size = "width:12px;height:12px;padding:0" if small else "padding:3px 5px;min-width:44px"
    style = f"{colours};{size};border:1px solid #ffffff55;text-align:center"
    return f'<td title="{escaped(pointed)}" style="{style}">{inside}</td>'


def histogram_html(histogram: Histogram | None) -> str:
    """How large the entries are, as bars; nothing without entries."""
    if histogram is None:
        return ""
    most = int(histogram.counts.max())
    bars = "".join(
        f'<span title="{low:.2g} to {high:.2g}: {count:,}" style="display:inline-block;width:8px;'
        f'height:{max(1, round(48 * count / most)) if count else 0}px;background:#2171b5;margin-right:1px"></span>'
        for low, high, count in zip(histogram.edges, histogram.edges[1:], histogram.counts.tolist(), strict=False)
    )
    first, last = histogram.edges[0], histogram.edges[-1]
    told = f"entries by |φ|, from {first:.2g} or less to {last:.2g}, eight bars to a power of ten"
    return f'{_caption(told)}<div style="white-space:nowrap;line-height:0;padding-top:4px;overflow-x:auto">{bars}</div>'


def summary_html(summary: DiffSummary) -> str:
    """What an SFT is, where its entries sit and how large they are."""
    left_out = {"|φ| quantiles", *(() if summary.nbytes else ("file",))}  # the bars tell more than quantiles
    told = [(name, text) for name, text in facts(summary) if text and name not in left_out]
    (density,) = density_maps([summary])
    return table(["", ""], told, summary.label, numbers=False) + heat_table(density) + histogram_html(summary.histogram)
