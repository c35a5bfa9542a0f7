"""Texts, and pairs of them, that are to be classified: a table, with or without a column of labels, or a text a line.

What is predicted goes into the column of labels, which is the last one if there was none.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

from datasets import Dataset

from sftkit.errors import DataError
from sftkit.format.documents import NotJson, parse_line
from sftkit.prediction.unlabelled import Labeller, Unlabelled, batched
from sftkit.tasks.sequences import FEATURES
from sftkit.tasks.tables import KINDS, Column, Csv, Kind, QuotedTsv, Table, cell, find_columns


@dataclass(frozen=True)
class Row:
    """The texts of a row, and the row as it stands in its table."""

    texts: list[str]
    cells: Any = None


class Texts(Unlabelled):
    """Rows for ``nli`` or ``classify``.

    Args:
        rows: of a table, or of texts alone.
        table: the table without its rows; None: the rows are texts.
        label: where labels go; None: into a new column, the last one.
        title: what that is called.
    """

    def __init__(
        self, rows: Iterable[Row], table: Table | None = None, label: Column | None = None, title: str = "label"
    ) -> None:
        self._rows, self._table, self._label, self._title = iter(rows), table, label, title

    def labelled(self, labeller: Labeller) -> Iterator[tuple[Row, Any, Any]]:
        """Rows, their labels, and the probabilities of all labels."""
        for batch in batched(self._rows):
            rows = [{"texts": row.texts, "label": None} for row in batch]
            said = labeller.said(Dataset.from_list(rows, features=FEATURES))
            yield from ((row, *found) for row, found in zip(batch, said, strict=True))

    def written(self, found: Iterable[tuple[Any, Any, Any]], labels: Sequence[str]) -> Iterator[str]:
        """The table, a row at a time."""
        del labels
        kind = self._table.kind if self._table else "tsv"
        header = self._table.header if self._table else ("text", self._title)
        if kind != "jsonl" and header:
            yield _row([*header, *([self._title] if self._label is None and self._table else [])], kind)
        for row, said, _ in found:
            cells = row.cells if row.cells is not None else list(row.texts)
            if isinstance(cells, dict):
                yield json.dumps(cells | {self._label or self._title: said}, ensure_ascii=False) + "\n"
            else:
                place = len(cells) if self._label is None else int(self._label)
                yield _row([*cells[:place], said, *cells[place + 1 :]], kind)

    def objects(self, found: Iterable[tuple[Any, Any, Any]], labels: Sequence[str]) -> Iterator[dict[str, Any]]:
        """``text`` (a list of two for a pair), ``labels``, the likeliest first, and their ``scores``."""
        for row, _, scores in found:
            order = sorted(range(len(labels)), key=lambda i: -scores[i])
            text = row.texts if len(row.texts) > 1 else row.texts[0]
            yield {"text": text, "labels": [labels[i] for i in order], "scores": [scores[i] for i in order]}


def _row(cells: Sequence[str], kind: Kind) -> str:
    if kind == "tsv":
        return "\t".join(cells) + "\n"
    line = io.StringIO()
    csv.writer(line, Csv if kind == "csv" else QuotedTsv).writerow(cells)
    return line.getvalue()


def texts_of(source: str, lines: Iterator[str], wanted: Mapping[str, Sequence[str]]) -> Texts:
    """The texts of a source.

    Args:
        source: its name, whose ending says how a table is written; else the first line does.
        lines: its lines.
        wanted: what the columns hold, the label last -> what they may be called; their numbers where the table has no
            header.

    Raises:
        DataError: if a column of texts is not there, or it is no table where two texts are wanted.
    """
    first = next((line for line in lines if line.strip()), None)
    if first is None:
        return Texts([])
    kind = _kind(source, first)
    if kind is None:
        if len(wanted) > 2:
            raise DataError(
                f"{source}: no table. Tables end in .tsv, .csv or .jsonl, or have tabs in their first line."
            )
        return Texts(Row([line]) for line in chain([first], lines) if line.strip())
    rows = _rows(source, chain([first], lines), kind)
    _, start = next(rows)
    headless = all(names[0].isdecimal() for names in wanted.values()) and kind != "jsonl"
    header = tuple(start) if kind == "jsonl" else () if headless else tuple(name.strip() for name in start)
    table = Table(source, kind, header, [(1, start)])
    *held, last = wanted
    places = find_columns(table, {name: wanted[name] for name in held})
    whole = rows if header and kind != "jsonl" else chain([(1, start)], rows)
    found = (Row([cell(table, line, row, place) for place in places], row) for line, row in whole)
    return Texts(found, table, _label(table, {last: wanted[last]}), wanted[last][0] if not headless else "label")


def _label(table: Table, wanted: Mapping[str, Sequence[str]]) -> Column | None:
    try:
        return find_columns(table, wanted)[0]
    except DataError:
        return None


def _kind(source: str, first: str) -> Kind | None:
    kind = KINDS.get(Path(source).suffix.lower())
    if kind is None:
        kind = "jsonl" if first.lstrip().startswith("{") else "tsv" if "\t" in first else None
    if kind == "tsv" and all(len(name) > 1 and name[0] == name[-1] == '"' for name in first.split("\t")):
        return "quoted"
    return kind


def _rows(source: str, lines: Iterator[str], kind: Kind) -> Iterator[tuple[int, Any]]:
    """(number, cells) of every row that is not blank."""
    width: int | None = None
    for number, row in enumerate(_split(source, lines, kind), start=1):
        if isinstance(row, list):
            if not any(part.strip() for part in row):
                continue
            width = len(row) if width is None else width
            if len(row) != width:
                raise DataError(f"{source}, row {number}: {len(row)} columns; the first line has {width}.")
        yield number, row


def _split(source: str, lines: Iterator[str], kind: Kind) -> Iterator[Any]:
    if kind == "tsv":
        yield from (line.split("\t") for line in lines)
    elif kind == "jsonl":
        for number, line in enumerate(lines, start=1):
            try:
                row = parse_line(line) if line.strip() else None
            except NotJson as error:
                raise DataError(f"{source}, line {number}: {error}.") from None
            except (ValueError, RecursionError):
                row = False
            if row is not None and not isinstance(row, dict):
                raise DataError(f"{source}, line {number}: no JSON object; JSONL has one a line.")
            if row is not None:
                yield row
    else:
        try:
            yield from csv.reader((f"{line}\n" for line in lines), Csv if kind == "csv" else QuotedTsv)
        except csv.Error as error:
            raise DataError(f"{source}: not valid {'CSV' if kind == 'csv' else 'TSV'} ({error}).") from None
