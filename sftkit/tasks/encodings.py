"""Text that is not UTF-8: what it may be instead, and the command that converts it."""

from __future__ import annotations

import codecs
import re
from shlex import quote

_MARKS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
#: Bytes at the beginning, and on each side of what is wrong.
_LOOKED_AT = 1 << 16
#: Two bytes or more that are a character of UTF-8.
_WHOLE = re.compile(rb"[\xc2-\xdf][\x80-\xbf]|[\xe0-\xef][\x80-\xbf]{2}|[\xf0-\xf4][\x80-\xbf]{3}")


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
    if raw[:2] in _MARKS:
        encoding = "utf-16"
    elif around.count(0) > len(around) // 4:
        encoding = "utf-16be" if raw[:_LOOKED_AT:2].count(0) > raw[1:_LOOKED_AT:2].count(0) else "utf-16le"
    elif 0 in around:
        return " It is no text."
    elif len(whole) > rest:  # most of it is UTF-8
        return f" The rest of it is: iconv -c -f utf-8 -t utf-8 {quote(source)} > NEW leaves out what is not."
    elif 4 * rest < len(around):
        encoding = "cp1252"  # a byte of text in a Latin alphabet in ten or so is no ASCII
    else:
        return f" Convert it with iconv -f ENCODING -t utf-8 {quote(source)} > NEW; iconv -l lists the encodings."
    return f" If it is {encoding}, as it seems: iconv -f {encoding} -t utf-8 {quote(source)} > NEW"
