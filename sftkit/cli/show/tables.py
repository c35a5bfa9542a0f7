"""Tables for a width: in a box where they go into it, else light, with lines broken at words, or in several parts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from rich import box
from rich.table import Table
from rich.text import Text

from sftkit.cli.show.layout import TablePart, blocks, broken, natural
from sftkit.shown import shown

#: What a box takes between two columns, and outside of them; and without one.
_BOXED, _EDGES, _LIGHT = 3, 4, 2


@dataclass(frozen=True)
class Column:
    """A column of a table: its heading, and whether its cells are numbers."""

    title: str
    number: bool = False


def tables(columns: Sequence[Column], rows: Iterable[Sequence[object]], width: int) -> list[Table]:
    """One table; of columns that are too many for the width several, each with the first column.

    Args:
        columns: what stands above.
        rows: their cells, which are shown as they are, markup included.
        width: of the terminal.
    """
    cells = [[shown(column.title)] for column in columns]
    for row in rows:
        for texts, cell in zip(cells, row, strict=True):
            texts.append(shown(str(cell)))
    if sum(map(natural, cells)) + _BOXED * (len(cells) - 1) + _EDGES <= width:
        return [_boxed(columns, cells)]
    return [_light(columns, cells, block) for block in blocks(cells, width, _LIGHT)]


def _boxed(columns: Sequence[Column], cells: Sequence[Sequence[str]]) -> Table:
    made = Table(show_header=any(column.title for column in columns))
    for column, texts in zip(columns, cells, strict=True):
        # a name that is cut off says nothing
        made.add_column(Text(texts[0]), justify=_side(column), overflow="fold")
    return _filled(made, cells)


def _light(columns: Sequence[Column], cells: Sequence[Sequence[str]], block: TablePart) -> Table:
    """Nothing but a line below the heading, which leaves more room."""
    chosen = [columns[number] for number in block.columns]
    lines = [
        ["\n".join(broken(cell, width)) for cell in cells[number]]
        for number, width in zip(block.columns, block.widths, strict=True)
    ]
    made = Table(
        show_header=any(column.title for column in chosen),
        box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, _LIGHT - 1, 0, 0),
    )  # fmt: skip
    for column, texts, width in zip(chosen, lines, block.widths, strict=True):
        made.add_column(Text(texts[0]), justify=_side(column), overflow="fold", width=width)
    return _filled(made, lines)


def _filled(made: Table, cells: Sequence[Sequence[str]]) -> Table:
    for row in zip(*(texts[1:] for texts in cells), strict=True):
        made.add_row(*map(Text, row))
    return made


def _side(column: Column) -> Any:
    return "right" if column.number else "left"
