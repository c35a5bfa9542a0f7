"""Tables as they are found in the wild, and complaints that name the line."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from sftkit.errors import DataError
from sftkit.tasks.readers.tables import cell, find_columns, read_table, write_table

WANTED = {"text": ("text", "sentence"), "label": ("label", "gold_label")}
ROWS = [['He said "hi", and left.', "yes"], ['"Quoted"', "no"], ["x\u2028y", "yes"]]
NAMES = {"tsv": "x.tsv", "txt": "x.txt", "csv": "x.csv", "quoted tsv": "x.tsv", "jsonl": "x.jsonl", "json": "x.json"}


def _text(kind: str, one: str = "yes", two: str = "no", three: str = "yes") -> str:
    """ROWS with these labels, and a column of numbers."""
    if kind in ("tsv", "txt"):
        rows = [f'He said "hi", and left.\t0\t{one}', f'"Quoted"\t1\t{two}', f"x\u2028y\t2\t{three}"]
        return "\n".join(["Sentence\tid\tgold_label", *rows, ""])
    if kind == "csv":
        rows = [f'"He said ""hi"", and left.",0,{one}', f'"""Quoted""",1,{two}', f"x\u2028y,2,{three}"]
        return "\n".join(["Sentence,id,gold_label", *rows, ""])
    if kind == "quoted tsv":
        rows = [
            f'"He said ""hi"", and left."\t"0"\t"{one}"',
            f'"""Quoted"""\t"1"\t"{two}"',
            f'"x\u2028y"\t"2"\t"{three}"',
        ]
        return "\n".join(['"Sentence"\t"id"\t"gold_label"', *rows, ""])
    objects = [{"Sentence": text, "id": i, "gold_label": (one, two, three)[i]} for i, (text, _) in enumerate(ROWS)]
    return "".join(json.dumps(each, ensure_ascii=False) + "\n" for each in objects)


def _write(folder: Path, name: str, text: str) -> str:
    (folder / name).write_text(text, encoding="utf-8", newline="")
    return str(folder / name)


def _cells(source: str, wanted: Any = WANTED, **options: Any) -> list[list[str]]:
    table = read_table(source, **options)
    places = find_columns(table, wanted)
    return [[cell(table, line, row, place) for place in places] for line, row in table.rows]


@pytest.mark.parametrize("change", [("", ""), ("\n", "\r\n"), ("\n", "\n\n")], ids=["", "windows", "blank lines"])
@pytest.mark.parametrize("kind", NAMES)
def test_all_kinds_give_the_same_cells(kind: str, change: tuple[str, str], tmp_path: Path) -> None:
    assert _cells(_write(tmp_path, NAMES[kind], "\ufeff" + _text(kind).replace(*change))) == ROWS


@pytest.mark.parametrize("kind", NAMES)
def test_a_column_is_replaced_and_all_else_stays_to_the_byte(kind: str, tmp_path: Path) -> None:
    table = read_table(_write(tmp_path, NAMES[kind], _text(kind)))
    (place,) = find_columns(table, {"label": WANTED["label"]})
    labels = ("no", "no", "may be")
    write_table(table, tmp_path / "out", place, labels)
    assert (tmp_path / "out").read_text(encoding="utf-8") == _text(kind, *labels)


def test_a_name_that_fits_exactly_goes_before_one_in_other_letters(tmp_path: Path) -> None:
    source = _write(tmp_path, "x.tsv", "Label\tlabel\ttext\na\tb\tc\n")
    assert _cells(source) == [["c", "b"]]


def test_columns_of_a_file_without_a_header_go_by_number(tmp_path: Path) -> None:
    source = _write(tmp_path, "x.tsv", "1\tta mi\n0\tlo\n")
    assert _cells(source, {"text": ("2",), "label": ("1",)}, header=False) == [["ta mi", "1"], ["lo", "0"]]
    with pytest.raises(DataError, match="2 columns, none with the number 3"):
        _cells(source, {"text": ("3",), "label": ("1",)}, header=False)


def test_json_numbers_are_read_as_they_are_written_and_written_as_numbers(tmp_path: Path) -> None:
    source = _write(tmp_path, "x.jsonl", '{"text": 3, "label": 1}\n{"text": "mi", "label": true}\n')
    assert _cells(source) == [["3", "1"], ["mi", "true"]]
    write_table(read_table(source), tmp_path / "out", "label", ["-1", "true"])
    assert (tmp_path / "out").read_text() == '{"text": 3, "label": -1}\n{"text": "mi", "label": "true"}\n'


def test_a_line_break_in_a_csv_cell_is_part_of_it_and_later_lines_are_counted_right(tmp_path: Path) -> None:
    text = 'text,label\n"a\nb",x\nc,y\n'
    assert _cells(_write(tmp_path, "x.csv", text)) == [["a\nb", "x"], ["c", "y"]]
    with pytest.raises(DataError, match=r"line 5: 3 columns; the first line has 2"):
        read_table(_write(tmp_path, "x.csv", text + "d,e,f\n"))


@pytest.mark.parametrize(
    ("name", "text", "complaint"),
    [
        ("x.txt", "just text\n", r"no table. Tables end in .tsv, .csv or .jsonl"),
        ("x.tsv", "text\tlabel\n", "no row below its header"),
        ("x.tsv", "text\tlabel\na\n", "line 2: 1 columns; the first line has 2"),
        ("x.tsv", "id\tlabel\na\tb\n", r"has no column text or sentence, only id, label.*text,label with --columns"),
        ("x.csv", 'text,label\n"a"b,c\n', "line 2: not valid CSV"),
        ("x.jsonl", '{"text": "a", "label": "b"}\n[1]\n', "line 2: no JSON object"),
        ("x.jsonl", '{"text": "a", "label": "b"}\n{"text"\n', "line 2: no JSON object"),
        ("x.jsonl", '{"text": "a", "label": "b"}\n{"text": "a"}\n', "line 2: 'label' is null, which is no text"),
        ("x.jsonl", '{"text": ["a"], "label": "b"}\n', r"line 1: 'text' is \[\"a\"\], which is no text"),
    ],
)
def test_what_is_no_table_is_told_by_line(name: str, text: str, complaint: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=complaint):
        _cells(_write(tmp_path, name, text))


def test_cells_may_be_longer_than_pythons_limit_which_stays_as_it_was(tmp_path: Path) -> None:
    limit, long = csv.field_size_limit(), "a" * 300_000
    assert _cells(_write(tmp_path, "x.csv", f'text,label\n"{long}",b\n')) == [[long, "b"]]
    assert csv.field_size_limit() == limit


@pytest.mark.parametrize(("name", "other"), [("x.csv", ";"), ("x.csv", "\t"), ("x.tsv", ","), ("x.tsv", "|")])
def test_a_table_with_other_separators_is_told_so(name: str, other: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(f"text{other}label\nta{other}a\n")
    table = read_table(str(tmp_path / name))
    with pytest.raises(DataError, match="has one column, but seems to have several"):
        find_columns(table, {"text": ("text",)})


@pytest.mark.parametrize("text", ['[{"text": "ta", "label": "a"}]', '{\n"text": "ta",\n"label": "a"\n}\n'])
def test_json_that_is_not_an_object_a_line_is_told_what_makes_it_so(text: str, tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text(text)
    with pytest.raises(DataError, match=r"line 1: no JSON object; .* jq -c"):
        read_table(str(tmp_path / "x.json"))


def test_a_name_that_two_columns_have_is_refused_unless_one_fits_exactly(tmp_path: Path) -> None:
    twice = read_table(_write(tmp_path, "x.tsv", "text\tlabel\tlabel\na\tb\tc\n"))
    with pytest.raises(DataError, match="2 columns are called label"):
        find_columns(twice, WANTED)
    alike = read_table(_write(tmp_path, "y.tsv", "text\tLabel\tlabel\na\tb\tc\n"))
    assert find_columns(alike, WANTED) == [0, 2]
