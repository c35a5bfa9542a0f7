"""Wrong usage in two lines: what is wrong, with the option and the value, and where all options are told."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import typer

from sftkit.cli.options.arguments import output_meant
from sftkit.cli.show import render

#: What is said of values that cannot be read -> the same in fewer words.
_SHORTER = {
    "Input should be a valid number, unable to parse string as a number": "a number is needed",
    "Input should be a valid integer, unable to parse string as an integer": "a whole number is needed",
    "Input should be ": "it should be ",
    "Value error, ": "",
}


def tell(error: Any) -> int:
    """Say what is wrong with a command line on standard error; returns the exit status.

    Args:
        error: a usage error of Typer's, or another of its errors.
    """
    context = getattr(error, "ctx", None)
    message = _message(error, (context.obj or ()) if context is not None else ())
    render.error(message, f"All options: {context.command_path} --help" if context is not None else "")
    return int(error.exit_code)


def check_named(values: Mapping[str, Any], arguments: Mapping[str, str], typed: Sequence[str]) -> None:
    """Refuse an empty word in the place of a name, as a variable of the shell that is not set leaves it.

    Args:
        values: of the command's parameters.
        arguments: parameter -> what it is called, for those that are names.
        typed: the command line; a path does not tell an empty word from the folder that one is in.

    Raises:
        typer.BadParameter: naming what is empty.
    """
    if "" not in typed:
        return
    for name, called in arguments.items():
        value = values.get(name)
        if any(each == "" or each == Path() for each in (value if isinstance(value, list | tuple) else [value])):
            raise typer.BadParameter(f"{called}: the name is empty. Is a variable of the shell not set?")


def _message(error: Any, typed: Sequence[str]) -> str:
    text = str(error.format_message()).removeprefix("Invalid value: ")
    if extra := re.match(r"Got unexpected extra arguments?(?:\(s\))? \((.+)\)$", text):
        if not any("--mlm" in each.opts for each in error.ctx.command.params):
            return f"{extra[1]}: too much. This command takes no such word."
        return f"{extra[1]}: what for? Files and values take an option each, such as --mlm {extra[1].split()[0]}"
    found = re.match(r"Invalid value for '?([^':]+?)'?(?: / [^:]+)?: ", text)
    if found is None:
        return text + (output_meant(typed) if text.startswith("Missing option '--output'") else "")
    rest, option = text[found.end() :], found[1]
    for long, short in _SHORTER.items():
        rest = rest.replace(long, short)
    param = getattr(error, "param", None)
    value = _value(getattr(param, "opts", ()), typed)
    if not value and param is not None and error.ctx is not None:  # then it is a file's
        value = str((error.ctx.default_map or {}).get(param.name, ""))
    rest = rest.removeprefix(f"{value}: ").removeprefix(f"{value!r}; ")
    rest += _number_meant(value) if rest.endswith("number is needed") else ""
    return f"{option}{f' {value}' if value else ''}: {rest}"


def _number_meant(text: str) -> str:
    """What a number with a unit, in per cent or in groups may be: 1k, 10%, 1,000, 1e3; "" for others."""
    grouped = re.sub(r"(?<=\d)[,_ '](?=\d{3}\b)", "", text)
    found = re.fullmatch(r"([-+]?\d+(?:[.,]\d+)?(?:e\d{1,2})?)([kKmMgG%]?)", grouped)
    if found is None:
        return ""
    number = float(found[1].replace(",", ".")) * {"k": 1e3, "m": 1e6, "g": 1e9, "%": 0.01}.get(found[2].lower(), 1)
    return f". Did you mean {f'{number:.0f}' if number.is_integer() else f'{number:g}'}?"


def _value(names: Sequence[str], typed: Sequence[str]) -> str:
    """What was typed for an option; "" where that cannot be told."""
    values = [after for name, after in pairwise(typed) if name in names]
    values += [each.partition("=")[2] for each in typed if each.partition("=")[0] in names and "=" in each]
    return values[-1] if values else ""
