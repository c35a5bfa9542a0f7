"""Text that is not UTF-8, or has lines that end otherwise: what it may be, and the command that converts it."""

from __future__ import annotations

import codecs
import re
from shlex import quote

from sftkit.errors import DataError

_MARKS = {
    codecs.BOM_UTF32_LE: "utf-32", codecs.BOM_UTF32_BE: "utf-32",  # before UTF-16, whose mark one of them begins with
    codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16",
}  # fmt: skip
#: How files begin that are no text -> what they are, and what to do with them.
_PACKED = {
    b"\x1f\x8b": "is compressed. Unpack it first (gunzip).",
    b"\xfd7zXZ\0": "is compressed. Unpack it first (unxz).",
    b"BZh91AY&SY": "is compressed. Unpack it first (bunzip2).",
    b"\x28\xb5\x2f\xfd": "is compressed. Unpack it first (unzstd).",
    b"PK\x03\x04": "is a ZIP archive, or a document in one. Unpack it (unzip), or save it as plain text.",
    b"%PDF-": "is a PDF. Take its text out (pdftotext).",
}
_PAGES, _PAGE_LOOKED_AT = (b"<!doctype html", b"<html"), 200
#: Bytes at the beginning, and on each side of what is wrong.
_LOOKED_AT = 1 << 16
#: Two bytes or more that are a character of UTF-8.
_WHOLE = re.compile(rb"[\xc2-\xdf][\x80-\xbf]|[\xe0-\xef][\x80-\xbf]{2}|[\xf0-\xf4][\x80-\xbf]{3}")
#: Bytes of characters of UTF-8 that the ends of what is looked at may have cut, at most; NULs of 100 bytes of text.
_CUT, _STRAY = 6, 5


def check_packed(source: str, raw: bytes) -> None:
    """See that a file is not compressed, nor a document, nor a page of the web.

    Args:
        source: the file's name.
        raw: how it begins.

    Raises:
        DataError: saying what to do with it.
    """
    for begin, told in _PACKED.items():
        if raw.startswith(begin):
            raise DataError(f"{source}: {told}")
    if raw[:_PAGE_LOOKED_AT].lstrip().lower().startswith(_PAGES):
        raise DataError(f"{source}: is a page of the web. Download the file itself, or save the page's text.")


def check_begin(source: str, raw: bytes) -> None:
    """See that a file begins as text does; what the end of ``raw`` cuts is let pass.

    Args:
        source: the file's name.
        raw: how it begins.

    Raises:
        DataError: saying what it is, and what to do with it.
    """
    check_packed(source, raw)
    if (nul := raw.find(0)) >= 0:  # UTF-16 without a mark would pass as UTF-8 with them
        raise _not_text(source, raw, nul, "a NUL byte, so it is not UTF-8 text")
    try:
        codecs.getincrementaldecoder("utf-8-sig")().decode(raw)
    except UnicodeDecodeError as error:
        raise _not_text(source, raw, error.start, f"not UTF-8 text ({error.reason})") from None


def _not_text(source: str, raw: bytes, at: int, what: str) -> DataError:
    line = raw.count(b"\n", 0, at) + 1
    return DataError(f"{source}, line {line}: {what}.{conversion(source, raw, at)}")


def check_line_ends(source: str, raw: bytes) -> None:
    """See that lines do not end in carriage returns alone, as on old Macs: such a file would be one line.

    Args:
        source: the file's name.
        raw: its bytes, or its first line.

    Raises:
        DataError: naming the command that converts it.
    """
    if b"\n" not in raw and b"\r" in raw.rstrip(b"\r"):
        raise DataError(
            f"{source}: its lines end in carriage returns alone. Convert them: tr '\\r' '\\n' < {quote(source)} > NEW"
        )


def conversion(source: str, raw: bytes, at: int) -> str:
    """A sentence on what to do with a file that is not UTF-8.

    Args:
        source: the file's name.
        raw: its bytes, or enough of them.
        at: which of them is wrong first.
    """
    around = raw[max(0, at - _LOOKED_AT) : at + _LOOKED_AT]
    high, whole = re.findall(rb"[\x80-\xff]", around), _WHOLE.findall(around)
    rest = len(high) - sum(map(len, whole))
    marked = next((name for mark, name in _MARKS.items() if raw.startswith(mark)), None)
    if marked is not None:
        encoding = marked
    elif around.count(0) > len(around) // 4:
        encoding = "utf-16be" if raw[:_LOOKED_AT:2].count(0) > raw[1:_LOOKED_AT:2].count(0) else "utf-16le"
    elif 0 in around:
        if rest <= _CUT and around.count(0) <= max(1, _STRAY * len(around) // 100):
            return f" A stray one is taken out by tr -d '\\0' < {quote(source)} > NEW"
        return " It is no text."
    elif len(whole) > rest:  # most of it is UTF-8
        return f" The rest of it is: iconv -c -f utf-8 -t utf-8 {quote(source)} > NEW leaves out what is not."
    elif 4 * rest < len(around):
        encoding = "cp1252"  # a byte of text in a Latin alphabet in ten or so is no ASCII
    else:
        return f" Convert it with iconv -f ENCODING -t utf-8 {quote(source)} > NEW; iconv -l lists the encodings."
    return f" If it is {encoding}, as it seems: iconv -f {encoding} -t utf-8 {quote(source)} > NEW"
