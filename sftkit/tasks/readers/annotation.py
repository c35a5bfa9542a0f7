"""Whether a file that is given as plain text is some: annotation would be learned with its numbers and tags.

Judged by how a file begins. Not covered: tables and data sets on the hub, which have their text in a column.
"""

from __future__ import annotations

from pathlib import Path
from shlex import quote

from sftkit.errors import DataError
from sftkit.tasks.readers.encodings import check_packed, conversion
from sftkit.tasks.readers.guess import FEWEST, kind_of
from sftkit.tasks.readers.local import HUB, local_file

_LOOKED_AT = 1 << 16  # bytes
#: Characters of UTF-8 have four bytes at most: an error so near to the end is one of where the look ends.
_CUT = 4


def check_is_text(source: str) -> None:
    """See that what begins like this is text to be learned.

    Raises:
        DataError: if it is annotation, or in another encoding than UTF-8; says what to do.
    """
    if source.startswith(HUB) or Path(source).suffix.lower() in (".csv", ".json", ".jsonl", ".parquet"):
        return
    with local_file(source).open("rb") as file:
        raw = file.read(_LOOKED_AT)
    check_packed(source, raw)
    _check_encoding(source, raw)
    text = raw.decode("utf-8-sig", errors="replace")
    kind = kind_of(text, least=FEWEST)
    if kind == "conllu":
        told = "a sentence a line, the words of its second column parted by spaces."
        if "# text = " in text:
            told = f"sed -n 's/^# text = //p' {quote(source)} > NEW.txt"
        raise DataError(
            f"{source}: is CoNLL-U, and its numbers and tags would be learned as text. Take the text out of it: {told}"
        )
    if kind in ("entities", "parts of speech"):
        raise DataError(
            f"{source}: has a word and its tag a line, and tags would be learned as text. Give sentences without tags."
        )


def _check_encoding(source: str, raw: bytes) -> None:
    """Errors further on are told where the text is read."""
    at, reason = raw.find(0), "a NUL byte"
    try:
        raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        if (at < 0 or error.start < at) and error.start < _LOOKED_AT - _CUT:
            at, reason = error.start, error.reason
    if at >= 0:
        line = raw.count(b"\n", 0, at) + 1
        raise DataError(f"{source}, line {line}: not UTF-8 text ({reason}).{conversion(source, raw, at)}")
