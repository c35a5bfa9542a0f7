"""Learning curves as a drawing in a page: SVG by hand, for the page may load nothing."""

from __future__ import annotations

import math
from collections.abc import Callable

from sftkit.inspecting.pictures.colours import SERIES
from sftkit.inspecting.pictures.data import Line, Panel
from sftkit.inspecting.pictures.html import escaped

_WIDTH, _HEIGHT, _LEFT, _RIGHT, _TOP, _BOTTOM = 680, 240, 64, 18, 10, 34
_TICKS = 5
#: Step and value -> where on the drawing.
_Place = Callable[[float, float], tuple[float, float]]
#: Lines after which colours come again, with dashes.
_DASHES = ("", "6 3", "2 3", "9 3 2 3")


def panel_svg(panel: Panel) -> str:
    """One panel with its title and legend; phase 1 is thin and phase 2 thick, what was kept has a ring.

    Args:
        panel: lines; values that are not finite are left out.
    """
    points = [(x, y) for line in panel.lines for x, y in line.points.items() if math.isfinite(y)]
    if not points:
        return ""
    right = max(1, *(x for x, _ in points))
    low, high = min(y for _, y in points), max(y for _, y in points)
    if high == low:
        low, high = low - 0.5, high + 0.5

    def place(x: float, y: float) -> tuple[float, float]:
        return (
            _LEFT + x / right * (_WIDTH - _LEFT - _RIGHT),
            _TOP + (high - y) / (high - low) * (_HEIGHT - _TOP - _BOTTOM),
        )

    drawn = "".join(_grid(place, right, low, high))
    drawn += "".join(_line(line, place) for line in panel.lines)
    legend = " ".join(
        f'<span style="white-space:nowrap;margin-right:1rem"><svg width="26" height="8" aria-hidden="true">'
        f'<line x1="0" y1="4" x2="26" y2="4" {_stroke(number, 2.5)}/></svg> {escaped(name, 60)}</span>'
        for name, number in {line.run: line.number for line in panel.lines}.items()
    )
    return (
        f"<figure><figcaption><em>{escaped(panel.title)}</em></figcaption>"
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" width="{_WIDTH}" role="img" aria-label="{escaped(panel.title)}">'
        f"{drawn}</svg><div>{legend}</div></figure>"
    )


def _grid(place: _Place, right: int, low: float, high: float) -> list[str]:
    made = []
    for value in _round(low, high):
        _, y = place(0, value)
        made.append(f'<line class="grid" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
        made.append(f'<text x="{_LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{value:.4g}</text>')
    for step in _round(0, right, integer=True):
        x, _ = place(step, low)
        made.append(f'<text x="{x:.1f}" y="{_HEIGHT - 16}" text-anchor="middle">{step:,.0f}</text>')
    made.append(f'<text x="{(_LEFT + _WIDTH) / 2}" y="{_HEIGHT - 3}" text-anchor="middle">step</text>')
    return made


def _round(low: float, high: float, **more: bool) -> list[float]:
    """A few round numbers in a range."""
    from matplotlib.ticker import MaxNLocator

    if not math.isfinite(high - low):
        return [low, high]
    found = MaxNLocator(_TICKS, steps=[1, 2, 2.5, 5, 10], **more).tick_values(low, high)
    return [value for value in map(float, found) if low <= value <= high]


def _line(line: Line, place: _Place) -> str:
    points = [(x, y) for x, y in sorted(line.points.items()) if math.isfinite(y)]
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in (place(*point) for point in points))
    width = 1.2 if line.phase == "phase1" else 2.5
    made = f'<polyline points="{path}" fill="none" {_stroke(line.number, width)}/>'
    for x, y in points:
        across, down = place(x, y)
        kept = x == line.kept
        told = f"{line.run}, {'phase 1' if line.phase == 'phase1' else 'phase 2'}, step {x:,}: {y:.4g}"
        told += ", kept" if kept else ""
        circle = f'r="5" fill="none" {_stroke(line.number, 2)}' if kept else f'r="2.2" fill="{_colour(line.number)}"'
        made += f'<circle cx="{across:.1f}" cy="{down:.1f}" {circle}><title>{escaped(told)}</title></circle>'
    return made


def _colour(number: int) -> str:
    return "currentColor" if (colour := SERIES[number % len(SERIES)]) == "#000000" else colour


def _stroke(number: int, width: float) -> str:
    dash = _DASHES[number // len(SERIES) % len(_DASHES)]
    return f'stroke="{_colour(number)}" stroke-width="{width}"' + (f' stroke-dasharray="{dash}"' if dash else "")
