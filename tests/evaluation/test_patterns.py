"""Names found in the place of {}."""

from __future__ import annotations

from pathlib import Path

import pytest

from sftkit.errors import DataError
from sftkit.evaluation.patterns import names_in_all, names_of


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
