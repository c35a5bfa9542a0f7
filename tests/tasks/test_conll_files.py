"""Files of named entities as they are found in the wild: every scheme, and complaints that name the line."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sftkit.errors import DataError
from sftkit.tasks.conll_files import tagged_sentences, to_iob2, write_tags

TWO = "Wizara B-ORG\nya I-ORG\nafya I-ORG\n. O\n\nJuma B-PER\n"
SENTENCES = [(["Wizara", "ya", "afya", "."], ["B-ORG", "I-ORG", "I-ORG", "O"]), (["Juma"], ["B-PER"])]


def _write(folder: Path, text: str) -> str:
    (folder / "x.txt").write_text(text, encoding="utf-8", newline="")
    return str(folder / "x.txt")


@pytest.mark.parametrize(
    "text",
    [
        TWO,
        TWO.replace(" ", "\t"),
        TWO.replace(" ", "   "),
        TWO.replace("\n", "\r\n"),
        f"\ufeff\n\n{TWO}\n\n",
        TWO.replace(" ", " NN X "),
        "-DOCSTART- -X- -X- O\n\n" + TWO.replace(" ", " NN X ").replace("\n\n", "\n\n-DOCSTART- -X- -X- O\n\n"),
    ],
    ids=["spaces", "tabs", "many spaces", "windows", "byte order mark", "four columns", "documents"],
)
def test_all_layouts_give_the_same_sentences(text: str, tmp_path: Path) -> None:
    assert tagged_sentences(_write(tmp_path, text)) == SENTENCES


@pytest.mark.parametrize("word", ["New York", "a\u2028b", "#", "x\u00a0y"])
def test_what_looks_like_a_separator_or_comment_is_part_of_a_word_between_tabs(word: str, tmp_path: Path) -> None:
    assert tagged_sentences(_write(tmp_path, f"{word}\tO\n")) == [([word], ["O"])]


@pytest.mark.parametrize(
    ("scheme", "tags"),
    [
        ("IOB2", "B-A I-A B-A O B-B"),
        ("IOB1", "I-A I-A B-A O I-B"),
        ("BIOES", "B-A E-A S-A O S-B"),
        ("BILOU", "B-A L-A U-A O U-B"),
    ],
)
def test_every_scheme_says_the_same_in_iob2(scheme: str, tags: str) -> None:
    assert to_iob2([tags.split()]) == [["B-A", "I-A", "B-A", "O", "B-B"]]


def test_iob2_with_a_slip_stays_as_it_is() -> None:
    tags = ["B-A", "O", "I-A", "I-B"]
    assert to_iob2([tags]) == [tags]


@given(st.lists(st.lists(st.tuples(st.sampled_from("AB"), st.integers(0, 3)), max_size=8), max_size=4))
def test_schemes_say_the_same_whatever_the_entities_are(sentences: list[list[tuple[str, int]]]) -> None:
    """A length of 0 is a word outside."""
    files: dict[str, list[list[str]]] = {"IOB2": [], "IOB1": [], "BIOES": []}
    for entities in sentences:
        rows: dict[str, list[str]] = {name: [] for name in files}
        for i, (kind, length) in enumerate(entities):
            follows = i > 0 and entities[i - 1][0] == kind and entities[i - 1][1] > 0
            rest = [f"I-{kind}"] * (length - 1)
            rows["IOB2"] += [f"B-{kind}", *rest] if length else ["O"]
            rows["IOB1"] += [f"{'B' if follows else 'I'}-{kind}", *rest] if length else ["O"]
            whole = [f"S-{kind}"] if length == 1 else [f"B-{kind}", *rest[1:], f"E-{kind}"]
            rows["BIOES"] += whole if length else ["O"]
        for name, row in rows.items():
            files[name].append(row)
    assert [to_iob2(tags) for tags in files.values()] == [files["IOB2"]] * 3


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (("ya I-ORG", "ya"), "line 2: one column"),
        (("ya I-ORG", "ya NN I-ORG"), "line 2: 3 columns; line 1 has 2"),
        (("ya I-ORG", "ya ORG"), "line 2: 'ORG' in the last column is no BIO tag"),
        (("ya I-ORG", "ya I-"), "line 2: 'I-'"),
        (("ya I-ORG", " \tI-ORG"), "line 2: the word is empty"),
        ((TWO, "\n \n"), "holds no sentence"),
        ((TWO, "1\tta\t_\tNOUN\t_\t_\t0\troot\t_\t_\n"), "line 1: '_' .* It looks like CoNLL-U, which --pos and --dep"),
    ],
)
def test_a_malformed_line_is_named(change: tuple[str, str], complaint: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=complaint):
        tagged_sentences(_write(tmp_path, TWO.replace(*change)))


@pytest.mark.parametrize("separator", [" ", "\t", " NN O "])
def test_tags_are_written_into_the_last_column_and_nothing_else_changes(separator: str, tmp_path: Path) -> None:
    text = f"-DOCSTART- O\n\n{TWO}\n\n".replace(" ", separator)
    write_tags(_write(tmp_path, text), tmp_path / "out", [["B-X", "I-X", "O", "I-Y"], ["O"]])
    wanted = "-DOCSTART- O\n\nWizara B-X\nya I-X\nafya O\n. I-Y\n\nJuma O\n\n\n".replace(" ", separator)
    assert (tmp_path / "out").read_text() == wanted


@pytest.mark.parametrize("end", ["\n", "\r\n", " \n"])
def test_a_file_with_its_own_tags_written_into_it_is_the_same_to_the_byte(end: str, tmp_path: Path) -> None:
    source = _write(tmp_path, TWO.replace("\n", end))
    write_tags(source, tmp_path / "out", [tags for _, tags in tagged_sentences(source)])
    assert (tmp_path / "out").read_bytes() == Path(source).read_bytes()
