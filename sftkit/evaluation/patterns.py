"""File names with marks in them: which languages, systems and seeds there are, and the files of each.

A seed is a whole number; the other names hold no slash. Hub addresses cannot be listed and have no names.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import product
from typing import NamedTuple

from sftkit.errors import DataError
from sftkit.evaluation.marks import MARK, marks, matching
from sftkit.evaluation.misspelt import near_pattern


class Cell(NamedTuple):
    """What stands in the place of the marks; "" where there is no such mark."""

    system: str = ""
    lang: str = ""
    seed: str = ""


def filled(pattern: str, cell: Cell) -> str:
    """The file of a cell."""
    return MARK.sub(lambda match: str(getattr(cell, match[1] or "lang")), pattern)


def cells_in(pattern: str, languages: Collection[str] = ()) -> set[Cell]:
    """What stands in the place of the marks in the files that exist; a mark that is there twice stands for one name.

    Args:
        pattern: a file's name with marks.
        languages: those that there are, if that is known: it tells where a language's name begins.

    Raises:
        DataError: if a file's name can be read in two ways.
    """
    found = set()
    for text in matching(pattern):
        readings = {each for lazy in ("", "?") if (each := _read(pattern, text, languages, lazy))}
        if len(readings) > 1:
            told = " or ".join(_told(cell) for cell in sorted(readings))
            raise DataError(f"{text}: is it {told}? Both fit {pattern}; part the names by a slash or by other words.")
        found |= readings
    return found


def _read(pattern: str, text: str, languages: Collection[str], lazy: str) -> Cell | None:
    any_name = f"[^/]+{lazy}"
    known = sorted(languages, key=len, reverse=not lazy)
    shapes = {"lang": "|".join(map(re.escape, known)) or any_name, "system": any_name, "seed": "[0-9]+"}
    parts, seen = [], set[str]()
    for i, part in enumerate(MARK.split(pattern)):
        name = part or "lang"
        again = i % 2 and name in seen
        parts.append(re.escape(part) if i % 2 == 0 else f"(?P={name})" if again else f"(?P<{name}>{shapes[name]})")
        seen |= {name} if i % 2 else set()
    match = re.fullmatch("".join(parts), text)
    return Cell(**match.groupdict()) if match else None


def cells_of(patterns: Sequence[str]) -> tuple[list[Cell], list[str]]:
    """(cells that have all files, notes on what was left out).

    Every system has every language then, and each system the same seeds in all of them: means over other languages, or
    over other seeds, could not be compared.

    Raises:
        DataError: if there is no such cell.
    """
    marked = [pattern for pattern in dict.fromkeys(patterns) if marks(pattern)]
    alone = [{cell.lang for cell in cells_in(pattern)} for pattern in marked if marks(pattern) == {"lang"}]
    languages = set.intersection(*alone) if alone else ()
    found = {pattern: cells_in(pattern, languages if len(marks(pattern)) > 1 else ()) for pattern in marked}
    names, notes = [], []
    for mark in Cell._fields:
        by = {p: {getattr(cell, mark) for cell in cells} for p, cells in found.items() if mark in marks(p)}
        names.append(set.intersection(*by.values()) if by else {""})
        lost = {pattern: set().union(*by.values()) - own for pattern, own in by.items()}
        notes += [
            f"left out, for {pattern} is missing: {', '.join(sorted(own))}" for pattern, own in lost.items() if own
        ]
    whole = {cell for each in product(*names) if _has_all(cell := Cell(*each), found)}
    if not whole:
        listed = "; ".join(f"{pattern}: {_listed(cells)}" for pattern, cells in found.items())
        near = next((text for pattern, cells in found.items() if not cells and (text := near_pattern(pattern))), "")
        meant = f" Did you mean {near}?" if near else ""
        raise DataError(f"No name has all the files that the patterns ask for ({listed}).{meant}")
    kept, more = _rectangle(whole)
    return _sorted(kept), [*notes, *more]


def _has_all(cell: Cell, found: dict[str, set[Cell]]) -> bool:
    return all(_part(cell, marks(pattern)) in cells for pattern, cells in found.items())


def _part(cell: Cell, kept: set[str]) -> Cell:
    return Cell(*(value if mark in kept else "" for mark, value in zip(Cell._fields, cell, strict=True)))


def _rectangle(cells: set[Cell]) -> tuple[set[Cell], list[str]]:
    """The cells of languages that every system has, and of seeds that a system has in all of these; and notes."""
    by_system = {
        system: {cell.lang for cell in cells if cell.system == system} for system in sorted({c.system for c in cells})
    }
    languages = set.intersection(*by_system.values())
    if not languages:
        listed = "; ".join(f"{system}: {', '.join(sorted(own))}" for system, own in by_system.items())
        raise DataError(f"No language is there for every system ({listed}).")
    lost = {system: set().union(*by_system.values()) - own for system, own in by_system.items()}
    notes = [f"left out, for {system} lacks a file: {', '.join(sorted(own))}" for system, own in lost.items() if own]
    kept = set[Cell]()
    for system in by_system:
        seeds = {lang: {c.seed for c in cells if (c.system, c.lang) == (system, lang)} for lang in sorted(languages)}
        common, more = _seeds_everywhere(f"{system}: " if system else "", seeds)
        kept |= {Cell(system, lang, seed) for lang in languages for seed in common}
        notes += more
    return kept, notes


def _seeds_everywhere(of: str, seeds: Mapping[str, set[str]]) -> tuple[set[str], list[str]]:
    """The seeds of a system that are there for every language, and notes on the others."""
    common, every = set.intersection(*seeds.values()), set[str]().union(*seeds.values())
    listed = {lang: ", ".join(sorted(own, key=int)) for lang, own in seeds.items() if own != {""}}
    if not common:
        told = "; ".join(f"{lang}: {own}" for lang, own in listed.items())
        raise DataError(f"{of}no seed is there for every language ({told}).")
    lost = {lang: sorted(every - own, key=int) for lang, own in seeds.items()}
    return common, [
        f"{of}left out in all languages, for {lang} lacks a file: seed {', '.join(own)}"
        for lang, own in lost.items()
        if own
    ]


def _sorted(cells: Iterable[Cell]) -> list[Cell]:
    return sorted(cells, key=lambda cell: (cell.system, cell.lang, int(cell.seed or 0), cell.seed))


def _listed(cells: Iterable[Cell]) -> str:
    """All of them in a few words."""
    return ", ".join("/".join(part for part in cell if part) for cell in _sorted(cells)) or "none"


def _told(cell: Cell) -> str:
    return ", ".join(f"{mark} {value}" for mark, value in cell._asdict().items() if value)
