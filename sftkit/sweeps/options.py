"""What options commands take, as a sweep's file names them: by their long names, without the dashes.

The command line tells which there are (it knows), so that what ``train`` learns to take a sweep can say at once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sftkit.errors import SettingsError
from sftkit.format.metadata import OBJECTIVE_NAMES
from sftkit.sweeps.tables import known

#: What the sweep itself says to the commands of its cells.
_OWN = frozenset(
    (*OBJECTIVE_NAMES, "objective", "source", "base", "output", "dev", "with", "run-dir", "resume", "config", "dry-run",
     "json", "quiet", "overwrite", "help", "seed", "device", "each", "against", "predictions", "csv", "plot", "head",
     "no-head", "shard-size")
)  # fmt: skip
#: Options of training that are about the data of a task: scoring has to read it in the same way.
ABOUT_DATA = (
    "map-label", "columns", "where", "scheme-in", "strict-answers", "subtypes", "decode", "paper-compat", "scheme",
    "stride",
)  # fmt: skip


@dataclass(frozen=True)
class CommandOption:
    """How an option is written.

    Attributes:
        flag: it takes no value.
        off: the option that says no to it, "" if there is none.
        several: it may be there more than once.
    """

    flag: bool = False
    off: str = ""
    several: bool = False


#: By long name, without the dashes.
Options = Mapping[str, CommandOption]


@dataclass(frozen=True)
class Commands:
    """The options of the commands that cells consist of."""

    train: Options
    evaluate: Options
    compose: Options


def dashed(where: str, table: Mapping[str, Any]) -> dict[str, Any]:
    """Options by their long names, of a table that may write them with _.

    Raises:
        SettingsError: if one is there in both ways.
    """
    made = {name.replace("_", "-"): value for name, value in table.items()}
    for twice in (name for name in table if "_" in name and name.replace("_", "-") in table):
        raise SettingsError(f"{where}: {twice} and {twice.replace('_', '-')} are the same. Leave one out.")
    return made


def check_named(where: str, table: Mapping[str, Any], options: Options) -> None:
    """Refuse what a command has no option for, what the sweep itself says, and values that cannot be an option's.

    Args:
        where: the table's name, for messages.
        table: options by their long names.
        options: those that there are.

    Raises:
        SettingsError: naming the key.
    """
    for name, value in table.items():
        if name in _OWN:
            raise SettingsError(f"{where} {name}: the sweep says that itself. Leave it out.")
        option = options[known(where, name, [each for each in options if each not in _OWN])]
        if option.flag != isinstance(value, bool):
            raise SettingsError(f"{where} {name} = {value!r}: {'true or false' if option.flag else 'takes a value'}.")
        listed = value if isinstance(value, list) else [value]
        if any(isinstance(each, dict | list) for each in listed):
            raise SettingsError(f"{where} {name}: takes a value, or a list of them.")


def arguments(table: Mapping[str, Any], options: Options) -> list[str]:
    """Options as a command line has them, in the order of their names: the same table is the same command."""
    words: list[str] = []
    for name, value in sorted(table.items()):
        option = options[name]
        if option.flag:
            words += [f"--{name}"] if value else [option.off] if option.off else []
        elif isinstance(value, list) and option.several:
            words += [word for each in value for word in (f"--{name}", str(each))]
        else:
            words += [f"--{name}", ",".join(map(str, value)) if isinstance(value, list) else str(value)]
    return words
