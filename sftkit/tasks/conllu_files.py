"""CoNLL-U files, read by the ``conllu`` library, with the line number in every complaint.

Multi-word tokens and empty nodes are passed over, as the standard says for the basic tree: one word a syntactic word.
"""

from __future__ import annotations

from collections.abc import Iterator

import conllu

from sftkit.errors import DataError
from sftkit.tasks.sources import read_text

COLUMNS = 10
UPOS = ("ADJ", "ADP", "ADV", "AUX", "CCONJ", "DET", "INTJ", "NOUN", "NUM", "PART", "PRON", "PROPN", "PUNCT", "SCONJ",
        "SYM", "VERB", "X")  # fmt: skip
_FIELDS = ("id", "form", "lemma", "upos")


def tagged_sentences(source: str) -> Iterator[tuple[list[str], list[str]]]:
    """(words, UPOS tags) of every sentence.

    Raises:
        DataError: if the file is not CoNLL-U, or a tag is not one of the 17 universal ones; names the line.
    """
    empty = True
    for line, block in _blocks(read_text(source)):
        words, tags = _sentence(source, line, block)
        if words:
            empty = False
            yield words, tags
    if empty:
        raise DataError(f"{source}: holds no sentence.")


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


def _sentence(source: str, start: int, block: list[str]) -> tuple[list[str], list[str]]:
    numbers = [start + i for i, line in enumerate(block) if not line.startswith("#")]
    for number in numbers:
        columns = block[number - start].count("\t") + 1
        if columns != COLUMNS:
            raise DataError(
                f"{source}, line {number}: {columns} tab-separated columns; CoNLL-U has {COLUMNS}. "
                "Is it CoNLL-U (UPOS in column 4)?"
            )
    if not numbers:
        return [], []
    try:
        (tokens,) = conllu.parse("\n".join(block) + "\n\n", fields=_FIELDS)
    except (conllu.exceptions.ParseException, ValueError) as error:
        raise DataError(
            f"{source}, sentence at line {start}: not valid CoNLL-U ({' '.join(str(error).split())})."
        ) from None
    words, tags = [], []
    for number, token in zip(numbers, tokens, strict=True):
        if isinstance(token["id"], int):  # ranges are multi-word tokens, decimals empty nodes
            words.append(_form(source, number, token["form"]))
            tags.append(_tag(source, number, token["upos"]))
    return words, tags


def _form(source: str, number: int, form: str | None) -> str:
    if not form:
        raise DataError(f"{source}, line {number}: the word form is empty.")
    return form


def _tag(source: str, number: int, tag: str | None) -> str:
    if tag not in UPOS:
        raise DataError(
            f"{source}, line {number}: unknown part-of-speech tag {tag or '_'!r} in column 4; "
            f"the universal ones are {' '.join(UPOS)}."
        )
    return tag
