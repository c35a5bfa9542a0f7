"""A page of the documentation for a terminal: code as it is, tables in its width, links as commands."""

from __future__ import annotations

import re
from typing import Any

from rich.console import Console, ConsoleOptions, RenderResult
from rich.markdown import CodeBlock, Markdown, TableElement
from rich.segment import Segment
from rich.style import Style

from sftkit.cli.show.tables import Column, tables

#: Columns of prose: longer lines are hard to read.
_PROSE = 100
_FENCED = re.compile(r"(^```.*?^```[^\n]*\n?)", re.MULTILINE | re.DOTALL)
_COMMENT = re.compile(r"^<!--.*?-->\n", re.MULTILINE | re.DOTALL)
#: A link to anything but an address on the web; an image, too.
_RELATIVE = re.compile(r"!?\[([^\]]+)\]\((?!https?:)([^)\s]+)\)")
_PAGE = re.compile(r"([\w-]+)\.md(#.*)?")


def print_page(console: Console, text: str) -> None:
    """Print Markdown."""
    # a line of code that is longer than the terminal is the terminal's to break: so it can be copied whole
    console.print(_Page(_readable(text), hyperlinks=False), width=min(console.width, _PROSE), crop=False)


def _readable(text: str) -> str:
    """Without what a terminal has no use for: comments, and links that lead from file to file."""
    pieces = _FENCED.split(text)
    return "".join(piece if number % 2 else _prose(piece) for number, piece in enumerate(pieces))


def _prose(text: str) -> str:
    return _RELATIVE.sub(_told, _COMMENT.sub("", text))


def _told(link: re.Match[str]) -> str:
    page = _PAGE.fullmatch(link[2])
    return f"{link[1]} (`sftkit help {page[1]}`)" if page else link[1]


class _Code(CodeBlock):
    """Code whose lines are not broken."""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        style = Style.null() if console.no_color else Style(color="cyan")
        for line in str(self.text).rstrip().split("\n"):
            yield Segment(f"  {line}", style)
            yield Segment.line()


class _Table(TableElement):
    """A table with whole words, as wide as the terminal lets it be."""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        head: Any = self.header and self.header.row
        columns = [Column(cell.content.plain, cell.justify == "right") for cell in head.cells] if head else []
        rows = [[cell.content.plain for cell in row.cells] for row in self.body.rows] if self.body else []
        for number, table in enumerate(tables(columns, rows, console.width)):
            if number:
                yield Segment.line()
            yield from console.render(table, options.update_width(console.width))


class _Page(Markdown):
    elements = Markdown.elements | {"fence": _Code, "code_block": _Code, "table_open": _Table}
