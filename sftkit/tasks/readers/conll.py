"""Files of named entities: a word and its tag a line, in all the layouts of :mod:`sftkit.tasks.readers.tagged`.

Tags come out as IOB2, whichever of the schemes of :mod:`sftkit.tasks.readers.tag_schemes` a file has.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from sftkit.tasks.readers import tagged
from sftkit.tasks.readers.tag_schemes import is_tag, scheme_of, to_iob2
from sftkit.tasks.readers.tagged import Wanted, read_word_file

ENTITIES = Wanted("--ner", is_tag, "BIO tag (O, B-PER, I-PER, …)")
#: Words and their tags.
Sentence = tuple[list[str], list[str]]


class Tagged(NamedTuple):
    """A file's sentences, tags in IOB2, and what the user may want to know of how it was read."""

    sentences: list[Sentence]
    notes: tuple[str, ...]


def tagged_sentences(source: str, columns: Sequence[str] = (), scheme: str = "") -> Tagged:
    """Every sentence of a file.

    Args:
        source: the file.
        columns: the numbers of the word's and the tag's column, from 1; none: found.
        scheme: of the tags, one of ``TAG_SCHEMES``; "": the one that fits best.

    Raises:
        DataError: if the file is malformed or holds no sentence; names the line.
    """
    file = read_word_file(source, ENTITIES, columns)
    tags, told = as_iob2(source, file.tags, scheme)
    return Tagged(list(zip(file.words, tags, strict=True)), (*file.notes, *told))


def as_iob2(source: str, tags: Sequence[Sequence[str]], scheme: str = "") -> tuple[list[list[str]], tuple[str, ...]]:
    """The tags of a source as IOB2, and a note on how they were understood."""
    found = scheme_of(tags, scheme)
    told = found.told()
    return to_iob2(tags, found.name), (f"{source}: {told}",) if told else ()


def write_tags(source: str, path: Path, tags: Sequence[Sequence[str]], columns: Sequence[str] = ()) -> None:
    """Copy a file with its tags replaced, everything else as it is.

    Args:
        source: a file that :func:`tagged_sentences` reads.
        path: the new file.
        tags: of every word of every sentence.
        columns: as for :func:`tagged_sentences`.
    """
    tagged.write_tags(source, read_word_file(source, ENTITIES, columns), path, tags)
