"""The colours of every picture, be it drawn, shown in a terminal or on a page; without anything that draws.

The scales run from light to dark without turning back, so that they say the same in grey. Lines and bars take Okabe and
Ito's colours (2008), which people who see few colours can tell apart, with neighbours of different lightness; dashes,
marks and hatches say the same once more.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

#: Red, green, blue, each from 0 to 1.
Colour = tuple[float, float, float]


def _parsed(*codes: str) -> tuple[Colour, ...]:
    return tuple((int(code[1:3], 16) / 255, int(code[3:5], 16) / 255, int(code[5:7], 16) / 255) for code in codes)


#: From nothing to much.
AMOUNT = _parsed("#f7fbff", "#c6dbef", "#6baed6", "#2171b5", "#08306b")
#: From below to above a value that says "no effect", which is a light grey; yellow is lighter and blue darker.
CONTRAST = _parsed("#fff3a0", "#e6dfbe", "#ccd0d6", "#5b7fb5", "#0b2a5b")
#: Of lines and bars, one after the other.
SERIES = ("#0072B2", "#E69F00", "#009E73", "#56B4E9", "#D55E00", "#CC79A7", "#000000")
#: What is undefined, and what is written on a light and on a dark ground.
NOTHING, INK, PAPER = "#e8e8e8", "#222222", "#ffffff"


def shade(scale: Sequence[Colour], value: float, low: float, high: float) -> Colour:
    """The colour of a value on a scale from ``low`` to ``high``; what lies beyond has the colour of the end."""
    at = float(np.clip((value - low) / (high - low), 0, 1)) * (len(scale) - 1) if high > low else 0.0
    below = min(int(at), len(scale) - 2)
    part = at - below
    red, green, blue = (a + part * (b - a) for a, b in zip(scale[below], scale[below + 1], strict=True))
    return red, green, blue


def is_dark(colour: Colour) -> bool:
    """Whether white is read on a colour better than black: by their contrasts after WCAG 2.1."""
    linear = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in colour)
    luminance = sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))
    return luminance < 0.179  # where (1 + 0.05) / (L + 0.05) = (L + 0.05) / 0.05


def as_hex(colour: Colour) -> str:
    """``#rrggbb``."""
    return "#" + "".join(f"{round(255 * part):02x}" for part in colour)
