r"""One style for every picture: sizes, letters, how series are told apart, and the files that pictures become.

With the modules beside it the only one that imports matplotlib. Draws to files without any display, and whatever the
user's own matplotlibrc says. Letters that DejaVu Sans lacks are taken from a font of this machine that has them; what
no font has is written as its number, ``\u4e2d``, and the picture says so: an empty box would say nothing.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, lru_cache
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sftkit.errors import SettingsError
from sftkit.inspecting.pictures.colours import INK, SERIES, Colour
from sftkit.shown import shown_on_a_line
from sftkit.storage.atomic import atomic_file, check_output

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colors import Colormap
    from matplotlib.figure import Figure

#: How a picture's name may end.
FORMATS = (".png", ".pdf", ".svg")
#: Points: of titles, of names and axes, of numbers in cells, and the smallest that are still read.
TITLE, TEXT, SMALL, TINY = 10.0, 9.0, 7.5, 6.0
#: Columns that a name may have before it is cut in the middle.
LONGEST = 32
#: Dots an inch, and inches of a picture: beyond 2^16 dots it cannot be drawn.
_DOTS, _LARGEST = 150, 400
_FONT = "DejaVu Sans"  # comes with matplotlib: the same letters on every machine
#: A letter that no font has, as it is written instead.
_CODE = re.compile(r"\\u[0-9a-f]{4}|\\U[0-9a-f]{8}")
_DASHES = ("-", "--", "-.", ":")
_MARKERS = "osD^vPX"
_HATCHES = ("", "///", "...", "xxx", "---", "++", "\\\\\\")
_STYLE: dict[Any, Any] = {
    "font.family": [_FONT], "font.size": TEXT, "axes.titlesize": TITLE, "axes.labelsize": TEXT,
    "axes.titlelocation": "left", "xtick.labelsize": SMALL, "ytick.labelsize": SMALL, "legend.fontsize": SMALL,
    "legend.frameon": False, "axes.spines.top": False, "axes.spines.right": False, "axes.axisbelow": True,
    "grid.alpha": 0.35, "text.color": INK, "axes.labelcolor": INK, "xtick.color": INK, "ytick.color": INK,
    "axes.edgecolor": "#666666", "hatch.linewidth": 0.7, "svg.hashsalt": "sftkit",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Series:
    """How one of several lines or bars looks: every part tells it from its neighbours, colours apart."""

    colour: str
    dash: str
    marker: str
    hatch: str


def series(number: int) -> Series:
    """The look of the ``number``-th series, from 0; after seven colours the dashes and hatches are others."""
    again = 2 * (number // len(SERIES))
    return Series(
        SERIES[number % len(SERIES)], _DASHES[(number + again) % len(_DASHES)], _MARKERS[number % len(_MARKERS)],
        _HATCHES[(number + again) % len(_HATCHES)],
    )  # fmt: skip


def check_picture(path: Path, *, overwrite: bool) -> None:
    """Refuse early a picture that could not be written at the end.

    Raises:
        SettingsError: if the file's ending is not one of :data:`FORMATS`.
        OutputExistsError: if it exists and may not be replaced.
    """
    if path.suffix.lower() not in FORMATS:
        raise SettingsError(f"{path}: a picture's name ends in {', '.join(FORMATS)}.")
    check_output(path, overwrite=overwrite)


def label(text: str, most: int = LONGEST) -> str:
    """Text from files as it may stand in a picture: obeyed by nothing, on one line, cut in the middle."""
    return cut([_letter(letter) for letter in shown_on_a_line(text)], most)


def labels(names: Sequence[str], most: int = LONGEST) -> list[str]:
    """Names as labels; those that the cut made the same are numbered."""
    made = [label(name, most) for name in names]
    if len(set(made)) == len(set(names)):
        return made
    return [f"{text} #{at}" if made.count(text) > 1 else text for at, text in enumerate(made, 1)]


def _letter(letter: str) -> str:
    if letter == "$":
        return r"\$"  # begins no formula
    if letter.isascii() or _font_with(letter) is not None:
        return letter
    return f"\\u{ord(letter):04x}" if ord(letter) < 0x10000 else f"\\U{ord(letter):08x}"


@contextmanager
def picture(path: Path, width: float, height: float, *, overwrite: bool = False) -> Iterator[Figure]:
    """Draw within the block; at its end the picture is written, in the format that its name's ending says.

    Args:
        path: where.
        width: inches.
        height: inches.
        overwrite: replace an existing picture.

    Raises:
        SettingsError: if it would be too large to be drawn, or as :func:`check_picture`.
        OutputExistsError: if it exists and may not be replaced.
    """
    check_picture(path, overwrite=overwrite)
    import matplotlib

    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(_STYLE)
        figure = new_figure(width, height)
        yield figure
        save_figure(figure, path, overwrite)


def new_figure(width: float, height: float) -> Figure:
    """An empty figure, in inches, for what is not drawn within :func:`picture`."""
    from matplotlib.figure import Figure  # not pyplot, which looks for a display and keeps every figure

    if max(width, height) > _LARGEST:
        raise SettingsError(f"A picture of it would have {width:,.0f} × {height:,.0f} inches: too much to be drawn.")
    return Figure(figsize=(width, height), layout="constrained")


def save_figure(figure: Figure, path: Path, overwrite: bool) -> None:
    """Write it in the format that its name's ending says.

    Raises:
        OutputExistsError: if it exists and may not be replaced.
    """
    _fit_fonts(figure)
    ending = path.suffix.lower()
    # no dates: the same numbers give the same picture
    metadata: dict[str, Any] = {".pdf": {"CreationDate": None}, ".svg": {"Date": None}}.get(ending, {})
    with atomic_file(path, overwrite=overwrite) as part:
        figure.savefig(part, format=ending[1:], dpi=_DOTS, metadata=metadata)


def _fit_fonts(figure: Figure) -> None:
    """Give every text the fonts that its letters need; if there are none for some of them, say so below."""
    from matplotlib.text import Text

    texts = figure.findobj(lambda part: isinstance(part, Text))
    missing = False
    for text in texts:
        written = text.get_text()  # type: ignore[attr-defined]  # findobj gives what it was asked for
        more = sorted({str(_font_with(letter)) for letter in set(written) if not letter.isascii()} - {_FONT, "None"})
        if more:
            text.set_fontfamily([_FONT, *more])  # type: ignore[attr-defined]  # the same
        missing = missing or any(chr(int(code[2:], 16)).isprintable() for code in _CODE.findall(written))
    if missing:
        told = "No font of this machine has the letters that are written as \\u…: install one, such as Noto Sans."
        figure.supxlabel(told, x=0.01, ha="left", fontsize=TINY)


def colour_map(scale: Sequence[Colour]) -> Colormap:
    """A scale of :mod:`~sftkit.inspecting.pictures.colours` for matplotlib."""
    from matplotlib.colors import LinearSegmentedColormap

    return LinearSegmentedColormap.from_list("sftkit", list(scale))


def whole_steps(axes: Axes) -> None:
    """An axis of steps: whole numbers, with commas."""
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda step, _: f"{step:,.0f}"))
    axes.set_xlabel("step")


def columns(text: str) -> int:
    """Columns that a text takes: letters of Chinese, Japanese and Korean two, marks on others and of direction none."""
    wide = {"W": 2, "F": 2}
    return sum(
        wide.get(unicodedata.east_asian_width(letter), 1)
        for letter in text
        if unicodedata.category(letter) not in ("Mn", "Me", "Cf")
    )


def cut(text: Sequence[str], most: int) -> str:
    """A name of at most so many columns; what is too much is left out of its middle, where names differ least.

    Args:
        text: letters, or pieces that are not to be parted.
        most: columns.
    """
    widths = [columns(piece) for piece in text]
    if sum(widths) <= most:
        return "".join(text)
    kept = (most - 1 - (most - 1) // 2, (most - 1) // 2)  # of the beginning and of the end; a column is the dots'
    head = sum(total <= kept[0] for total in accumulate(widths))
    tail = sum(total <= kept[1] for total in accumulate(reversed(widths)))
    return f"{''.join(text[:head])}…{''.join(text[len(text) - tail :])}"


@lru_cache(maxsize=4096)
def _font_with(letter: str) -> str | None:
    """A font family that has a letter: the style's own, else one of this machine's; None if none has it."""
    from matplotlib.font_manager import fontManager

    own: list[Any] = []
    others: list[Any] = []
    for entry in fontManager.ttflist:
        if entry.style == "normal" and entry.weight in (400, "normal", "regular", "book"):
            (own if entry.name == _FONT else others).append(entry)
    # the Noto fonts were made to go together; of the rest, the same one on every run
    others.sort(key=lambda entry: (not entry.name.startswith("Noto Sans"), entry.name, entry.fname))
    return next((str(entry.name) for entry in own + others if ord(letter) in _letters(entry.fname)), None)


@cache
def _letters(file: str) -> frozenset[int]:
    """The letters of a font that can be drawn at any size; none of one that cannot, or is but a last resort."""
    from matplotlib.ft2font import FT2Font

    try:
        font = FT2Font(file)
        usable = font.scalable and not font.family_name.startswith((".", "Last", "Adobe Blank"))
        return frozenset(font.get_charmap()) if usable else frozenset()
    except (OSError, RuntimeError, ValueError):
        return frozenset()
