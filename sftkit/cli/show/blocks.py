"""Pictures in the terminal: blocks of colour with the numbers in them; where there are no colours, shades instead.

As much is shown as there is room for: values with what was expected, values alone, blocks of two columns, of one.
"""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from rich.console import Console
from rich.style import Style
from rich.text import Text

from sftkit.cli.show import render
from sftkit.errors import SettingsError
from sftkit.inspecting import kinds
from sftkit.inspecting.pictures.colours import INK, PAPER, SERIES, as_hex, is_dark
from sftkit.inspecting.pictures.data import AVERAGE
from sftkit.inspecting.pictures.style import columns, cut
from sftkit.shown import shown_on_a_line

if TYPE_CHECKING:
    from sftkit.inspecting.pictures.data import Bars, HeatMap
    from sftkit.inspecting.summary import Histogram

#: Columns that a row's name and a column's may take, what a column's is not cut below, and a bar.
_NAME, _HEADING, _SHORTEST, _BAR = 24, 11, 6, 50
_SHORT = {
    kinds.EMBEDDINGS: "emb", kinds.FUSED: "qkv", kinds.ATTENTION_OUT: "att", kinds.FEED_IN: "ff in",
    kinds.FEED_OUT: "ff out",
}  # fmt: skip
#: Five shades, eight heights and the parts of a bar; and what stands for them where those letters cannot be written.
_SHADES, _HEIGHTS, _PARTS = " ░▒▓█", " ▁▂▃▄▅▆▇█", "█▓░"
_PLAIN_SHADES, _PLAIN_HEIGHTS, _PLAIN_PARTS = " .:*#", " .,-=+*%#", "#+-"


@dataclass(frozen=True)
class _Screen:
    """Where it is shown: how wide, whether in colours, and with which letters."""

    console: Console
    width: int
    colours: bool
    fancy: bool

    @classmethod
    def present(cls) -> _Screen:
        console = render.stdout()
        # sixteen colours are too few for a scale
        colours = not console.no_color and console.color_system not in (None, "standard", "windows")
        try:
            (_SHADES + _HEIGHTS).encode(console.encoding)
        except UnicodeEncodeError:
            return cls(console, console.width, colours, fancy=False)
        return cls(console, console.width, colours, fancy=True)

    def line(self, text: Text) -> None:
        self.console.print(text, soft_wrap=True)


def show_heat(heat: HeatMap, name: str = "") -> None:
    """A heat map.

    Args:
        heat: the map.
        name: whose it is, if its title does not say so.

    Raises:
        SettingsError: if the screen is too narrow even for a column a cell.
    """
    screen = _Screen.present()
    names = _padded([shown_on_a_line(row) for row in heat.rows], _NAME)
    room = screen.width - columns(names[0]) - 1 if names else 0
    cells = _fitting(heat, screen, room)
    screen.line(Text(f"{name}: {heat.title}" if name else heat.title, "italic"))
    screen.line(Text(" " * (columns(names[0]) + 1 if names else 0) + _headings(heat, cells.width)))
    for label, values, texts in zip(names, heat.values, cells.texts, strict=True):
        row = [_cell(heat, screen, value, text, cells.width) for value, text in zip(values, texts, strict=True)]
        screen.line(Text(f"{label} ").append_text(Text("").join(row)))
    told = "in brackets: expected at random. " if cells.brackets else ""
    screen.line(Text(told + _scale(heat, screen) + _empty(heat, screen) + _key(heat, cells.width), "dim italic"))


@dataclass(frozen=True)
class _Cells:
    """What is written into each cell, how wide they are, and whether what was expected stands there in brackets."""

    texts: Sequence[Sequence[str]]
    width: int
    brackets: bool = False


def _fitting(heat: HeatMap, screen: _Screen, room: int) -> _Cells:
    """The cells, with as much in them as fits."""
    values = [[heat.told(value) for value in row] for row in heat.values]
    written = [(values, False)]
    if heat.beside is not None:
        pairs = [zip(row, others, strict=True) for row, others in zip(values, heat.beside, strict=True)]
        written.insert(0, ([[f"{value} ({heat.told(other)})" for value, other in row] for row in pairs], True))
    headings = max(map(columns, _short(heat)), default=0)
    shade = 1 if screen.colours else 3  # a space, and the shade with its own
    options = [
        _Cells(texts, max(heading, *(len(text) for row in texts for text in row)) + shade, brackets)
        for texts, brackets in written
        for heading in (headings, min(headings, _SHORTEST))
        if heat.values.size
    ]
    nothing = [[""] * len(heat.columns)] * len(heat.rows)
    for cells in (*options, _Cells(nothing, 2), _Cells(nothing, 1)):
        if cells.width * len(heat.columns) <= room:
            return cells
    raise SettingsError(
        f"{len(heat.columns)} columns do not fit into this terminal's {screen.width}: give --plot a file's name."
    )


def _cell(heat: HeatMap, screen: _Screen, value: float, text: str, width: int) -> Text:
    """One cell: on its colour, or before its shade."""
    if np.isnan(value):
        dash = _dash(screen)
        return Text(f"{dash} ".rjust(width) if text else dash * width, "dim")
    if screen.colours:
        colour = heat.colour(value)
        style = Style(color=PAPER if is_dark(colour) else INK, bgcolor=as_hex(colour))
        return Text(f"{text} ".rjust(width) if text else " " * width, style)
    shade = (_SHADES if screen.fancy else _PLAIN_SHADES)[_level(heat, value)]
    return Text(f"{text} {shade}".rjust(width) if text else shade * width)


def _level(heat: HeatMap, value: float) -> int:
    """Which of the five shades."""
    return min(4, int(5 * (value - heat.low) / (heat.high - heat.low)))


def _scale(heat: HeatMap, screen: _Screen) -> str:
    """What the colours or shades stand for."""
    if screen.colours:
        return f"light to dark: {heat.form.format(heat.low)} to {heat.form.format(heat.high)}"
    steps = np.linspace(heat.low, heat.high, 6)[:-1]
    shades = _SHADES if screen.fancy else _PLAIN_SHADES
    each = [f"'{shade}' {heat.form.format(step)}" for step, shade in zip(steps, shades, strict=True)]
    return f"from {', '.join(each)}"


def _empty(heat: HeatMap, screen: _Screen) -> str:
    """What a cell without a value says; that one with itself has none needs no word."""
    return f"; {_dash(screen)} no such parameters" if np.isnan(heat.values).any() and heat.columns != heat.rows else ""


def _dash(screen: _Screen) -> str:
    return "·" if screen.fancy else "-"


def _short(heat: HeatMap, most: int = _HEADING) -> list[str]:
    return [cut(shown_on_a_line(_SHORT.get(name, name)), most) for name in heat.columns]


def _headings(heat: HeatMap, width: int) -> str:
    """Names where there is room, else the last digits of numbers."""
    names = _short(heat, min(_HEADING, width - 1))
    if width > 2:
        return "".join(" " * (width - columns(name)) + name + _ltr(name) for name in names)
    return "".join(str(at % 10).rjust(width) for at in range(1, len(heat.columns) + 1))


def _key(heat: HeatMap, width: int) -> str:
    """What the numbers of columns stand for, where they have no names."""
    if width > 2:
        return ""
    if heat.columns == heat.rows:
        return "; columns as the rows"
    return "; columns: " + ", ".join(f"{at} {name}" for at, name in enumerate(_short(heat), 1))


def show_histograms(names: Sequence[str], histograms: Sequence[Histogram | None]) -> None:
    """How large the entries are: a line for each SFT, one letter a bin, all from the same |φ| on.

    Args:
        names: of the SFTs.
        histograms: theirs; None of one without entries.
    """
    found = [histogram for histogram in histograms if histogram is not None]
    if not found:
        return
    screen = _Screen.present()
    first, last = min(each.edges[0] for each in found), max(each.edges[-1] for each in found)
    bins = round(8 * np.log10(last / first))
    heights = _HEIGHTS if screen.fancy else _PLAIN_HEIGHTS
    most = max(int(each.counts.max()) for each in found)
    screen.line(
        Text(f"entries by |φ|, from {first:.2g} or less to {last:.2g}, eight marks to a power of ten", "italic")
    )
    for name, each in zip(_padded([shown_on_a_line(name) for name in names], _NAME), histograms, strict=True):
        counts = np.zeros(bins, np.int64)
        if each is not None:
            begin = round(8 * np.log10(each.edges[0] / first))
            counts[begin : begin + len(each.counts)] = each.counts
        line = "".join(heights[int(np.ceil(8 * count / most))] for count in counts)
        screen.line(Text(f"{name} ").append(line, SERIES[0] if screen.colours else ""))
    screen.line(Text(f"highest: {most:,} entries", "dim italic"))


def show_bars(metric: str, systems: Sequence[Bars]) -> None:
    """Scores: a bar for each language and system.

    Args:
        metric: what they are.
        systems: all of the same languages.
    """
    screen = _Screen.present()
    languages = list(systems[0].values)
    names = _padded([shown_on_a_line(name) for name in languages], _NAME)
    several = len(systems) > 1
    called = _padded([shown_on_a_line(system.name) for system in systems], _NAME) if several else [""]
    beside = columns(names[0]) + columns(called[0]) + 26
    width = max(10, min(_BAR, screen.width - beside))
    highest = max((max(_ends(system, name)) for system in systems for name in languages), default=0.0) or 1.0
    screen.line(Text(f"{metric.replace('_', ' ')}, from 0 to {highest:.3g}", "italic"))
    for language, name in zip(languages, names, strict=True):
        if language == AVERAGE and len(languages) > 1:
            screen.line(Text(("─" if screen.fancy else "-") * (columns(name) + width)))
        for at, (system, label) in enumerate(zip(systems, called, strict=True)):
            text = Text(name if at == 0 else " " * columns(name)).append(f" {label} " if several else " ")
            text.append(_bar(system, language, width / highest, screen).ljust(width), _colour(at, screen))
            screen.line(text.append(f" {_score(system, language)}"))
    if any(system.intervals for system in systems):
        parts = _PARTS if screen.fancy else _PLAIN_PARTS
        screen.line(Text(f"{parts[1]}{parts[2]} and brackets: 95 % bootstrap intervals", "dim italic"))


def _ends(system: Bars, language: str) -> tuple[float, float]:
    value = system.values[language]
    low, high = system.intervals.get(language, (value, value))
    return (low, high) if math.isfinite(low) and math.isfinite(high) else (0.0, 0.0)


def _bar(system: Bars, language: str, scale: float, screen: _Screen) -> str:
    """Up to the interval's lower end, from there to the score, and from the score to its upper end."""
    (low, high), value = _ends(system, language), system.values[language]
    full, below, above = list(_PARTS if screen.fancy else _PLAIN_PARTS)
    ends = [round(max(0.0, end) * scale) for end in (low, value if math.isfinite(value) else low, high)]
    return full * ends[0] + below * (ends[1] - ends[0]) + above * (ends[2] - ends[1])


def _score(system: Bars, language: str) -> str:
    told = f"{system.values[language]:.4f}"
    if language in system.intervals:
        low, high = system.intervals[language]
        told += f" [{low:.4f}, {high:.4f}]"
    return told


def _colour(number: int, screen: _Screen) -> str:
    return SERIES[number % (len(SERIES) - 1)] if screen.colours else ""  # the last is black, as many a terminal is


def _padded(names: Sequence[str], most: int) -> list[str]:
    """Names of the same width, cut in the middle where they are longer than ``most`` columns."""
    short = [cut(name, most) for name in names]
    width = max(map(columns, short), default=0)
    return [name + _ltr(name) + " " * (width - columns(name)) for name in short]


def _ltr(name: str) -> str:
    """A mark that what follows is read from left to right again, where a name is not."""
    return "\u200e" if any(unicodedata.bidirectional(letter) in ("R", "AL") for letter in name) else ""
