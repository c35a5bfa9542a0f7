"""Lines in pieces: bounded, nothing lost, no character broken, and a line still a line."""

from __future__ import annotations

import io
import tracemalloc
from pathlib import Path

import pytest
from datasets import Dataset
from hypothesis import given
from hypothesis import strategies as st

from sftkit.errors import DataError
from sftkit.tasks.corpora.lines import Lines
from sftkit.tasks.corpora.pieces import LONGEST, Piece, pieces
from sftkit.tasks.options import NO_OPTIONS, TaskOptions

FAMILY = "\U0001f469\u200d\U0001f469\u200d\U0001f467"
WAVE = "\U0001f44b\U0001f3fd"


def texts(*lines: str, longest: int = 8) -> list[list[str]]:
    """The pieces of each line that is not blank."""
    found: list[list[str]] = [[]]
    for piece in pieces(((line, True) for line in lines), longest):
        found[-1].append(piece.text)
        found += [[]] if piece.ends else []
    return found[:-1]


@given(st.lists(st.text(st.sampled_from("ab \u0301\u200d" + WAVE), max_size=60)), st.integers(1, 9))
def test_pieces_are_bounded_and_make_the_lines_that_are_not_blank(lines: list[str], longest: int) -> None:
    found = texts(*lines, longest=longest)
    assert ["".join("".join(each).split()) for each in found] == [
        "".join(line.split()) for line in lines if line and not line.isspace()
    ]
    assert all(len(piece) <= longest for each in found for piece in each)


@given(st.text(st.sampled_from("ab\n\r \u0301"), max_size=80), st.integers(1, 9))
def test_it_does_not_matter_in_what_fragments_lines_come(text: str, size: int) -> None:
    lines = io.StringIO(text, newline=None).read().split("\n")
    fragments = [
        (line[i : i + size], i + size >= len(line)) for line in lines for i in range(0, max(1, len(line)), size)
    ]
    assert list(pieces(fragments, 7)) == list(pieces(((line, True) for line in lines), 7))


def test_a_long_line_is_cut_before_white_space_where_there_is_some() -> None:
    assert texts("ta mi lo su") == [["ta mi lo", " su"]]
    assert texts("tamilo  suraka") == [["tamilo", "  suraka"]]


def test_without_white_space_it_is_cut_between_characters() -> None:
    assert texts("tamilosuraka") == [["tamilosu", "raka"]]
    assert texts("tamilose\u0301\u0301ka") == [["tamilos", "e\u0301\u0301ka"]]
    assert texts(f"tamil{FAMILY}ka") == [["tamil", f"{FAMILY}ka"]]
    assert texts(f"tamilos{WAVE}ka") == [["tamilos", f"{WAVE}ka"]]
    assert texts("\u0301" * 10) == [["\u0301" * 8, "\u0301" * 2]]


def test_white_space_without_end_is_no_text() -> None:
    assert texts(" " * 100, "", "ta", " " * 50 + "mi") == [["ta"], ["  mi"]]


@pytest.mark.parametrize("kind", ["txt", "parquet", "csv", "jsonl"])
def test_a_line_that_comes_in_pieces_counts_once(kind: str, tmp_path: Path) -> None:
    path, lines = tmp_path / f"x.{kind}", ["ta", "mi " * LONGEST, "lo", "su"]
    table = Dataset.from_dict({"text": lines})
    if kind == "txt":
        path.write_text("\n".join(lines))  # no end of the last line
    else:
        {"csv": table.to_csv, "jsonl": table.to_json, "parquet": table.to_parquet}[kind](str(path))
    found = [piece for batch in Lines(str(path), TaskOptions(max_lines=3)).batches() for piece in batch]
    assert [piece.ends for piece in found if piece.ends or not piece.text.startswith(("mi", " mi"))] == [True] * 3
    assert (found[0], found[-1]) == (Piece("ta", ends=True), Piece("lo", ends=True))
    assert max(len(piece.text) for piece in found) <= LONGEST
    assert "".join(piece.text for piece in found[1:-1]) == lines[1]
    assert len(Lines(str(path), NO_OPTIONS)) == 4


def test_memory_does_not_grow_with_the_length_of_a_line(tmp_path: Path) -> None:
    (tmp_path / "x.txt").write_bytes(b"ta " * 10_000_000)
    tracemalloc.start()
    try:
        assert len(Lines(str(tmp_path / "x.txt"), NO_OPTIONS)) == 1
        assert tracemalloc.get_traced_memory()[1] < 4_000_000
    finally:
        tracemalloc.stop()


def test_a_tokenizer_is_given_a_bounded_batch_however_lines_are(tmp_path: Path) -> None:
    (tmp_path / "x.txt").write_bytes(b"ta " * 1_000_000 + b"\n" + b"mi\n" * 3000 + b"lo" * 500_000)
    batches = list(Lines(str(tmp_path / "x.txt"), NO_OPTIONS).batches())
    assert max(map(len, batches)) == 1000
    assert max(sum(len(piece.text) for piece in batch) for batch in batches) <= (1 << 18) + LONGEST


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (b"ta\nmi\n" + b"lo " * 1_000_000 + b"\xe9 su", "line 3: not UTF-8"),
        (b"ta\nt\0a\0\n", "line 2: not UTF-8 text \\(a NUL byte"),
        (b"a" * ((1 << 20) - 1) + "é".encode() + b"\n\xff", "line 2: not UTF-8"),
        (b"a" * ((1 << 20) - 1) + b"\xc3", "not UTF-8"),
    ],
    ids=["in a long line", "NUL", "after a character on two pages", "cut off"],
)
def test_the_line_that_is_no_text_is_named(text: bytes, says: str, tmp_path: Path) -> None:
    (tmp_path / "x.txt").write_bytes(text)
    with pytest.raises(DataError, match=says):
        len(Lines(str(tmp_path / "x.txt"), NO_OPTIONS))


def test_all_kinds_of_line_ends_end_lines(tmp_path: Path) -> None:
    (tmp_path / "x.txt").write_bytes(b"\xef\xbb\xbfta\r\nmi\rlo\n\r\nsu")
    found = [piece.text for batch in Lines(str(tmp_path / "x.txt"), NO_OPTIONS).batches() for piece in batch]
    assert found == ["ta", "mi", "lo", "su"]
