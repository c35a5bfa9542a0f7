"""What cells take: what the file declares, and what those took that are done. Seconds, of one cell."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sftkit.errors import SettingsError
from sftkit.sweeps.tables import Section


@dataclass(frozen=True)
class DeclaredCosts:
    """A kind of training.

    Attributes:
        step: seconds of a step, evaluations shared out over steps.
        steps, phase1: steps of phase 2, and of phase 1.
    """

    step: float
    steps: int
    phase1: int


@dataclass(frozen=True)
class BaseSize:
    """A base: how many parameters its backbone has, and how many times slower it is than what is declared."""

    parameters: int | None = None
    slower: float = 1.0


@dataclass(frozen=True)
class Costs:
    """``[cost]``.

    Attributes:
        kinds: of training, by "language" or the task's name.
        score: seconds of a scoring; None if nobody said.
        bases: by name.
        on: the machine that all this is of, in words.
    """

    kinds: Mapping[str, DeclaredCosts] = field(default_factory=dict)
    score: float | None = None
    bases: Mapping[str, BaseSize] = field(default_factory=dict)
    on: str = ""


def costs_in(table: Section) -> Costs:
    """The file's ``[cost]``.

    Raises:
        SettingsError: if a key or a value is none of its own.
    """
    score, on = table.number("score"), table.text("on") or ""
    bases = {name: _base(Section(f"[cost.bases] {name}", each)) for name, each in table.table("bases").rest().items()}
    kinds = {name: _declared(Section(f"[cost] {name}", each)) for name, each in table.rest().items()}
    return Costs(kinds, score, bases, on)


def _declared(table: Section) -> DeclaredCosts:
    step, steps = table.number("step"), table.whole("steps")
    if step is None or steps is None:
        raise SettingsError(f"{table.where}: step = seconds and steps = their number are both needed.")
    phase1 = table.whole("phase1-steps", steps)
    table.done()
    return DeclaredCosts(step, steps, steps if phase1 is None else phase1)


def _base(table: Section) -> BaseSize:
    made = BaseSize(table.whole("parameters"), table.number("slower", 1.0) or 1.0)
    table.done()
    return made


def learned(record: Any) -> tuple[int, float, int, float]:
    """Steps and seconds of phase 1, and of all phases 2, in what ``train --json`` printed.

    Raises:
        KeyError, TypeError, ValueError: if it is no such document.
    """
    each = record if isinstance(record, list) else [record]
    first = each[0]
    return (
        int(first["steps"]["phase1"]),
        float(first["seconds"]["phase1"]) + float(first["seconds"]["select"]),
        sum(int(one["steps"]["phase2"]) for one in each),
        sum(float(one["seconds"]["phase2"]) for one in each),
    )
