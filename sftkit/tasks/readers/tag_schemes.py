"""The schemes in which tags say where entities begin and end: which one a file has, and all of them as IOB2.

A file's scheme is the one that fewest of its tags contradict: files have slips, so no single tag decides.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

OUTSIDE = "O"
_TAG = re.compile(r"O|[BIESLUM]-\S+")
#: The letters of a tag inside an entity, of its last and of its only tag: these three schemes differ in nothing else.
_WHOLE = {"bioes": ("I", "E", "S"), "bilou": ("I", "L", "U"), "bmes": ("M", "E", "S")}
#: In the order in which one is preferred to another that fits as well.
TAG_SCHEMES = ("iob2", "iob1", *_WHOLE)
_IOB2 = {"S": "B", "U": "B", "E": "I", "L": "I", "M": "I"}
#: A tag between those before and after it in its sentence.
_Three = tuple[str, str, str]


@dataclass(frozen=True)
class Scheme:
    """How the tags of a file were understood.

    Attributes:
        name: one of ``TAG_SCHEMES``.
        astray: tags that contradict it.
        tags: tags of entities.
    """

    name: str
    astray: int
    tags: int

    def told(self) -> str:
        """What the user should know of it; nothing of IOB2 without a slip."""
        if self.name == "iob2" and not self.astray:
            return ""
        slips = f"; tags that do not fit it: {self.astray:,} of {self.tags:,}" if self.astray else ""
        return f"the tags were read as {self.name.upper()}{slips}. If they are not, --scheme-in names their scheme."


def is_tag(text: str) -> bool:
    """Whether a text is a tag of one of the schemes."""
    return _TAG.fullmatch(text) is not None


def scheme_of(sentences: Sequence[Sequence[str]], name: str = "") -> Scheme:
    """The scheme that fits the tags of one file best, or how well the named one fits."""
    counts = Counter(three for tags in sentences for three in _threes(tags))
    found = {
        each: sum(count for three, count in counts.items() if three[1] != OUTSIDE and not _fits(each, *three))
        for each in ((name,) if name else TAG_SCHEMES)
    }
    best = min(found, key=lambda each: found[each])
    return Scheme(best, found[best], sum(count for three, count in counts.items() if three[1] != OUTSIDE))


def to_iob2(sentences: Sequence[Sequence[str]], scheme: str = "") -> list[list[str]]:
    """The tags of one file as IOB2; slips of the other schemes stay slips.

    Args:
        sentences: the tags of each.
        scheme: one of ``TAG_SCHEMES``; "": the one that fits best.
    """
    begins = (scheme or scheme_of(sentences).name) == "iob1"
    made = [[_IOB2.get(tag[0], tag[0]) + tag[1:] for tag in tags] for tags in sentences]
    if not begins:
        return made
    return [
        [tag if tag == OUTSIDE or _same_type(before, tag) else f"B-{tag[2:]}" for before, tag, _ in _threes(tags)]
        for tags in made
    ]


def _threes(tags: Sequence[str]) -> Iterator[_Three]:
    return zip([OUTSIDE, *tags], tags, [*tags[1:], OUTSIDE], strict=False)


def _same_type(one: str, other: str) -> bool:
    return one[1:] == other[1:] != ""


def _fits(scheme: str, before: str, tag: str, after: str) -> bool:
    """Whether a tag of an entity is what the scheme would have between its neighbours."""
    goes_on = _same_type(before, tag)
    if scheme == "iob1":
        return tag[0] == "I" or (tag[0] == "B" and goes_on)
    if scheme == "iob2":
        return tag[0] == "B" or (tag[0] == "I" and goes_on)
    inside, last, only = _WHOLE[scheme]
    if tag[0] not in f"B{inside}{last}{only}":
        return False
    begun = goes_on and before[0] in f"B{inside}"
    unfinished = _same_type(tag, after) and after[0] in f"{inside}{last}"
    return begun == (tag[0] in inside + last) and unfinished == (tag[0] in f"B{inside}")
