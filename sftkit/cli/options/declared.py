"""The command line's side of :mod:`sftkit.declared`: parameters of a command, made of tables of options."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Collection, Mapping
from dataclasses import fields
from typing import Annotated, Any

import typer

from sftkit.declared import DATA, Declared, declared, one_of
from sftkit.errors import SettingsError

#: A dataclass whose fields are options; it and some of its fields; or objectives and what their files are.
Table = type | tuple[Any, ...] | Mapping[str, str]


class Given(dict[str, Any]):
    """What the user said, by the names of fields; what was not said is not there."""

    def of(self, table: type | Mapping[str, str]) -> dict[str, Any]:
        """What belongs to one table."""
        names = table if isinstance(table, Mapping) else [each.name for each in fields(table)]
        return {name: self[name] for name in names if name in self}


def takes(*tables: Table) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command the options of tables; its first parameter gets what was said of them, a :class:`Given`."""
    files = {name: what for table in tables if isinstance(table, Mapping) for name, what in table.items()}
    options = [each for table in tables if not isinstance(table, Mapping) for each in _options(table)]
    made = [*(_files(name, what) for name, what in files.items()), *map(_parameter, options)]

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        first, *own = inspect.signature(command, eval_str=True).parameters.values()

        @functools.wraps(command)
        def called(**values: Any) -> None:
            said = Given((name, tuple(given)) for name in files if (given := values.pop(name)))
            for each in options:
                value = values.pop(each.name)
                if value not in (None, []) and not (each.kind is bool and value is each.default):
                    said[each.name] = _read(each, value)
            command(**{first.name: said}, **values)

        kinds = [each.replace(kind=inspect.Parameter.KEYWORD_ONLY) for each in own]
        parameters = [*made[: len(files)], *kinds, *made[len(files) :]]
        called.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]  # read by Typer
        called.__annotations__ = {each.name: each.annotation for each in parameters}
        return called

    return decorate


def _options(table: Any) -> list[Declared]:
    if not isinstance(table, tuple):
        return declared(table)
    return [each for each in declared(table[0]) if each.name in table[1:]]


def _files(name: str, what: str) -> inspect.Parameter:
    return _keyword(name, list[str], typer.Option(f"--{name}", metavar="FILE", help=what, rich_help_panel=DATA))


def _parameter(each: Declared) -> inspect.Parameter:
    more: dict[str, Any] = {"help": each.help, "rich_help_panel": each.option.group, "show_default": False}
    if each.option.choices:
        more = {"known": each.option.choices, "metavar": each.metavar, "empty": each.default == ""} | more
        return _keyword(each.name, str, choice(*each.names, **more))
    if each.kind is bool:
        return _keyword(each.name, bool, typer.Option(*each.names, **more), each.default)
    kind: Any = each.kind
    kind = list.__class_getitem__(kind) if each.many else kind
    return _keyword(each.name, kind, typer.Option(*each.names, metavar=each.metavar, **more))


def _keyword(name: str, kind: Any, info: Any, default: Any = None) -> inspect.Parameter:
    annotation: Any = Annotated[(kind | None) if default is None else kind, info]
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)


def _read(each: Declared, value: Any) -> Any:
    """A value as the table has it.

    Raises:
        typer.BadParameter: if it is written wrongly, or out of range.
    """
    option = each.option
    try:
        if option.read is not None:
            return tuple(map(option.read, value)) if each.many else option.read(value)
        if option.check is not None:
            option.check(each.names[0], value)
    except SettingsError as error:
        raise typer.BadParameter(str(error)) from None
    return tuple(value) if each.many else value


def choice(*names: str, known: Collection[str], help: str, metavar: str = "", empty: bool = False, **more: Any) -> Any:  # noqa: A002 - Typer's word
    """An option whose value is one of several words: a shell completes them, and another is refused with the nearest.

    Args:
        names: of the option.
        known: the words.
        help: what it is.
        metavar: what to call them; "": as they are.
        empty: whether nothing is a word, too.
        more: for Typer.
    """

    def check(value: str | None) -> str | None:
        """The word that is meant, in whatever letters it was typed."""
        found = next((each for each in known if value and each.lower() == value.lower()), value)
        if found is not None and found not in known and not (empty and not found):
            raise typer.BadParameter(f"{value!r}; {one_of(known).words(value)}")
        return found

    def complete(incomplete: str) -> list[str]:
        return [each for each in known if each.startswith(incomplete)]

    return typer.Option(
        *names, metavar=metavar or "|".join(known), help=help, callback=check, autocompletion=complete, **more
    )
