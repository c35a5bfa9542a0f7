"""The rows of tables in TSV, CSV and JSONL, line by line: what is malformed is told with its line."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Literal

from sftkit.errors import DataError
from sftkit.storage.documents import NotJson, parse_line

Kind = Literal["tsv", "quoted", "csv", "jsonl"]
#: Endings of files that hold a table.
KINDS: dict[str, Kind] = {".tsv": "tsv", ".csv": "csv", ".jsonl": "jsonl", ".json": "jsonl", ".ndjson": "jsonl"}
NO_TABLE = "no table. Tables end in .tsv, .csv or .jsonl, or have tabs in their first line."
#: Characters of a cell, at most: all that fit where C's ``long`` is shortest. Python's own limit is 131,072.
_LONGEST = 2**31 - 1


class Csv(csv.excel):
    """CSV as it is read and written."""

    lineterminator = "\n"
    strict = True


class QuotedTsv(Csv):
    """A TSV with quotes."""

    delimiter = "\t"
    quoting = csv.QUOTE_ALL


def kind_of(source: str, first: str) -> Kind | None:
    """How a table is written, by the ending of the file's name and its first line; None: it is no table."""
    kind = KINDS.get(Path(source).suffix.lower())
    if kind is None:
        kind = "jsonl" if first.lstrip().startswith("{") else "tsv" if "\t" in first else None
    if kind == "tsv" and all(len(name) > 1 and name[0] == name[-1] == '"' for name in first.strip().split("\t")):
        return "quoted"
    return kind


def rows_of(source: str, lines: Iterable[str], kind: Kind) -> Iterator[tuple[int, Any]]:
    """(line, cells) of every row that is not blank, all of the same length, or (line, object) of JSONL; as they come.

    Args:
        source: the file, for complaints.
        lines: with their ends.
        kind: how it is written.

    Raises:
        DataError: if a row is malformed; names the line.
    """
    if kind == "jsonl":
        yield from ((number, _object(source, number, line)) for number, line in enumerate(lines, 1) if line.strip())
        return
    width: int | None = None
    for number, cells in _split(source, lines, kind):
        if not any(part.strip() for part in cells):
            continue
        width = len(cells) if width is None else width
        if len(cells) != width:
            raise DataError(f"{source}, line {number}: {len(cells)} columns; the first line has {width}.")
        yield number, cells


def _split(source: str, lines: Iterable[str], kind: Kind) -> Iterator[tuple[int, list[str]]]:
    if kind == "tsv":
        yield from ((number, line.rstrip("\r\n").split("\t")) for number, line in enumerate(lines, start=1))
        return
    reader = csv.reader(lines, Csv if kind == "csv" else QuotedTsv)
    start = 1
    try:
        for cells in _with_long_cells(reader):
            yield start, cells
            start = reader.line_num + 1
    except csv.Error as error:
        raise DataError(f"{source}, line {start}: not valid {'CSV' if kind == 'csv' else 'TSV'} ({error}).") from None


def _with_long_cells(reader: Iterator[list[str]]) -> Iterator[list[str]]:
    """A reader's rows; the limit on a cell is Python's own and one for all, so it is lifted for a row at a time."""
    while True:
        before = csv.field_size_limit(_LONGEST)
        try:
            cells = next(reader, None)
        finally:
            csv.field_size_limit(before)
        if cells is None:
            return
        yield cells


def _object(source: str, number: int, line: str) -> dict[str, Any]:
    """A line of JSONL."""
    told = "no JSON object; JSONL has one a line, as jq -c '.' makes it, and of a list jq -c '.[]'."
    try:
        row = parse_line(line)
        if isinstance(row, dict):
            return row
    except (json.JSONDecodeError, RecursionError):
        pass
    except NotJson as error:
        told = told if str(error).startswith("not valid JSON") else f"{error}."
    except ValueError:  # Python refuses to read numbers of thousands of digits
        told = "a number in it is too long to be read."
    raise DataError(f"{source}, line {number}: {told}")
