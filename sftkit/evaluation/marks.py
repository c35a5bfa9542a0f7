"""Marks in file names, ``{lang}``, ``{system}`` and ``{seed}``, and the files that such a name may stand for.

``{}`` is short for ``{lang}``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

MARK = re.compile(r"\{(lang|system|seed|)\}")


def marks(*patterns: str) -> set[str]:
    """The marks in some names: of "system", "lang" and "seed"."""
    return {mark or "lang" for pattern in patterns for mark in MARK.findall(pattern)}


def has_named_marks(patterns: Iterable[str]) -> bool:
    """Whether one of the marks stands there by its name; ``{}`` alone may be part of a file's name."""
    return any(mark for pattern in patterns for mark in MARK.findall(pattern))


def matching(pattern: str) -> list[str]:
    """The files that exist whose names a pattern may stand for."""
    glob = "*".join(re.sub(r"([*?[])", r"[\1]", part) for part in MARK.sub("\0", pattern).split("\0"))
    root = Path("/") if pattern.startswith("/") else Path()
    return [f"{'./' if pattern.startswith('./') else ''}{path}" for path in root.glob(glob.removeprefix("/"))]
