"""File names with ``{}`` in the place of a name: which names there are, and the file of each."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from sftkit.errors import DataError

MARK = "{}"


def names_of(pattern: str) -> list[str]:
    """What stands in the place of ``{}`` in the files that exist, sorted; several ``{}`` stand for the same name.

    A name holds no slash. Hub addresses cannot be listed and have no names.
    """
    parts = [re.escape(part) for part in pattern.split(MARK)]
    shape = re.compile(parts[0] + "([^/]+)" + parts[1] + "".join(rf"\1{part}" for part in parts[2:]))
    glob = "*".join(re.sub(r"([*?[])", r"[\1]", part) for part in pattern.split(MARK))
    root = Path("/") if pattern.startswith("/") else Path()
    found = root.glob(glob.removeprefix("/"))
    texts = [f"{'./' if pattern.startswith('./') else ''}{path}" for path in found]
    return sorted(match[1] for text in texts if (match := shape.fullmatch(text)))


def filled(pattern: str, name: str) -> str:
    """The file of a name."""
    return pattern.replace(MARK, name)


def names_in_all(patterns: Sequence[str]) -> tuple[list[str], list[str]]:
    """(names for which every pattern has a file, notes on those that some lack); patterns without ``{}`` say nothing.

    Raises:
        DataError: if there is no such name.
    """
    found = {pattern: set(names_of(pattern)) for pattern in dict.fromkeys(patterns) if MARK in pattern}
    common = sorted(set.intersection(*found.values()))
    if not common:
        listed = "; ".join(f"{pattern}: {', '.join(sorted(names)) or 'none'}" for pattern, names in found.items())
        raise DataError(f"No name has all the files that the patterns ask for ({listed}).")
    notes = []
    for pattern, names in found.items():
        others = set().union(*found.values()) - names
        if others:
            notes.append(f"left out, for {pattern} is missing: {', '.join(sorted(others))}")
    return common, notes
