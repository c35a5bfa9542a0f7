"""Names found in the place of {}."""

from __future__ import annotations

from pathlib import Path

import pytest

from sftkit.errors import DataError
from sftkit.evaluation.patterns import Cell, cells_in, cells_of, filled


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in (
        "lang/mt.sft",
        "lang/wo.sft",
        "ud/mt/mt-test.conllu",
        "ud/sme/sme-test.conllu",
        "ud/wo/mt-test.conllu",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    return tmp_path


def names_of(pattern: str) -> list[str]:
    return sorted(cell.lang for cell in cells_in(pattern))


def names_in_all(patterns: list[str]) -> tuple[list[str], list[str]]:
    cells, notes = cells_of(patterns)
    return [cell.lang for cell in cells], notes


def test_names_are_those_of_the_files_that_exist(folder: Path) -> None:
    assert names_of(f"{folder}/lang/{{}}.sft") == ["mt", "wo"]


def test_several_places_stand_for_one_name(folder: Path) -> None:
    assert names_of(f"{folder}/ud/{{}}/{{}}-test.conllu") == ["mt", "sme"]


def test_relative_patterns_are_found_from_here(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    assert names_of("lang/{}.sft") == names_of("./lang/{}.sft") == names_of("../" + folder.name + "/lang/{}.sft")
    assert names_of("lang/{}.sft") == ["mt", "wo"]


def test_brackets_in_a_folder_s_name_are_no_pattern(tmp_path: Path) -> None:
    (tmp_path / "[a]*").mkdir()
    (tmp_path / "[a]*/mt.sft").touch()
    assert names_of(f"{tmp_path}/[a]*/{{}}.sft") == ["mt"]


def test_only_names_with_all_files_are_taken_and_the_others_are_said(folder: Path) -> None:
    lang, data = f"{folder}/lang/{{}}.sft", f"{folder}/ud/{{}}/{{}}-test.conllu"
    names, notes = names_in_all([data, lang, "pos.sft"])
    assert names == ["mt"]
    assert notes == [f"left out, for {data} is missing: wo", f"left out, for {lang} is missing: sme"]


def test_no_name_at_all_is_an_error_that_lists_what_there_is(folder: Path) -> None:
    with pytest.raises(DataError, match=r"No name has all the files.*mt, wo.*none"):
        names_in_all([f"{folder}/lang/{{}}.sft", f"{folder}/nothing/{{}}.conllu"])


def made(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


def cells(folder: Path, *patterns: str) -> tuple[list[tuple[str, ...]], list[str]]:
    found, notes = cells_of([f"{folder}/{pattern}" for pattern in patterns])
    return [tuple(part for part in cell if part) for cell in found], [note.replace(f"{folder}/", "") for note in notes]


def test_systems_languages_and_seeds_are_told_apart_by_their_names(tmp_path: Path) -> None:
    made(tmp_path, "d/mt", "d/wo", *(f"{system}/{lang}-{seed}.sft" for system in "ab" for lang in ("mt", "wo")
                                     for seed in (2, 10)))  # fmt: skip
    found, notes = cells(tmp_path, "{system}/{lang}-{seed}.sft", "d/{}")
    wanted = [(system, lang, seed) for system in "ab" for lang in ("mt", "wo") for seed in ("2", "10")]
    assert (found, notes) == (wanted, [])


def test_seeds_are_whole_numbers(tmp_path: Path) -> None:
    made(tmp_path, "pos-1.sft", "pos-best.sft", "pos-2.sft")
    assert cells(tmp_path, "pos-{seed}.sft")[0] == [("1",), ("2",)]


def test_the_languages_of_the_data_tell_where_a_language_s_name_begins(tmp_path: Path) -> None:
    made(tmp_path, "d/pt-br", "d/mt", "lt-sft-pt-br.sft", "lt-sft-mt.sft")
    found, notes = cells(tmp_path, "{system}-{lang}.sft", "d/{lang}")
    assert (found, notes) == ([("lt-sft", "mt"), ("lt-sft", "pt-br")], [])


def test_a_name_that_can_be_read_in_two_ways_is_refused(tmp_path: Path) -> None:
    made(tmp_path, "d/pt-br", "d/br", "a-pt-br.sft", "a-br.sft")
    with pytest.raises(DataError, match=r"a-pt-br.sft: is it system a, lang pt-br or system a-pt, lang br\?"):
        cells(tmp_path, "{system}-{lang}.sft", "d/{lang}")


def test_languages_that_a_system_lacks_are_left_out_of_all(tmp_path: Path) -> None:
    made(tmp_path, "d/mt", "d/wo", "a/mt.sft", "a/wo.sft", "b/mt.sft")
    found, notes = cells(tmp_path, "{system}/{lang}.sft", "d/{}")
    assert (found, notes) == ([("a", "mt"), ("b", "mt")], ["left out, for b lacks a file: wo"])


def test_seeds_that_a_language_lacks_are_left_out_of_all_of_that_system(tmp_path: Path) -> None:
    made(tmp_path, "d/mt", "d/wo", "a/mt-1.sft", "a/wo-1.sft", "a/mt-2.sft", "b/mt-1.sft", "b/wo-1.sft", "b/mt-2.sft",
         "b/wo-2.sft")  # fmt: skip
    found, notes = cells(tmp_path, "{system}/{lang}-{seed}.sft", "d/{}")
    assert found == [("a", "mt", "1"), ("a", "wo", "1"), *(("b", lang, seed) for lang in ("mt", "wo") for seed in "12")]
    assert notes == ["a: left out in all languages, for wo lacks a file: seed 2"]


@pytest.mark.parametrize(
    ("files", "complaint"),
    [
        (("a/mt-1.sft", "b/wo-1.sft"), r"No language is there for every system \(a: mt; b: wo\)"),
        (("a/mt-1.sft", "a/wo-2.sft"), r"a: no seed is there for every language \(mt: 1; wo: 2\)"),
        ((), r"No name has all the files .*seed}.sft: none; .*: mt, wo"),
    ],
)
def test_a_grid_without_a_common_cell_is_refused(files: tuple[str, ...], complaint: str, tmp_path: Path) -> None:
    made(tmp_path, "d/mt", "d/wo", *files)
    with pytest.raises(DataError, match=complaint):
        cells(tmp_path, "{system}/{lang}-{seed}.sft", "d/{}")


def test_empty_braces_and_those_of_a_language_mean_the_same() -> None:
    assert filled("{}/{lang}-{seed}", Cell("a", "mt", "3")) == "mt/mt-3"
