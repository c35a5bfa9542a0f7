"""Lines in pieces of bounded length, so that one of gigabytes takes no more memory than one of a page.

A tokenizer sees a piece at a time. A line of up to ``LONGEST`` characters is one piece, so its tokens are those that
the tokenizer gives it whole. A longer one is cut before white space, where there is some in the latter half of a
piece; else where a character ends that readers see as one (a letter with its accents, an emoji with its modifiers);
else, within such a one that is half a piece long, between two code points. Not covered: the pairs of letters that make
a flag, and the parts of a Hangul syllable.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Iterator
from typing import NamedTuple

#: Characters of a piece at most.
LONGEST = 1 << 16
_JOINER = "\u200d"


class Piece(NamedTuple):
    """Some of a line's text, and whether the line ends with it."""

    text: str
    ends: bool


def pieces(fragments: Iterable[tuple[str, bool]], longest: int = LONGEST) -> Iterator[Piece]:
    """The lines that are not blank, in pieces.

    Args:
        fragments: text of lines, in order, and whether a line ends there; of any length.
        longest: characters of a piece at most. A piece of nothing but white space is left out, unless it ends a line.
    """
    rest, begun = "", False
    for text, ends in fragments:
        rest, start = rest + text, 0
        while len(rest) - start > longest:
            end = _place(rest, start, start + longest)
            if not rest[start:end].isspace():
                begun = True
                yield Piece(rest[start:end], ends=False)
            start = end
        rest = rest[start:]
        if ends:
            if begun or (rest and not rest.isspace()):
                yield Piece(rest, ends=True)
            rest, begun = "", False


def _place(text: str, start: int, end: int) -> int:
    """Where to cut a text at ``end`` or before, in the half that ends there."""
    half = (start + end) // 2
    places = range(end, half, -1)
    spaces = (place for place in places if text[place].isspace() and not text[place - 1].isspace())
    whole = (place for place in places if not _joins(text[place]) and text[place - 1] != _JOINER)
    return next(spaces, None) or next(whole, end)


def _joins(character: str) -> bool:
    """Whether it belongs to the one before: accents (M), emoji modifiers (Sk), joiners and other marks (Cf)."""
    return unicodedata.category(character)[0] == "M" or unicodedata.category(character) in ("Sk", "Cf")
