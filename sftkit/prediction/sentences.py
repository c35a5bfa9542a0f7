"""Sentences whose words are to be labelled, as people have them: text, a word a line, or CoNLL-U.

Text has a sentence a line, and its words are what white space parts; blank lines are passed over. Which of the three a
source is, its first lines say, where the user does not. What is none of them is refused: it would be labelled with its
numbers and tags. Not covered: parting text into sentences, or into words where no white space does.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, groupby, islice

from sftkit.errors import DataError
from sftkit.tasks.readers.conllu import COLUMNS, check_forms
from sftkit.tasks.readers.guess import FEWEST, kind_of, looks_like

_LOOKED_AT = 200  # lines
#: A word's number in CoNLL-U, or those of a multi-word token, or an empty node's.
_NUMBER = re.compile(r"\d+([-.]\d+)?")
#: Characters of a word on average, at most; of what stands between two spaces in text without spaces there are more.
_LONG = 12


@dataclass(frozen=True)
class Sentence:
    """Words, and the lines of CoNLL-U that they come from, if they do; comments may stand there without words."""

    words: list[str]
    lines: tuple[str, ...] = ()


def sentences_of(
    source: str, lines: Iterator[str], *, words: bool | None = None, trees: bool = False
) -> tuple[Iterator[Sentence], list[str]]:
    """The sentences of a source, as they come, and what the user may want to know of how they are read.

    Args:
        source: its name.
        lines: its lines.
        words: whether a line is a word, and a blank line the end of a sentence; None: seen from the first lines.
        trees: whether words must be numbered from 1, as trees name them by number.

    Raises:
        DataError: if it is CoNLL-U with other columns than it should have or without its text, has tags beside its
            words, or is no text at all.
    """
    first = list(islice(lines, _LOOKED_AT))
    lines, text = chain(first, lines), "\n".join(first)
    if not text.strip():
        raise DataError(f"{source}: holds no text, only blank lines.")
    kind = kind_of(text, least=FEWEST)
    if kind == "conllu" or source.endswith(".conllu"):
        check_forms(source, text)
        return _conllu(source, lines, trees=trees), []
    if kind in ("entities", "parts of speech") or (kind == "table" and words and _is_numbered(first)):
        what = "tags" if kind != "table" else "numbers"
        raise DataError(
            f"{source}: has {what} beside its words. evaluate --predictions writes predictions in their place; or take "
            f"the words out ({_cut(first)}) for --words."
        )
    if kind in ("squad", "json") or (kind == "table" and not words):
        raise DataError(
            f"{source}: neither a sentence a line, nor a word a line, nor CoNLL-U.{looks_like(text, '')} Take the text "
            "out of it first."
        )
    seen, told = _words_seen(source, first)
    if words or (words is None and seen):
        return _word_lines(lines), told if words is None else []
    return (Sentence(line.split()) for line in lines if line.strip()), told if words is None else []


def _cut(lines: Sequence[str]) -> str:
    """The command that takes the words out of lines with tags."""
    rows = [line for line in lines if line.strip() and not line.startswith(("# ", "#\t", "-DOCSTART-"))]
    marks = [mark for mark in ("#", "-DOCSTART-") if any(line.startswith(mark) and line not in rows for line in lines)]
    without = " ".join(["grep -v", *(f"-e '^{mark}'" for mark in marks), "| "]) if marks else ""
    parted = "" if "\t" in rows[0] else "-d' ' "
    return f"{without}cut {parted}-f {2 if _is_numbered(rows) else 1}"


def _is_numbered(rows: Sequence[str]) -> bool:
    """Whether the first of several columns has nothing but numbers."""
    return all(len(cells := row.split()) > 1 and cells[0].isdecimal() for row in rows if row.strip())


def _words_seen(source: str, lines: Sequence[str]) -> tuple[bool, list[str]]:
    """Whether the first lines are words, with blank lines between sentences; and what to tell of it."""
    found = [line.split() for line in lines]
    words = [each[0] for each in found if each]
    if len(words) < FEWEST or any(len(each) > 1 for each in found):
        return False, []
    if sum(map(len, words)) > _LONG * len(words):
        told = "hardly a line has white space, and each was taken for one word; part words by spaces, or --words."
        return False, [f"{source}: {told}"]
    sentences = sum(there for there, _ in groupby(found, key=bool))
    if 1 < sentences <= len(words) / 2:
        told = "was read as a word a line, with blank lines between sentences (--no-words: a sentence a line)."
        return True, [f"{source}: {told}"]
    return False, [f"{source}: has one word a line, and each was taken for a sentence (--words: a line is a word)."]


def _word_lines(lines: Iterator[str]) -> Iterator[Sentence]:
    words: list[str] = []
    for line in chain(lines, [""]):
        if line.strip():
            words.append(line.strip().split("\t")[0])
        elif words:
            yield Sentence(words)
            words = []


def _conllu(source: str, lines: Iterator[str], *, trees: bool) -> Iterator[Sentence]:
    block: list[str] = []
    words: list[str] = []
    for number, line in enumerate(chain(lines, [""]), start=1):
        if not line.strip():
            if block:
                yield Sentence(words, tuple(block))
            block, words = [], []
            continue
        block.append(line)
        if line.startswith("#"):
            continue
        cells = line.split("\t")
        where = f"{source}, line {number}"
        if len(cells) != COLUMNS:
            raise DataError(f"{where}: {len(cells)} tab-separated columns; CoNLL-U has {COLUMNS}.")
        if not _NUMBER.fullmatch(cells[0]):
            raise DataError(f"{where}: {cells[0]!r} is no word's number (column 1 of CoNLL-U).")
        if cells[0].isdecimal():
            words.append(cells[1])
            if not cells[1].strip():
                raise DataError(f"{where}: the word form is empty.")
            if trees and cells[0] != str(len(words)):
                raise DataError(f"{where}: the word's ID is {cells[0]} where {len(words)} is due.")
