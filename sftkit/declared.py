"""Options, each declared once: a field of a dataclass that says what it is called, what it means and what is right.

:class:`~sftkit.tasks.options.TaskOptions`, :class:`~sftkit.training.settings.Settings` and
:class:`~sftkit.training.length.Lengths` are such tables. Parameters of commands, keys of ``--config``, the groups of
``--help``, the page of options and what a shell completes are made from them (:mod:`sftkit.cli.options.declared`), and
the training record has their names. No torch.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

from sftkit.errors import SettingsError
from sftkit.shown import meant

#: The groups of ``--help``, in their order.
DATA, READING, BASE = "Data", "Reading and scoring the data", "Base and SFTs"
ENTRIES, LENGTH, OPTIMISER = "Which entries", "How long", "Optimiser"
MACHINE, OUTPUT = "Memory and processes", "Output"
GROUPS = (DATA, READING, BASE, ENTRIES, LENGTH, OPTIMISER, MACHINE, OUTPUT)
#: Characters of choices that stand in the place of a value's name; longer ones follow the help.
_SHORT = 17
_METAVARS = {int: "N", float: "X", Path: "FILE", str: "TEXT"}


@dataclass(frozen=True)
class Check:
    """What a value has to be, as a test of it and in words."""

    holds: Callable[[Any], bool]
    words: Callable[[Any], str]

    def __call__(self, option: str, value: Any) -> None:
        """Refuse a value, unless it is None.

        Raises:
            SettingsError: naming the option.
        """
        if value is not None and not self.holds(value):
            raise SettingsError(f"{option} is {value!r}; {self.words(value)}")


POSITIVE = Check(lambda value: 0 < value < math.inf, lambda _: "it must be a number more than 0.")
FROM_0 = Check(lambda value: 0 <= value < math.inf, lambda _: "it must be a number from 0 on.")
SHARE = Check(lambda value: 0 < value <= 1, lambda _: "it is a share, more than 0 and at most 1 (0.043 is 4.3 %).")


def at_least(least: int) -> Check:
    """A number that is not less."""
    return Check(lambda value: value >= least, lambda _: f"it must be at least {least}.")


def one_of(known: Collection[str]) -> Check:
    """One of several words."""
    return Check(lambda value: value in known, lambda value: f"known are {', '.join(known)}.{meant(str(value), known)}")


@dataclass(frozen=True)
class Option:
    """What there is to know of an option.

    Attributes:
        help: what it does, in a sentence.
        group: one of ``GROUPS``.
        names: what it is called; none: as its field, in the command line's way.
        metavar: what its value is called; "": by its type.
        choices: all the values that it may have.
        check: what its value has to be.
        read: makes a value of what was typed; if there are several, of each.
        joined: whether several values stand in one text.
        about: the objectives that it is about; none: all.
        unsaid: its default in words, if that is no single value.
    """

    help: str
    group: str
    names: tuple[str, ...] = ()
    metavar: str = ""
    choices: Collection[str] = ()
    check: Check | None = None
    read: Callable[[str], Any] | None = None
    joined: bool = False
    about: tuple[str, ...] = ()
    unsaid: str = ""


@dataclass(frozen=True)
class Declared:
    """An option as the field of a table: with its name, type and default."""

    name: str
    option: Option
    kind: type
    many: bool
    default: Any
    recipes: Mapping[str, Mapping[str, Any]]

    @property
    def names(self) -> tuple[str, ...]:
        """What it is called on the command line."""
        return self.option.names or (option_of(self.name),)

    @property
    def metavar(self) -> str:
        """What its value is called."""
        choices = "|".join(self.option.choices)
        named = self.name.upper().replace("_", "-") if choices else _METAVARS.get(self.kind, "TEXT")
        return self.option.metavar or (choices if 0 < len(choices) <= _SHORT else named)

    @property
    def help(self) -> str:
        """What it does, for which objectives, which values there are, and what holds if it is not given."""
        option, choices = self.option, "|".join(self.option.choices)
        parts = [f"{', '.join(option.about)}: {option.help}" if option.about else option.help]
        if choices and self.metavar != choices:
            parts.append(f"One of {', '.join(option.choices)}.")
        if default := option.unsaid or by_objective(self.name, self.default, self.recipes):
            parts.append(f"Default: {default}.")
        return "  ".join(parts)


def option(default: Any, help: str, group: str, *names: str, **more: Any) -> Any:  # noqa: A002 - what all call it
    """A field with a default value, and its option; see :class:`Option`."""
    made = Option(help, group, names, **more)
    return field(default=default, metadata={"option": made})


def declared(table: type) -> list[Declared]:
    """The options of a table, in the order of its fields."""
    hints = get_type_hints(table)
    recipes = getattr(table, "recipes", {})
    return [
        Declared(each.name, made, *_typed(hints[each.name], made), each.default, recipes)
        for each in fields(table)
        if (made := each.metadata.get("option"))
    ]


def _typed(hint: Any, made: Option) -> tuple[type, bool]:
    """The type in which the command line takes a value, and whether it takes several."""
    inside = [each for each in get_args(hint) if each not in (type(None), ...)]
    many = get_origin(hint) is tuple and not made.joined
    return (str if made.read else inside[0] if inside else hint), many


def by_objective(name: str, default: Any, recipes: Mapping[str, Mapping[str, Any]]) -> str:
    """A default in words: that of most objectives first, "8; nli, classify 32; qa 12"; "" where there is none to say.

    Args:
        name: the field's.
        default: where a recipe says nothing.
        recipes: objective -> field -> value.
    """
    groups: dict[Any, list[str]] = {} if recipes else {default: []}
    for objective, recipe in recipes.items():
        groups.setdefault(recipe.get(name, default), []).append(objective)
    if not (said := sorted(groups.keys() - {None}, key=lambda value: -len(groups[value]))) or said[0] in ((), ""):
        return ""
    words = [f"{', '.join(groups[each])} {_in_words(each)}" for each in said]
    if None not in groups:  # all have one: that of most holds unless something else is said
        words[0] = "" if isinstance(said[0], bool) else _in_words(said[0])
    return "; ".join(words)


def _in_words(value: Any) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:g}" if isinstance(value, float) else str(value)


def check_each(made: Any) -> None:
    """Check every option of a table.

    Raises:
        SettingsError: naming the option.
    """
    for each in fields(made):
        option: Option | None = each.metadata.get("option")
        value = getattr(made, each.name)
        if option is None or value == each.default:
            continue
        for check in (one_of(option.choices) if option.choices else None, option.check):
            if check is not None:
                check((option.names or (option_of(each.name),))[0], value)


def option_of(name: str) -> str:
    """The option of a field."""
    return "--" + name.replace("_", "-")
