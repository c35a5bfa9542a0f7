"""Tables of texts and labels: TSV, CSV and JSONL, told apart by the ending of the file's name.

A file of another ending is a TSV if its first line holds a tab. The first line names the columns. Quotation marks in a
TSV are text, as in GLUE, XNLI and AmericasNLI, unless every name in its first line stands in them; in a CSV they are
CSV's. How rows are read says :mod:`sftkit.tasks.readers.table_rows`. JSON lists and files with other separators are not
covered.
"""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from sftkit.errors import DataError
from sftkit.shown import QUOTED, brief
from sftkit.tasks.readers.sources import read_text
from sftkit.tasks.readers.table_rows import NO_TABLE, Csv, Kind, QuotedTsv, kind_of, rows_of

#: A column: its place in a row, or its key in a JSON object.
Column = int | str
#: What a column may be called that says in which language a row is.
LANGUAGE_COLUMNS = ("language", "lang", "locale", "language_code", "lang_code")


@dataclass(frozen=True)
class Table:
    """A file's rows.

    Attributes:
        source: the file.
        kind: how it is written; "quoted" is a TSV with quotes.
        header: the columns' names; none in a file without a header.
        rows: (line, cells by column) of each.
    """

    source: str
    kind: Kind
    header: tuple[str, ...]
    rows: list[tuple[int, Any]]


def read_table(source: str, *, header: bool = True) -> Table:
    """All of a file.

    Args:
        source: the file.
        header: whether the first line names the columns. JSONL has names in every line.

    Raises:
        DataError: if it is no table, or a row is malformed; names the line.
    """
    text = read_text(source)
    kind = kind_of(source, text.lstrip("\r\n").split("\n", 1)[0])
    if kind is None:
        raise DataError(f"{source}: {NO_TABLE}")
    rows = list(rows_of(source, io.StringIO(text, newline="" if kind in ("csv", "quoted") else "\n"), kind))
    if kind == "jsonl":
        names = tuple(dict.fromkeys(name for _, row in rows for name in row))
    else:
        names = tuple(name.strip() for name in rows.pop(0)[1]) if header and rows else ()
    if not rows:
        raise DataError(f"{source}: holds no row{' below its header' if names else ''}.")
    return Table(source, kind, names, rows)


def find_columns(table: Table, wanted: Mapping[str, Sequence[str]]) -> list[Column]:
    """Where the columns are that are wanted.

    Args:
        table: the table.
        wanted: what each holds -> the names that it may have, the likeliest first; upper and lower case are the same
            where no name fits exactly. For a file without a header, its number from 1.

    Raises:
        DataError: if one is not there.
    """
    if table.header or table.kind == "jsonl":  # an object may have no names
        return [_find(table, names, ",".join(wanted)) for names in wanted.values()]
    width = len(table.rows[0][1])
    for (number,) in wanted.values():
        if len(number) > 9 or not 0 < int(number) <= width:  # Python refuses to read numbers of thousands of digits
            raise DataError(f"{table.source}: has {width} columns, none with the number {number:.20} (--columns).")
    return [int(number) - 1 for (number,) in wanted.values()]


def cell(table: Table, line: int, row: Any, column: Column) -> str:
    """A cell as text: numbers and JSON's true and false as they are written.

    Raises:
        DataError: if it is missing, or a list or object.
    """
    value = raw(row, column)
    if isinstance(value, bool | int | float):
        return json.dumps(value)
    if not isinstance(value, str):
        name = repr(column) if isinstance(column, str) else f"column {column + 1}"
        raise DataError(f"{table.source}, line {line}: {name} is {brief(json.dumps(value), QUOTED)}, which is no text.")
    return value


def raw(row: Any, column: Column) -> Any:
    """A cell as it stands: JSON's values in JSONL, text elsewhere; None where it is missing."""
    return row.get(column) if isinstance(row, dict) else row[column]


def as_text(value: Any) -> str:
    """What is predicted as a cell of text: a label, several, or a number."""
    return value if isinstance(value, str) else f"{value:.7g}" if isinstance(value, float) else "|".join(value)


def only_where(table: Table, where: Sequence[tuple[str, str]]) -> Table:
    """The rows that have these values in these columns.

    Args:
        table: the table.
        where: (column, value) pairs; a column is its name, or its number from 1 where there is no header.

    Raises:
        DataError: if a column is not there, or no row has the value; names those that are there.
    """
    for name, wanted in where:
        (column,) = find_columns(table, {name: (name,)}) if table.header or name.isdecimal() else (None,)
        if column is None:
            raise DataError(f"{table.source}: has no header, so --where {name}={wanted} needs the column's number.")
        cells = [_plain(raw(row, column)) for _, row in table.rows]
        rows = [row for row, value in zip(table.rows, cells, strict=True) if value == wanted]
        check_where(table.source, name, wanted, cells)
        table = replace(table, rows=rows)
    return table


def check_where(source: str, name: str, wanted: str, cells: Sequence[str]) -> None:
    """See that a value is among those of a column.

    Raises:
        DataError: if it is not.
    """
    if wanted not in cells:
        there = ", ".join(brief(value) for value, _ in Counter(cells).most_common(8))
        raise DataError(f"{source}: no row has {name}={wanted} (--where); among its values are {there}.")


def mixed_languages(source: str, columns: Mapping[str, Sequence[Any]]) -> tuple[str, ...]:
    """A note, if rows of several languages are taken together.

    Args:
        source: where they are from.
        columns: name -> values, of those columns that may say the language.
    """
    for name, values in columns.items():
        counts = Counter(map(_plain, values))
        if len(counts) > 1:
            told = ", ".join(f"{brief(value)} {count:,}" for value, count in counts.most_common(4))
            more = ", …" if len(counts) > 4 else ""
            pick = f"--where {name}={counts.most_common(1)[0][0]}"
            return (f"{source}: rows of several languages are taken together ({told}{more}); {pick} picks one.",)
    return ()


def language_columns(table: Table, but: Sequence[Column]) -> dict[str, list[Any]]:
    """Name -> values of those columns that may say in which language a row is, but for some that are known."""
    places = range(len(table.header)) if table.kind != "jsonl" else table.header
    names = [
        name
        for name, place in zip(table.header, places, strict=True)
        if name.lower() in LANGUAGE_COLUMNS and place not in but
    ]
    return {
        name: [raw(row, name if isinstance(row, dict) else table.header.index(name)) for _, row in table.rows]
        for name in names
    }


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def write_table(table: Table, path: Path, column: Column, values: Sequence[Any]) -> None:
    """Write a table again with a column replaced; a JSON number by a number, where the value is one."""
    rows = [_replaced(row, column, value) for (_, row), value in zip(table.rows, values, strict=True)]
    lines = [list(table.header), *rows] if table.header else rows
    with path.open("w", encoding="utf-8", newline="") as file:
        if table.kind == "jsonl":
            file.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        elif table.kind == "tsv":
            file.writelines("\t".join(line) + "\n" for line in lines)
        else:
            csv.writer(file, Csv if table.kind == "csv" else QuotedTsv).writerows(lines)


def _replaced(row: Any, column: Column, value: Any) -> Any:
    if isinstance(row, dict):
        is_number = isinstance(row[column], int) and isinstance(value, str) and value.removeprefix("-").isdecimal()
        return row | {column: int(value) if is_number else value}
    return [as_text(value) if place == column else old for place, old in enumerate(row)]


def _find(table: Table, choices: Sequence[str], wanted: str) -> Column:
    lowered = [name.lower() for name in table.header]
    for name in choices:
        if name in table.header or name.lower() in lowered:
            place = table.header.index(name) if name in table.header else lowered.index(name.lower())
            return table.header[place] if table.kind == "jsonl" else place
    for other in (sep for sep in ";\t,|" if len(table.header) == 1 and sep in table.header[0]):
        raise DataError(
            f"{table.source}: was read as {table.kind.upper()} and has one column, but seems to have several, parted "
            f"by {other!r}. Write it with tabs and name it .tsv, or with commas and quotes .csv."
        )
    have = ", ".join(map(brief, table.header[:12])) or "objects without names"
    raise DataError(
        f"{table.source}: has no column {' or '.join(choices[:3])}, only {have}. Name the columns of {wanted} with "
        "--columns A,B,…; of a file without a header give their numbers."
    )
