"""Files that have a word and its tag a line, in two columns or more, and blank lines between sentences.

Columns are parted by a tab or by spaces. The word is in the first column and the tag in the last, unless the first
column numbers the words (UNER, GermEval): then the word is in the second, and the tag in the first column of tags after
it. Numbers of the columns, from 1, overrule that. Passed over are ``-DOCSTART-`` lines, comments (``# …``) before a
sentence, and, where words are numbered, multi-word tokens ("3-4"). The ``en:`` before every word of raw WikiANN is
taken off. Not covered: tables with a sentence a line.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from sftkit.errors import DataError
from sftkit.shown import quoted
from sftkit.tasks.readers.guess import looks_like
from sftkit.tasks.readers.sources import read_text

_DOCUMENT = "-DOCSTART-"
_COMMENT = re.compile(r"#(\s|$)")
_NUMBER = re.compile(r"(\d{1,9})([-.]\d{1,9})?")
_PREFIX = re.compile(r"([a-z]{2,}(?:-[a-z]+)*):(.*)", re.DOTALL)
#: The share of tags in a column of tags, at least: what else stands there is a slip, and is told by its line.
_MOST = 0.9
#: A line's number, and its columns.
_Row = tuple[int, list[str]]


@dataclass(frozen=True)
class Wanted:
    """What is looked for.

    Attributes:
        option: what reads it, such as "--ner".
        is_tag: whether a text is a tag.
        tags: what tags are called in a complaint.
        format: what the option reads, for complaints.
    """

    option: str
    is_tag: Callable[[str], bool]
    tags: str
    format: str = "a word and its tag, parted by a space or a tab"


@dataclass(frozen=True)
class WordFile:
    """What was read.

    Attributes:
        words: of every sentence.
        tags: of every word of every sentence.
        lines: where each word stands, from 1.
        tag_column: where the tags stand, from 0.
        notes: what the user may want to know of how it was read.
    """

    words: list[list[str]]
    tags: list[list[str]]
    lines: list[list[int]]
    tag_column: int
    notes: tuple[str, ...]


def read_word_file(source: str, wanted: Wanted, columns: Sequence[str] = ()) -> WordFile:
    """Read a file.

    Args:
        source: the file.
        wanted: what it should hold.
        columns: the numbers of the word's column and the tag's, from 1; none: found.

    Raises:
        DataError: if it is malformed, or holds no sentence; names the line.
    """
    text = read_text(source)
    blocks = _blocks(source, text, wanted)
    numbered = _is_numbered(blocks)
    if numbered:
        simple = [[row for row in block if row[1][0].isdecimal()] for block in blocks]
        blocks = [block for block in simple if block]
    word, tag, notes = _layout(source, blocks, wanted, columns, numbered=numbered)
    for number, cells in (row for block in blocks for row in block):
        if not cells[word].strip():
            raise DataError(f"{source}, line {number}: the word is empty.")
        if not wanted.is_tag(cells[tag]):
            where = "the last column" if tag == len(cells) - 1 else f"column {tag + 1}"
            hint = _other_column(blocks, wanted, word) or looks_like(text, wanted.option)
            raise DataError(f"{source}, line {number}: {quoted(cells[tag])} in {where} is no {wanted.tags}.{hint}")
    words = [[cells[word] for _, cells in block] for block in blocks]
    words, told = _without_prefix(words)
    return WordFile(
        words,
        [[cells[tag] for _, cells in block] for block in blocks],
        [[number for number, _ in block] for block in blocks],
        tag,
        tuple(f"{source}: {note}" for note in (*notes, *told)),
    )


def write_tags(source: str, file: WordFile, path: Path, tags: Sequence[Sequence[str]]) -> None:
    """Copy a file with its tags replaced, everything else as it is.

    Args:
        source: the file.
        file: what was read from it.
        path: the new file.
        tags: of every word of every sentence.
    """
    lines = read_text(source).split("\n")
    for numbers, own in zip(file.lines, tags, strict=True):
        for number, new in zip(numbers, own, strict=True):
            line = lines[number - 1]
            start, end = _spans(line)[file.tag_column]
            lines[number - 1] = line[:start] + new + line[end:]
    path.write_text("\n".join(lines), encoding="utf-8", newline="\n")


def _blocks(source: str, text: str, wanted: Wanted) -> list[list[_Row]]:
    """The rows of every sentence, all of the same number of columns."""
    blocks: list[list[_Row]] = [[]]
    lines = text.split("\n")  # splitlines would also split at U+2028
    width = _width(lines)
    for number, line in enumerate(lines, start=1):
        if not line.strip() or line.startswith(_DOCUMENT):
            blocks.append([])
            continue
        cells = _cells(line)
        if not blocks[-1] and _COMMENT.match(line) and not (len(cells) == width[1] and any(map(wanted.is_tag, cells))):
            continue
        if len(cells) < 2:
            hint = looks_like(text, wanted.option)
            raise DataError(f"{source}, line {number}: one column; {wanted.option} reads {wanted.format}.{hint}")
        if len(cells) != width[1]:
            hint = looks_like(text, wanted.option)
            raise DataError(f"{source}, line {number}: {len(cells)} columns; line {width[0]} has {width[1]}.{hint}")
        blocks[-1].append((number, cells))
    found = [block for block in blocks if block]
    if not found:
        raise DataError(f"{source}: holds no sentence.")
    return found


def _width(lines: Sequence[str]) -> tuple[int, int]:
    """(number, columns) of the first line that is no comment; of the first one if they all look like comments."""
    first = (1, "")
    for number, line in enumerate(lines, start=1):
        if line.strip() and not line.startswith(_DOCUMENT):
            if not _COMMENT.match(line):
                return number, len(_cells(line))
            first = first if first[1] else (number, line)
    return first[0], len(_cells(first[1]))


def _cells(line: str) -> list[str]:
    if "\t" in line and "\t" in line.rstrip():
        return line.rstrip().split("\t")
    cells = line.rstrip(" \r\t").split(" ")
    return [cell for cell in cells if cell] if "" in cells else cells


def _spans(line: str) -> list[tuple[int, int]]:
    """Where each column of a line begins and ends."""
    spans: list[tuple[int, int]] = []
    end = 0
    for cell in _cells(line):
        start = line.index(cell, end) if "\t" not in line.rstrip() else end + bool(spans)
        end = start + len(cell)
        spans.append((start, end))
    return spans


def _is_numbered(blocks: Sequence[Sequence[_Row]]) -> bool:
    """Whether the first of at least three columns numbers the words of every sentence, upwards from wherever."""
    if len(blocks[0][0][1]) < 3:
        return False
    for block in blocks:
        found = [_NUMBER.fullmatch(cells[0]) for _, cells in block]
        numbers = [int(match[1]) for match in found if match is not None]
        simple = [number for number, match in zip(numbers, found, strict=False) if match and not match[2]]
        if len(numbers) < len(found) or not simple or any(a >= b for a, b in pairwise(simple)):
            return False
    return any(len(block) > 1 for block in blocks) or all(block[0][1][0] in "01" for block in blocks)


def _layout(
    source: str, blocks: Sequence[Sequence[_Row]], wanted: Wanted, columns: Sequence[str], *, numbered: bool
) -> tuple[int, int, list[str]]:
    """Where words and tags are, from 0, and notes."""
    width = len(blocks[0][0][1])
    if columns:
        return (*_given(source, width, wanted, columns), [])
    if not numbered:
        return 0, width - 1, []
    tag = next(iter(_tag_columns(blocks, wanted, range(2, width), _MOST)), width - 1)
    where = f"the first of {width} columns numbers the words, which were taken from column 2, and tags from column"
    return 1, tag, [f"{where} {tag + 1}. If that is wrong, --columns WORD,TAG names the right ones by number."]


def _given(source: str, width: int, wanted: Wanted, columns: Sequence[str]) -> tuple[int, int]:
    for name in columns:
        if not (name.isdecimal() and len(name) < 4 and 0 < int(name) <= width):
            raise DataError(
                f"{source}: has {width} columns, and none is {name!r}: --columns for a file of {wanted.option} are the "
                f"numbers of the word's and the tag's, such as 1,{width}."
            )
    return int(columns[0]) - 1, int(columns[1]) - 1


def _tag_columns(
    blocks: Sequence[Sequence[_Row]], wanted: Wanted, among: Sequence[int], most: float = 1.0
) -> list[int]:
    """Those columns that hold tags, and at most a small share of something else."""
    rows = [cells for block in blocks for _, cells in block]
    return [column for column in among if sum(wanted.is_tag(cells[column]) for cells in rows) >= most * len(rows)]


def _other_column(blocks: Sequence[Sequence[_Row]], wanted: Wanted, word: int) -> str:
    found = _tag_columns(blocks, wanted, range(len(blocks[0][0][1])))
    if not found:
        return ""
    word = word if word != found[0] else len(blocks[0][0][1]) - 1
    return f" Column {found[0] + 1} holds nothing else: is it --columns {word + 1},{found[0] + 1}?"


def _without_prefix(sentences: list[list[str]]) -> tuple[list[list[str]], list[str]]:
    """Words without the language that stands before each of them in raw WikiANN."""
    if not all(_PREFIX.fullmatch(word) for words in sentences for word in words):  # mostly ends at the first one
        return sentences, []
    found = [[_PREFIX.fullmatch(word) for word in words] for words in sentences]
    if sum(map(len, found)) < 2 or not all(match and match[2].strip() for matches in found for match in matches):
        return sentences, []
    prefixes = sorted({match[1] for matches in found for match in matches if match})
    named = ", ".join(f"{prefix}:" for prefix in prefixes[:3])
    made = [[match[2] for match in matches if match] for matches in found]
    return made, [f"every word began with its language ({named}), as in raw WikiANN; that was taken off."]
