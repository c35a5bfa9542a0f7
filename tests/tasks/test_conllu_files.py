"""CoNLL-U as it is found in the wild, and complaints that name the line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from sftkit.errors import DataError
from sftkit.tasks.readers.conllu import tagged_sentences, write_columns
from tests.conftest import treebank_text


def _write(path: Path, text: str) -> str:
    (path / "x.conllu").write_text(text, encoding="utf-8")
    return str(path / "x.conllu")


def test_multi_word_tokens_and_empty_nodes_are_passed_over(tmp_path: Path) -> None:
    words, tags = next(tagged_sentences(_write(tmp_path, treebank_text(1))))
    assert (words, tags) == (["ta", "mi0", "ka"], ["NOUN", "VERB", "ADP"])


def test_a_line_separator_inside_a_word_is_part_of_the_word(tmp_path: Path) -> None:
    text = treebank_text(2).replace("mi0", "mi\u2028x")
    assert next(tagged_sentences(_write(tmp_path, text)))[0][1] == "mi\u2028x"


def test_windows_line_ends_and_a_byte_order_mark_are_read(tmp_path: Path) -> None:
    (tmp_path / "x.conllu").write_bytes(b"\xef\xbb\xbf" + treebank_text(2).replace("\n", "\r\n").encode())
    assert len(list(tagged_sentences(str(tmp_path / "x.conllu")))) == 2


def test_a_last_sentence_without_a_blank_line_counts(tmp_path: Path) -> None:
    assert len(list(tagged_sentences(_write(tmp_path, treebank_text(3).rstrip("\n"))))) == 3


@pytest.mark.parametrize(
    "odd",
    [
        lambda text: "\n\n# newdoc\n\n" + text.replace("\n\n", "\n\n\n \n"),  # runs of blank lines, a comment alone
        lambda text: text.rstrip("\n"),
        lambda text: text.replace("\n", "\r\n"),
    ],
    ids=["blank lines", "no last line", "Windows"],
)
def test_a_file_with_its_own_tags_written_into_it_is_the_same_to_the_byte(
    odd: Callable[[str], str], tmp_path: Path
) -> None:
    source = tmp_path / "x.conllu"
    source.write_bytes(odd(treebank_text(4)).encode())
    tags = [tags for _, tags in tagged_sentences(str(source))]
    write_columns(str(source), tmp_path / "same", [[{3: tag} for tag in each] for each in tags])
    assert (tmp_path / "same").read_bytes() == source.read_bytes()
    write_columns(str(source), tmp_path / "other", [[{3: "X"} for _ in each] for each in tags])
    assert {tag for _, tags in tagged_sentences(str(tmp_path / "other")) for tag in tags} == {"X"}


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (("3\tka\t_\tADP", "3\tka\tADP"), r"line 5: 9 tab-separated columns"),
        (("3\tka\t_\tADP", "3\tka\t_\tFOO"), r"line 5: unknown part-of-speech tag 'FOO'"),
        (("3\tka\t_\tADP", "x\tka\t_\tADP"), r"sentence at line 1: not valid CoNLL-U"),
        (("3\tka\t_\tADP", "3\tka\t_\t_"), r"line 5: no part-of-speech tag"),
    ],
)
def test_a_malformed_line_is_named(tmp_path: Path, change: tuple[str, str], complaint: str) -> None:
    with pytest.raises(DataError, match=complaint):
        list(tagged_sentences(_write(tmp_path, treebank_text(2).replace(*change, 1))))


@pytest.mark.parametrize(
    ("text", "complaint"), [("", "is empty"), ("# only a comment\n", "no sentence"), ("\n\n", "no sentence")]
)
def test_a_file_without_sentences_is_an_error(tmp_path: Path, text: str, complaint: str) -> None:
    with pytest.raises(DataError, match=complaint):
        list(tagged_sentences(_write(tmp_path, text)))


def test_bytes_that_are_not_utf8_are_named_by_line(tmp_path: Path) -> None:
    (tmp_path / "x.conllu").write_bytes(treebank_text(1).encode() + b"\xff\n")
    with pytest.raises(DataError, match=r"line 8: not UTF-8"):
        list(tagged_sentences(str(tmp_path / "x.conllu")))
