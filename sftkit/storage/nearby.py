"""What is said of a name of a file that is not there: that it is not, and which names beside it are near."""

from __future__ import annotations

import glob
import os
import re
from difflib import SequenceMatcher
from itertools import islice
from pathlib import Path

from sftkit.storage.places import at_home

#: Names of a folder that are looked at, names that are offered, and how like two words must be (difflib's ratio).
_MOST, _OFFERED, _LIKE = 10_000, 3, 0.6


def no_such(name: str | Path, what: str = "file") -> str:
    """The message about a name of nothing: "lang/fo.stf: no such file. Did you mean lang/fo.sft?".

    Args:
        name: as the user wrote it.
        what: is not there, in words.
    """
    return f"{name}: no such {what}.{did_you_mean(name)}"


def did_you_mean(name: str | Path) -> str:
    """The end of such a message: " Did you mean lang/fo.sft?", or "" where nothing is near and no file could be."""
    if why := _no_name(str(name)):
        return f" {why}"
    near = " or ".join(nearby(name))
    return f" Did you mean {near}?" if near else ""


def _no_name(name: str) -> str:
    """What a word is that is hardly meant as a file's name: a pattern, an address, standard input; "" for others."""
    if name == "-":
        return "Standard input is not read here: name a file."
    if address := re.match(r"(\w\w+):/+(.+)", name):  # a path has one slash left of two; C:/ is Windows'
        local = f"/{address[2]}"
        return f"Name it as a path: {local}" if address[1] == "file" else "An address: download it, and name the file."
    if re.search(r"[*?]", name):
        there = any(True for _ in glob.iglob(str(at_home(name))))  # noqa: PTH207 - it may be absolute
        return "Write the pattern without quotes." if there else "The pattern fits nothing here."
    if (weighted := re.match(r"(.+\.sft):[-+.\d]*$", name)) and at_home(weighted[1]).exists():
        return f"A weight has no meaning here: name {weighted[1]} alone."
    return ""


def nearby(name: str | Path) -> list[str]:
    """Names that are there and near to one that is not, the nearest first, as the user would write them.

    Several names of what is there, put together by commas or blanks, are these names.
    """
    several = re.split(r"[ ,;]+", str(name))
    if len(several) > 1 and all(each and at_home(each).exists() for each in several):
        return [" ".join(several)]
    wanted, rest = at_home(name), Path()
    while wanted.name and not wanted.parent.is_dir():  # a folder is misspelt
        wanted, rest = wanted.parent, Path(wanted.name, rest)
    try:
        with os.scandir(wanted.parent) as entries:
            there = [entry.name for entry in islice(entries, _MOST) if not entry.name.startswith(".")]
    except OSError:
        return []
    likeness = {each: _likeness(wanted.name, each) for each in there if (wanted.parent / each / rest).exists()}
    near = sorted((each for each, like in likeness.items() if like), key=lambda each: (-likeness[each], each))
    written = Path(name)
    for _ in rest.parts:
        written = written.parent
    return [str(written.parent / each / rest) for each in near[:_OFFERED]]


def _likeness(wanted: str, there: str) -> float:
    """From 0, unlike, to 1, the same. The part before the suffix decides: es.sft is not near to mt.sft."""
    (stem, dot, suffix), (other, _, its) = _parted(wanted), _parted(there)
    like = SequenceMatcher(None, stem, other).ratio()
    if like < _LIKE or (dot and stem != other and SequenceMatcher(None, suffix, its).ratio() < _LIKE):
        return 0.0
    return like + SequenceMatcher(None, suffix, its).ratio() / 2


def _parted(name: str) -> tuple[str, str, str]:
    """What is before the last dot, the dot, and what is after it; all of a name without one is before it."""
    stem, dot, suffix = name.lower().rpartition(".")
    return (stem, dot, suffix) if dot else (suffix, "", "")
