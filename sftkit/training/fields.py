"""Fields of settings, each with the check of its value beside it. No torch."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection
from dataclasses import dataclass, field, fields
from typing import Any

from sftkit.errors import SettingsError


@dataclass(frozen=True)
class Check:
    """What a value has to be, as a test of it and in words."""

    holds: Callable[[Any], bool]
    words: str

    def __call__(self, option: str, value: Any) -> None:
        """Refuse a value, unless it is None.

        Raises:
            SettingsError: naming the option.
        """
        if value is not None and not self.holds(value):
            raise SettingsError(f"{option} is {value!r}; {self.words}.")


POSITIVE = Check(lambda value: 0 < value < math.inf, "it must be a number more than 0")
FROM_0 = Check(lambda value: 0 <= value < math.inf, "it must be a number from 0 on")
SHARE = Check(lambda value: 0 < value <= 1, "it is a share, more than 0 and at most 1 (0.043 is 4.3 %)")


def at_least(least: int) -> Check:
    """A number that is not less."""
    return Check(lambda value: value >= least, f"it must be at least {least}")


def one_of(known: Collection[str]) -> Check:
    """One of several words."""
    return Check(lambda value: value in known, f"known are {', '.join(known)}")


def checked(default: Any, check: Check) -> Any:
    """A field with a default value and a check."""
    return field(default=default, metadata={"check": check})


def check_each(made: Any) -> None:
    """Check every field of a dataclass that has a check.

    Raises:
        SettingsError: naming the option, as the field is called.
    """
    for each in fields(made):
        if check := each.metadata.get("check"):
            check(option_of(each.name), getattr(made, each.name))


def option_of(name: str) -> str:
    """The option of a field."""
    return "--" + name.replace("_", "-")


@dataclass(frozen=True)
class Length:
    """How long a phase trains: the lesser of ``epochs`` and ``steps`` where given, but at least ``min_steps``."""

    epochs: float | None = None
    steps: int | None = None
    min_steps: int = 0

    def total(self, steps_per_epoch: int) -> int:
        """Optimizer steps of a phase whose epoch has so many; at least 1."""
        limits = []
        if self.steps is not None:
            limits.append(self.steps)
        if self.epochs is not None:
            limits.append(round(self.epochs * steps_per_epoch))
        return max(min(limits), self.min_steps, 1)

    def check(self, prefix: str) -> None:
        """Refuse what is out of range, naming the option, which begins with the prefix.

        Raises:
            SettingsError: if something is.
        """
        POSITIVE(f"{prefix}steps", self.steps)
        POSITIVE(f"{prefix}epochs", self.epochs)
        if self.min_steps < 0:
            raise SettingsError("--min-steps must not be negative.")


#: What a recipe takes the place of.
UNSAID = Length()
