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
from typing import Any

from datasets import Dataset

from sftkit.errors import DataError
from sftkit.prediction.unlabelled import Labeller, Unlabelled, batched
from sftkit.tasks.readers.table_rows import NO_TABLE, Csv, Kind, QuotedTsv, kind_of, rows_of
from sftkit.tasks.readers.tables import Column, Table, as_text, cell, find_columns
from sftkit.tasks.sequences import FEATURES


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
        super().__init__()
        self._rows, self._table, self._label, self._title = iter(rows), table, label, title

    def labelled(self, labeller: Labeller) -> Iterator[tuple[Row, Any, Any]]:
        """Rows, their labels (or a number), and the scores of all labels."""
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
            cells = row.cells if row.cells is not None else [" ".join(text.split("\t")) for text in row.texts]
            if isinstance(cells, dict):
                yield json.dumps(cells | {self._label or self._title: said}, ensure_ascii=False) + "\n"
            else:
                place = len(cells) if self._label is None else int(self._label)
                yield _row([*cells[:place], as_text(said), *cells[place + 1 :]], kind)

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
    begin: list[str] = []
    for line in lines:
        begin.append(line)
        if line.strip():
            break
    else:
        raise DataError(f"{source}: holds no text, only blank lines.")
    lines = chain(begin, lines)
    kind = kind_of(source, begin[-1])
    if kind is None:
        if len(wanted) > 2:
            raise DataError(f"{source}: {NO_TABLE}")
        return Texts(Row([line]) for line in lines if line.strip())
    rows = rows_of(source, (f"{line}\n" for line in lines), kind)
    number, start = next(rows)
    headless = all(names[0].isdecimal() for names in wanted.values()) and kind != "jsonl"
    header = tuple(start) if kind == "jsonl" else () if headless else tuple(name.strip() for name in start)
    table = Table(source, kind, header, [(number, start)])
    *held, last = wanted
    places = find_columns(table, {name: wanted[name] for name in held})
    whole = rows if header and kind != "jsonl" else chain([(number, start)], rows)
    found = (Row([cell(table, line, row, place) for place in places], row) for line, row in whole)
    return Texts(found, table, _label(table, {last: wanted[last]}), wanted[last][0] if not headless else "label")


def _label(table: Table, wanted: Mapping[str, Sequence[str]]) -> Column | None:
    try:
        return find_columns(table, wanted)[0]
    except DataError:
        return None
