"""Short names for files that are shown side by side."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path


def unique_names(paths: Sequence[Path]) -> tuple[str, ...]:
    """File stems; where two are the same, with as many folders before them as tell them apart, or a number."""
    depth = 1
    deepest = max(len(path.parts) for path in paths)
    names = _names(paths, depth)
    while len(set(names)) < len(set(paths)) and depth < deepest:
        depth += 1
        names = _names(paths, depth, names)
    return tuple(_numbered(names))


def _names(paths: Sequence[Path], depth: int, before: Sequence[str] = ()) -> list[str]:
    return [
        "/".join(path.with_suffix("").parts[-depth:]) if not before or before.count(before[at]) > 1 else before[at]
        for at, path in enumerate(paths)
    ]


def _numbered(names: Sequence[str]) -> list[str]:
    return [
        f"{name} #{names[: at + 1].count(name)}" if names.count(name) > 1 else name for at, name in enumerate(names)
    ]
