"""Text and tables in a width: words, names and numbers stay whole, columns that are too many go on below."""

from __future__ import annotations

import re
from random import Random

import pytest
from rich.cells import cell_len

from sftkit.cli.show.layout import blocks, broken, short_path, wrapped
from sftkit.cli.show.tables import Column, tables
from tests.helpers.screen import terminal

PARAMETER = "encoder.layer.11.attention.output.LayerNorm.weight"


def printed(columns: list[Column], rows: list[list[str]], width: int) -> list[str]:
    from sftkit.cli.show import render

    with terminal(width) as screen:
        render.table("", columns, rows)
    return screen.printed


def test_prose_is_broken_at_spaces_and_a_path_sticks_out_whole() -> None:
    path = "/a/very/long/path/that/has/no/space/in/it.sft"
    assert wrapped(f"see {path} for more of it", 20) == ["see", path, "for more of it"]


def test_further_lines_are_indented_and_a_lines_own_spaces_are_kept() -> None:
    assert wrapped("  memory: one two three", 14, hanging="  ") == ["  memory: one", "    two three"]
    assert wrapped("a\n\nb", 10) == ["a", "", "b"]


def test_a_unit_stays_with_its_number_and_an_interval_in_one_piece() -> None:
    assert broken("12 % of 259,008", 9) == ["12 % of", "259,008"]
    assert broken("0.8432 [0.8211, 0.8650]", 16) == ["0.8432", "[0.8211, 0.8650]"]
    assert broken("96 × 384", 4) != ["96 ×", "384"]
    assert broken("found 9.8 | 10.0", 11) == ["found", "9.8 | 10.0"]


def test_a_long_name_is_broken_behind_what_joins_its_parts() -> None:
    parts = broken(PARAMETER, 18)
    assert "".join(parts) == PARAMETER
    assert all(part.endswith(".") for part in parts[:-1])


def test_a_script_without_spaces_and_wide_letters_are_broken_anywhere() -> None:
    assert broken("語言語言語", 4) == ["語言", "語言", "語"]


@pytest.mark.parametrize("width", range(60, 201, 7))
def test_no_word_and_no_number_of_a_table_is_broken_in_any_width(width: int) -> None:
    cells = [PARAMETER, "3,072 × 768", "1,234,567", "12.3 %", "4.31 %", "0.00123", "0.0105", "0.253"]
    names = ["parameter", "shape", "entries", "of K", "density", "mean |φ|", "max |φ|", "l2"]
    lines = printed([Column(names[0]), *(Column(name, True) for name in names[1:])], [cells], width)
    assert max(map(len, lines)) <= width
    text = "\n".join(lines)
    for cell in cells[1:]:
        assert cell in text
    assert "LayerNorm" in text


def test_more_columns_than_go_into_the_width_go_on_below_with_the_first_column_again() -> None:
    columns = [Column("language"), *(Column(f"language{i}", True) for i in range(20))]
    rows = [[f"language{i}", *(f"{100 * j + i}.{j}" for j in range(20))] for i in range(3)]
    lines = printed(columns, rows, 80)
    assert max(map(len, lines)) <= 80
    assert sum(line.startswith("language0 ") for line in lines) > 1
    words = re.findall(r"\S+", "\n".join(lines))
    assert {cell for row in rows for cell in row} <= set(words)


def test_what_fits_is_one_table_in_a_box_and_a_wide_terminal_breaks_nothing() -> None:
    columns, rows = [Column("a"), Column("b", True)], [["word " * 30, "1"]]
    assert len(tables(columns, rows, 80)) == len(tables(columns, rows, 200)) == 1
    assert len(printed(columns, rows, 200)) == 6  # with its borders
    assert len(printed(columns, rows, 80)) > 4


def test_a_width_that_is_too_small_for_anything_still_shows_everything() -> None:
    (block,) = blocks([["abcdefghij"], ["klmnopqrst"]], 10, 2)
    assert sum(block.widths) + 2 <= 10
    assert "abcdefghij" in "".join(broken("abcdefghij", block.widths[0]))


def test_whatever_is_in_a_table_it_is_as_wide_as_the_terminal_at_most() -> None:
    draw = Random(0)
    pieces = (
        "a",
        "語言",
        "🙂",
        PARAMETER,
        "12 %",
        "3 × 4",
        "[0.1, 0.2]",
        "x" * 30,
        "",
        " ",
        "a\nb",
        "1,234",
        ".sft",
        "…",
    )
    for width in (draw.randint(1, 120) for _ in range(300)):
        columns = [Column(draw.choice(pieces), draw.random() < 0.5) for _ in range(draw.randint(0, 9))]
        rows = [[" ".join(draw.choices(pieces, k=draw.randint(0, 4))) for _ in columns] for _ in range(3)]
        lines = printed(columns, rows, width)
        assert width < 60 or max(map(cell_len, lines)) <= width


def test_of_a_long_absolute_path_the_part_is_shown_that_tells_it_apart(
    monkeypatch: pytest.MonkeyPatch, tmp_path: object
) -> None:
    monkeypatch.setenv("HOME", "/home/someone")
    assert short_path("/home/someone/corpora/universal-dependencies/mt/test.conllu").startswith("~/corpora/")
    assert short_path("/scratch/projects/universal-dependencies/2.14/mt/test.conllu") == "…/2.14/mt/test.conllu"
    assert short_path("/data/x.conllu") == "/data/x.conllu"
    assert short_path(f"{'sub/' * 20}x.conllu") == f"{'sub/' * 20}x.conllu"
    monkeypatch.chdir(str(tmp_path))
    assert short_path(f"{tmp_path}/{'sub/' * 10}x.conllu") == f"{'sub/' * 10}x.conllu"
