"""The one place that writes to the screen: data to standard output, notes, progress and errors to standard error.

What comes from files is shown and never obeyed: see :mod:`sftkit.shown`.
"""

from __future__ import annotations

import codecs
import io
import json
import math
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.segment import Segment
from rich.text import Text

from sftkit.cli.show.layout import wrapped
from sftkit.cli.show.tables import Column as Column
from sftkit.cli.show.tables import tables
from sftkit.inspecting.facts import counted as counted  # for every command's tables, as is the next
from sftkit.inspecting.facts import share as share
from sftkit.shown import shown, shown_on_a_line


class _Console(Console):
    """rich's console, but that it sends no orders but its own, and a reader who went away is the application's."""

    def render(self, renderable: Any, options: Any = None) -> Iterable[Segment]:
        """What is to be written, piece by piece; text has nothing in it that a terminal obeys."""
        for piece in super().render(renderable, options):
            yield piece if piece.control else Segment(shown(piece.text), piece.style)

    def on_broken_pipe(self) -> None:
        """Called while the exception is handled."""
        raise


def _console(stream: Any) -> Console:
    if stream is None:  # the shell closed it
        return _Console(quiet=True, file=io.StringIO())
    # A pipe has no width: tables there must be neither wrapped nor cut.
    return _Console(file=stream, width=None if stream.isatty() else 10_000, highlight=False, emoji=False)


def stdout() -> Console:
    """A console on the present standard output."""
    return _console(sys.stdout)


def stderr() -> Console:
    """A console on the present standard error; while a bar is up there, the bar's, which prints above it."""
    return busy[-1] if busy else _console(sys.stderr)


#: The console of each bar that is up; see :mod:`sftkit.cli.show.bar`.
busy: list[Console] = []


def table(title: str, columns: Sequence[Column], rows: Iterable[Sequence[object]], *, caption: str = "") -> None:
    """Print a table to standard output, in the width that there is. Cells are shown as they are, markup included."""
    console = stdout()
    if title:
        _prose(console, title, "italic")
    for number, part in enumerate(tables(columns, rows, console.width)):
        if number:
            console.print()
        console.print(part)
    if caption:
        _prose(console, caption, "dim italic")


def data(text: str) -> None:
    """Print text to standard output."""
    stdout().print(Text(text), soft_wrap=True)


def paragraph(text: str, *, hanging: str = "") -> None:
    """Print prose to standard output; on a terminal its lines end at words, and further ones are indented."""
    _prose(stdout(), text, hanging=hanging)


def page(text: str) -> None:
    """Print Markdown to standard output: set for a terminal, else as it is."""
    console = stdout()
    if not console.is_terminal:
        data(text.rstrip())
        return
    from sftkit.cli.show.pages import print_page

    print_page(console, text)


def as_json(document: object) -> None:
    """Print one JSON document to standard output; a number that JSON does not have is null."""
    text = json.dumps(_finite(document), indent=2, ensure_ascii=False, allow_nan=False)
    raw((text if _has_utf8(text) else json.dumps(_finite(document), indent=2)) + "\n")


def raw(text: str) -> None:
    """Send text to standard output as it is: to a terminal as that shows letters, into files and pipes as UTF-8."""
    if sys.stdout is None:
        return
    if sys.stdout.isatty():
        sys.stdout.write(shown(text))
    elif not hasattr(sys.stdout, "buffer"):
        sys.stdout.write(text)
    else:
        sys.stdout.flush()
        sys.stdout.buffer.write(text.encode("utf-8", "backslashreplace"))
    sys.stdout.flush()


def _has_utf8(text: str) -> bool:
    """Whether the text can be, and is to be, UTF-8."""
    try:
        text.encode()
    except UnicodeEncodeError:  # half a pair of surrogates
        return False
    return codecs.lookup(getattr(sys.stdout, "encoding", None) or "utf-8").name == "utf-8"


def _finite(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _finite(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def note(text: str) -> None:
    """A remark that the user may want to know of, to standard error."""
    _prose(stderr(), shown_on_a_line(text), lead=("note: ", "yellow"), hanging="  ")


def error(text: str, more: str = "") -> None:
    """What could not be done, to standard error; and, on a line of its own, what more there is to say."""
    _prose(stderr(), shown_on_a_line(text), lead=("error: ", "red"), hanging="  ")
    if more:
        _prose(stderr(), more)


def said(text: str, style: str = "", *, hanging: str = "    ") -> None:
    """What is going on, to standard error; the further lines of a long one are indented by ``hanging``."""
    _prose(stderr(), text, style, hanging=hanging)


def command(line: str) -> None:
    """The command that comes next, to standard error: on one line, so that it can be pasted into a shell."""
    stderr().print(Text.assemble(("next: ", "green"), line), soft_wrap=True)


def _prose(
    console: Console, text: str, style: str = "", *, lead: tuple[str, str] = ("", ""), hanging: str = ""
) -> None:
    """Print text, after a word in its own style. On a terminal its lines end at words; else they are left alone."""
    told = lead[0] + text
    if console.is_terminal:
        told = "\n".join(wrapped(told, console.width, hanging=hanging))
    styled = Text(told, style)
    styled.stylize(lead[1], 0, len(lead[0]))
    console.print(styled, soft_wrap=True)


def size(count: int) -> str:
    """Bytes with three significant digits: 711391392 is "711 MB"."""
    value, unit = float(count), "B"
    for larger in ("kB", "MB", "GB", "TB"):
        if value < 999.5:
            break
        value, unit = value / 1000, larger
    return f"{value:.3g} {unit}"
