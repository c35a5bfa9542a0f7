"""What is said of names with marks that lead to no file: marks that there are not, and which names are near."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from difflib import SequenceMatcher

from sftkit.errors import SettingsError
from sftkit.evaluation.marks import MARK, marks, matching
from sftkit.shown import meant
from sftkit.storage.places import at_home

_ANY = re.compile(r"\{[A-Za-z_]\w*\}")
#: How like the words around marks must be (difflib's ratio); how many folders, and names in each, are looked at.
_LIKE, _FOLDERS, _MOST = 0.7, 20, 10_000


def check_marks(names: Iterable[str], known: Sequence[str]) -> None:
    """See that words in braces are marks; in a file's name that is there they may be anything.

    Args:
        names: as they were typed.
        known: the marks, with their braces.

    Raises:
        SettingsError: naming the mark that is probably meant, and those that there are.
    """
    for name in names:
        for word in _ANY.findall(name):
            if word not in known and not at_home(name).exists():
                raise SettingsError(
                    f"{name}: nothing stands for {word}.{meant(word, known)} Known are {', '.join(known)}."
                )


def near_pattern(pattern: str) -> str:
    """A name with marks that files have and that is near to one that none has; "" if there is none.

    Args:
        pattern: such as "lang/{}.stf", part by part of which is looked for.
    """
    found = ""
    for part in pattern.split("/"):
        if not part or part == "." or matching(f"{found}{part}"):
            found += f"{part}/"
            continue
        names = {name for folder in (matching(found) if found else ["."])[:_FOLDERS] for name in _names_in(folder)}
        near = max(((_likeness(part, each), each) for name in names for each in _as(part, name)), default=(0.0, ""))
        if near[0] < _LIKE:
            return ""
        found += f"{near[1]}/"
    return found.removesuffix("/")


def _names_in(folder: str) -> list[str]:
    try:
        with os.scandir(folder) as entries:
            return [entry.name for entry, _ in zip(entries, range(_MOST), strict=False)]
    except OSError:
        return []


def _as(part: str, name: str) -> list[str]:
    """How a name would be written with the marks that a part has; as it is if that has none."""
    if not marks(part):
        return [name]
    head, tail = MARK.split(part)[0], MARK.split(part)[-1]
    middle = part[len(head) : len(part) - len(tail)]
    return [
        f"{name[: len(head)]}{middle}{name[len(name) - end :]}"
        for end in range(max(0, len(tail) - 1), len(tail) + 2)
        if len(head) + end < len(name)
    ]


def _likeness(part: str, other: str) -> float:
    """From 0, unlike, to 1, the same; of what is around the marks."""
    return SequenceMatcher(None, MARK.sub("\0", part), MARK.sub("\0", other)).ratio()
