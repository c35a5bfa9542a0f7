"""What a file that an option cannot read looks like, for the complaint about it. A guess from its first lines."""

from __future__ import annotations

import re

from sftkit.tasks.readers.tag_schemes import is_tag
from sftkit.tasks.readers.tag_sets import UPOS

#: Lines that look like annotation before that is certain.
FEWEST = 5
_LOOKED_AT = 50  # lines
#: A kind of file -> what to call it, and the options that read it.
_TOLD = {
    "conllu": ("CoNLL-U", ("--pos", "--dep")),
    "entities": ("words with tags of named entities", ("--ner",)),
    "parts of speech": ("words with parts of speech", ("--pos",)),
    "squad": ("SQuAD's JSON", ("--qa",)),
    "json": ("JSON, an object a line", ("--nli", "--classify")),
    "table": ("a table", ("--nli", "--classify")),
    "text": ("plain text", ("--mlm", "--clm")),
}


def kind_of(text: str, least: int = 1) -> str:
    """One of the keys of ``_TOLD``, or "" where nothing fits.

    Args:
        text: a file, or its beginning.
        least: lines that there must be, so that a few short lines of text are not taken for words with tags; a line of
            CoNLL-U is taken for nothing else.
    """
    start = text.lstrip("\ufeff \r\n\t")[:200]
    if re.match(r'\{\s*["}]', start):
        return "squad" if re.match(r'\{\s*"(data|version)"', start) else "json"
    lines = text.split("\n", 4 * _LOOKED_AT)[: 4 * _LOOKED_AT]
    rows = [line.strip(" \r") for line in lines if line.strip() and not re.match(r"#\s|-DOCSTART-", line)]
    rows = rows[:_LOOKED_AT]
    words = [row for row in rows if not row.startswith("#")]
    if words and all(row.count("\t") == 9 and row[0].isdecimal() for row in words):
        return "conllu"
    if len(rows) < least:
        return ""
    cells = [re.split(r"\t| +", row) for row in rows]
    short = 2 <= len(cells[0]) <= 6 and all(len(each) == len(cells[0]) for each in cells)
    for kind, fits in (("entities", is_tag), ("parts of speech", UPOS.__contains__)):
        if short and any(all(fits(each[column]) for each in cells) for column in range(len(cells[0]))):
            return kind
    tabs = rows[0].count("\t")
    if tabs and all(row.count("\t") == tabs for row in rows):
        return "table"
    return "text" if sum(len(each) for each in cells) > 4 * len(cells) else ""


def looks_like(text: str, option: str) -> str:
    """A sentence on what a file looks like that an option cannot read, and what reads it; "" if nothing is known.

    Args:
        text: a file, or its beginning.
        option: what could not read it.
    """
    kind = kind_of(text)
    if not kind or option in _TOLD[kind][1]:
        return ""
    name, options = _TOLD[kind]
    return f" It looks like {name}, which {' and '.join(options)} {'reads' if len(options) == 1 else 'read'}."
