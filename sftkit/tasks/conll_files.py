"""Two-column CoNLL files of named entities: a word and its tag a line, sentences parted by blank lines.

Columns are parted by a tab or by spaces; of more than two, as in CoNLL-2003, the first is the word and the last the
tag. ``-DOCSTART-`` lines are passed over. Tags come out as IOB2, whichever of IOB1, IOB2, BIOES and BILOU a file has.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from sftkit.errors import DataError
from sftkit.tasks.sources import read_text

OUTSIDE = "O"
_TAG = re.compile(r"O|[BIESLU]-\S+")
_DOCUMENT = "-DOCSTART-"
#: BIOES and BILOU say in the tag whether an entity ends; IOB2 only whether it begins.
_IOB2 = {"S": "B", "U": "B", "E": "I", "L": "I"}
#: A word: its line, itself and its tag.
_Word = tuple[int, str, str]


def tagged_sentences(source: str) -> list[tuple[list[str], list[str]]]:
    """(words, IOB2 tags) of every sentence.

    Raises:
        DataError: if the file is malformed or holds no sentence; names the line.
    """
    sentences = _sentences(source, read_text(source))
    tags = to_iob2([[tag for _, _, tag in sentence] for sentence in sentences])
    return [([word for _, word, _ in sentence], own) for sentence, own in zip(sentences, tags, strict=True)]


def write_tags(source: str, path: Path, tags: Sequence[Sequence[str]]) -> None:
    """Copy a file with its last column replaced, everything else as it is.

    Args:
        source: a file that :func:`tagged_sentences` reads.
        path: the new file.
        tags: of every word of every sentence.
    """
    text = read_text(source)
    lines = text.split("\n")
    for sentence, own in zip(_sentences(source, text), tags, strict=True):
        for (number, _, old), new in zip(sentence, own, strict=True):
            before, _, after = lines[number - 1].rpartition(old)
            lines[number - 1] = before + new + after
    path.write_text("\n".join(lines), encoding="utf-8", newline="\n")


def is_tag(text: str) -> bool:
    """Whether a text is a tag of one of the schemes."""
    return _TAG.fullmatch(text) is not None


def to_iob2(sentences: Sequence[Sequence[str]]) -> list[list[str]]:
    """The tags of one file as IOB2.

    BIOES and BILOU are known by their letters. IOB1 is known by entities that begin with I-, while B- only stands where
    an entity follows another of its type. If it stands elsewhere, too, the file is IOB2 with slips, and stays so.
    """
    letters = {tag[0] for tags in sentences for tag in tags}
    if letters & set(_IOB2):
        return [[_IOB2.get(tag[0], tag[0]) + tag[1:] for tag in tags] for tags in sentences]
    needless = any(
        tag[0] == "B" and not follows for tags in sentences for tag, follows in zip(tags, _follow(tags), strict=True)
    )
    if needless:
        return [list(tags) for tags in sentences]
    return [
        [tag if tag == OUTSIDE or follows else f"B-{tag[2:]}" for tag, follows in zip(tags, _follow(tags), strict=True)]
        for tags in sentences
    ]


def _follow(tags: Sequence[str]) -> list[bool]:
    """Whether each tag follows one of its own type."""
    return [before[1:] == tag[1:] != "" for before, tag in zip([OUTSIDE, *tags], tags, strict=False)]


def _sentences(source: str, text: str) -> list[list[_Word]]:
    sentences: list[list[_Word]] = [[]]
    width: tuple[int, int] | None = None
    for number, line in enumerate(text.split("\n"), start=1):  # splitlines would also split at U+2028
        if not line.strip() or line.startswith(_DOCUMENT):
            sentences.append([])
            continue
        columns = _columns(line)
        width = width or (number, len(columns))
        problem = _problem(columns, width)
        if problem:
            raise DataError(f"{source}, line {number}: {problem}{_hint(text)}")
        sentences[-1].append((number, columns[0], columns[-1]))
    found = [sentence for sentence in sentences if sentence]
    if not found:
        raise DataError(f"{source}: holds no sentence.")
    return found


def _columns(line: str) -> list[str]:
    return line.rstrip().split("\t") if "\t" in line.rstrip() else re.split(" +", line.strip(" \r"))


def _problem(columns: Sequence[str], width: tuple[int, int]) -> str:
    first, wanted = width
    if len(columns) < 2:
        return "one column; --ner reads a word and its tag, parted by a space or a tab."
    if len(columns) != wanted:
        return f"{len(columns)} columns; line {first} has {wanted}."
    if not columns[0].strip():
        return "the word is empty."
    if not is_tag(columns[-1]):
        return f"{columns[-1]!r} in the last column is no BIO tag (O, B-PER, I-PER, …)."
    return ""


def _hint(text: str) -> str:
    conllu = any(line.count("\t") == 9 for line in text.split("\n"))
    return " It looks like CoNLL-U, which --pos and --dep read." if conllu else ""
