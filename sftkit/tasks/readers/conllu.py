"""CoNLL-U files, read by the ``conllu`` library, with the line number in every complaint.

Multi-word tokens and empty nodes are passed over, as the standard says for the basic tree: one word a syntactic word.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import conllu
import numpy as np

from sftkit.errors import DataError
from sftkit.shown import quoted, shown_on_a_line
from sftkit.tasks.parsing.trees import astray
from sftkit.tasks.readers.guess import looks_like
from sftkit.tasks.readers.sources import read_text
from sftkit.tasks.readers.tag_sets import RELATIONS as RELATIONS
from sftkit.tasks.readers.tag_sets import UPOS as UPOS

COLUMNS = 10
_FIELDS = ("id", "form", "lemma", "upos", "xpos", "feats", "head", "deprel")
#: A syntactic word: its line, and its columns by name.
Word = tuple[int, Mapping[str, Any]]


def tagged_sentences(source: str) -> Iterator[tuple[list[str], list[str]]]:
    """(words, UPOS tags) of every sentence.

    Raises:
        DataError: if the file is not CoNLL-U, or a tag is not one of the 17 universal ones; names the line.
    """
    for words in sentences(source):
        yield (
            [word["form"] for _, word in words],
            [checked_tag(f"{source}, line {line}", word["upos"]) for line, word in words],
        )


def parsed_sentences(source: str) -> Iterator[tuple[list[str], list[int], list[str]]]:
    """(words, heads, relations with their subtypes) of every sentence; a head is a word's number from 1, or 0.

    Raises:
        DataError: if the file is not CoNLL-U, words are not numbered from 1, a head is missing or not there, heads go
            round in a circle, or a relation is not universal; names the line.
    """
    for words in sentences(source):
        for expected, (line, word) in enumerate(words, start=1):
            if word["id"] != expected:
                raise DataError(f"{source}, line {line}: the word's ID is {word['id']} where {expected} is due.")
        places = [f"{source}, line {line}" for line, _ in words]
        heads = check_tree(places, [word["head"] for _, word in words], [word["deprel"] for _, word in words])
        yield [word["form"] for _, word in words], heads, [word["deprel"] for _, word in words]


def check_tree(places: Sequence[str], heads: Sequence[int | None], relations: Sequence[str | None]) -> list[int]:
    """The heads of a sentence, if they and its relations are those of a dependency tree.

    Args:
        places: where each word stands, for complaints.
        heads: each word's, from 1; 0 for the root.
        relations: each word's; the part before a colon is a universal one.

    Raises:
        DataError: naming the place.
    """
    for place, head, relation in zip(places, heads, relations, strict=True):
        if head is None or not 0 <= head <= len(heads):
            said = "is missing" if head is None else f"is {head}"
            raise DataError(f"{place}: HEAD {said}; it must be 0 or the number of one of the {len(heads)} words.")
        if universal(relation or "_") not in RELATIONS:
            raise DataError(
                f"{place}: unknown relation {quoted(relation or '_')} in column 8; the universal ones are "
                f"{' '.join(RELATIONS)}."
            )
    there = [head for head in heads if head is not None]
    for i in np.flatnonzero(astray(np.array(there, np.int64)))[:1]:
        raise DataError(f"{places[i]}: from this word the heads lead round in a circle and not to the root.")
    return there


def universal(relation: str) -> str:
    """A relation without its subtype."""
    return relation.partition(":")[0]


def sentences(source: str) -> Iterator[list[Word]]:
    """The syntactic words of every sentence; sentences without words are left out.

    Raises:
        DataError: if the file is not CoNLL-U or holds no sentence; names the line.
    """
    text = read_text(source)
    empty = True
    check_forms(source, text)
    for line, block in _blocks(text):
        words = _words(source, line, block)
        if words:
            empty = False
            yield words
    if empty:
        raise DataError(f"{source}: holds no sentence.")


def is_conllu(source: str) -> bool:
    """Whether the first line of a file that is neither blank nor a comment has the columns of CoNLL-U.

    Raises:
        DataError: if it is no text.
    """
    first = re.search(r"^(?!#)[^\n]*\S[^\n]*$", read_text(source), re.MULTILINE)
    return first is None or first[0].count("\t") == COLUMNS - 1


def without_text(source: str, sentences: Sequence[Sequence[str]]) -> tuple[str, ...]:
    """A note, if some sentences' text was not published.

    Underscores stand there for every word, or, as in GUM's Reddit part, for each of its letters.

    Args:
        source: where they are from.
        sentences: the words of each.
    """
    blank = sum(len(words) > 1 and not any(word.strip("_") for word in words) for words in sentences)
    return (f"{source}: sentences without their text, only _ for words: {blank:,}.",) if blank else ()


def check_forms(source: str, text: str) -> None:
    """Refuse a treebank most of whose words are ``_``: of some only the annotation may be published.

    Args:
        source: its name.
        text: all of it, or its beginning.

    Raises:
        DataError: saying how many they are.
    """
    blank, words = (len(re.findall(rf"^\d+\t{form}", text, re.MULTILINE)) for form in ("_+\t", ""))
    if blank > 1 and 2 * blank > words:
        raise DataError(
            f"{source}: {blank:,} of {words:,} words are _: the treebank comes without its text. Its README says "
            "where that is and what puts it in."
        )


def write_columns(source: str, path: Path, changes: Sequence[Sequence[Mapping[int, str]]]) -> None:
    """Copy a file with some columns of its syntactic words replaced, everything else as it is.

    Args:
        source: a file that :func:`sentences` reads.
        path: the new file.
        changes: for each sentence and each word of it: column (from 0, not the last) -> what stands there.
    """
    lines = read_text(source).split("\n")
    for sentence, own in zip(sentences(source), changes, strict=True):
        for (number, _), change in zip(sentence, own, strict=True):
            columns = lines[number - 1].split("\t")
            for column, text in change.items():
                columns[column] = text
            lines[number - 1] = "\t".join(columns)
    path.write_text("\n".join(lines), encoding="utf-8", newline="\n")


def _blocks(text: str) -> Iterator[tuple[int, list[str]]]:
    """(number of the first line, lines) of every sentence; sentences are parted by blank lines."""
    block: list[str] = []
    start = 1
    for number, raw in enumerate(text.split("\n"), start=1):  # splitlines would also split at U+2028
        line = raw.rstrip("\r")
        if line.strip():
            if not block:
                start = number
            block.append(line)
        elif block:
            yield start, block
            block = []
    if block:
        yield start, block


def _words(source: str, start: int, block: list[str]) -> list[Word]:
    numbers = [start + i for i, line in enumerate(block) if not line.startswith("#")]
    for number in numbers:
        columns = block[number - start].count("\t") + 1
        if columns != COLUMNS:
            raise DataError(
                f"{source}, line {number}: {columns} tab-separated columns; CoNLL-U has {COLUMNS}."
                + (looks_like("\n".join(block), "--dep") or " Is it CoNLL-U (UPOS in column 4)?")
            )
    if not numbers:
        return []
    try:
        (tokens,) = conllu.parse("\n".join(block) + "\n\n", fields=_FIELDS)
    except (conllu.exceptions.ParseException, ValueError) as error:
        told = shown_on_a_line(" ".join(str(error).split()), 200)
        raise DataError(f"{source}, sentence at line {start}: not valid CoNLL-U ({told}).") from None
    # ranges are multi-word tokens, decimals empty nodes
    words: list[Word] = [
        (number, token) for number, token in zip(numbers, tokens, strict=True) if isinstance(token["id"], int)
    ]
    for number, token in words:
        if not token["form"]:
            raise DataError(f"{source}, line {number}: the word form is empty.")
    return words


def checked_tag(place: str, tag: str | None) -> str:
    """A universal part-of-speech tag.

    Raises:
        DataError: if it is none; names the place.
    """
    if tag in (None, "_"):
        raise DataError(
            f"{place}: no part-of-speech tag (column 4 of CoNLL-U is blank), and data to learn from or to score on has "
            "them. Blanks are filled by sftkit predict."
        )
    if tag not in UPOS:
        raise DataError(
            f"{place}: unknown part-of-speech tag {quoted(str(tag))} (column 4 of CoNLL-U); "
            f"the universal ones are {' '.join(UPOS)}."
        )
    return tag
