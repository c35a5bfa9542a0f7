"""How text and tables take up a width: words and numbers stay whole, and a table too wide becomes several.

Pure: nothing here writes. Widths are in columns of a terminal, in which some letters take two.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.cells import cell_len

#: A space at which nothing is broken: before a unit's sign, around × and |, between the ends of an interval.
_GLUE = "\N{NO-BREAK SPACE}"
_GLUED = re.compile(r" (?=[%×|])|(?<=[×|]) ")
_INTERVAL = re.compile(r"\[[^\]\s]+, [^\]\s]+\]")
#: Where a long name may be broken: behind what joins its parts, but for a short suffix; anywhere where no spaces are.
_JOINT = re.compile(r"(?<=[/_:@-])(?=\w)|(?<=\.)(?=\w{5}|\w+[/._-])|(?<=[\u2e80-\ud7ff])")
_NUMBER = re.compile(r"[-+−]?[\d.,]+(e[-+]?\d+)?")
_LEAST = 4
#: Characters of a path that a table shows whole.
_LONG = 40


def wrapped(text: str, width: int, *, hanging: str = "") -> list[str]:
    """Prose as lines: broken at spaces alone, so that a path or a command's word can be copied whole.

    Args:
        text: lines of it; the spaces that one begins with are kept.
        width: of a line; a longer word has a line of its own and sticks out.
        hanging: what the further lines of each line begin with, beside its own spaces.
    """
    lines: list[str] = []
    for line in text.split("\n"):
        indent = line[: len(line) - len(line.lstrip(" "))]
        lines += _filled(_glued(line[len(indent) :]).split(" "), width, indent, indent + hanging)
    return [line.replace(_GLUE, " ") for line in lines]


def broken(text: str, width: int) -> list[str]:
    """A cell as lines: broken at spaces, longer words behind what joins their parts, and only then anywhere."""
    lines: list[str] = []
    for line in text.split("\n"):
        pieces: list[str] = []
        for word in _glued(line).split(" "):
            pieces += [word] if cell_len(word) <= width else _filled(_parts(word), width, joined="")
        lines += _filled(pieces, width)
    cut = [part for line in lines for part in _cut(line, width)]
    return [line.replace(_GLUE, " ") for line in cut]


def _glued(text: str) -> str:
    text = _GLUED.sub(_GLUE, text)
    return _INTERVAL.sub(lambda found: found[0].replace(" ", _GLUE), text)


def _filled(pieces: Sequence[str], width: int, first: str = "", further: str = "", joined: str = " ") -> list[str]:
    """Pieces on as few lines as they go on."""
    lines, begun = [first], False
    for piece in pieces:
        more = f"{lines[-1]}{joined if begun else ''}{piece}"
        if not begun or cell_len(more) <= width:
            lines[-1], begun = more, True
        else:
            lines.append(further + piece)
    return lines


def _parts(word: str) -> list[str]:
    return [word] if _NUMBER.fullmatch(word) else [part for part in _JOINT.split(word) if part]


def _cut(line: str, width: int) -> list[str]:
    """What even its parts are too long for."""
    lines = [""]
    for letter in line:
        if cell_len(lines[-1] + letter) > max(width, 2):
            lines.append("")
        lines[-1] += letter
    return lines


def short_path(text: str) -> str:
    """A long absolute path for a table: from here or from home if it lies below, else its last three parts."""
    path = Path(text)
    if len(text) <= _LONG or not path.is_absolute():
        return text
    for folder, called in ((Path.cwd(), Path()), (Path.home(), Path("~"))):
        if path.is_relative_to(folder) and path != folder:
            return str(called / path.relative_to(folder))
    return str(Path("…", *path.parts[-3:]))


@dataclass(frozen=True)
class TablePart:
    """Some of a table's columns, and how wide each is."""

    columns: tuple[int, ...]
    widths: tuple[int, ...]


def blocks(columns: Sequence[Sequence[str]], width: int, apart: int) -> list[TablePart]:
    """Columns side by side, in one table if they go into the width and else in several, each with the first column.

    Args:
        columns: the cells of each, heading included.
        width: of the terminal.
        apart: what lies between two columns.
    """
    found: list[TablePart] = []
    for floor in (_word, _part):
        least = [max((floor(cell) for cell in column), default=0) for column in columns]
        groups = _groups(least, width, apart)
        found = [TablePart(group, _widths(columns, group, least, width, apart)) for group in groups]
        if len(found) == 1:
            break
    return found


def natural(column: Sequence[str]) -> int:
    """The width in which nothing of a column is broken."""
    return max((cell_len(line) for cell in column for line in cell.split("\n")), default=0)


def _word(cell: str) -> int:
    return max(cell_len(word) for word in _glued(cell).replace("\n", " ").split(" "))


def _part(cell: str) -> int:
    return max(cell_len(part) for word in _glued(cell).replace("\n", " ").split(" ") for part in _parts(word) or [""])


def _groups(least: Sequence[int], width: int, apart: int) -> list[tuple[int, ...]]:
    """The columns of each table, by how wide they must be: as many as there is room for, after the first."""
    if not least:
        return [()]
    groups, taken = [[0]], least[0]
    for number, needed in enumerate(least[1:], start=1):
        if taken + apart + needed > width and len(groups[-1]) > 1:
            groups.append([0])
            taken = least[0]
        groups[-1].append(number)
        taken += apart + needed
    return [tuple(group) for group in groups]


def _widths(
    columns: Sequence[Sequence[str]], group: Sequence[int], least: Sequence[int], width: int, apart: int
) -> tuple[int, ...]:
    """Natural widths, of which the widest give way until all have room; below their least only if it must be."""
    widths = [natural(columns[number]) for number in group]
    over = sum(widths) + apart * (len(group) - 1) - width
    for floors in ([least[number] for number in group], [_LEAST] * len(group)):
        while over > 0 and any(wide > floor for wide, floor in zip(widths, floors, strict=True)):
            slack = [wide if wide > floor else 0 for wide, floor in zip(widths, floors, strict=True)]
            widths[slack.index(max(slack))] -= 1
            over -= 1
    return tuple(widths)
