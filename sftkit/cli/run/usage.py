"""Wrong usage in two lines: what is wrong, with the option and the value, and where all options are told."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

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


def _message(error: Any, typed: Sequence[str]) -> str:
    text = str(error.format_message()).removeprefix("Invalid value: ")
    if extra := re.match(r"Got unexpected extra arguments?(?:\(s\))? \((.+)\)$", text):
        return f"{extra[1]}: what for? Files and values take an option each, such as --mlm {extra[1].split()[0]}"
    found = re.match(r"Invalid value for '?([^':]+)'?: ", text)
    if found is None:
        return text
    rest, option = text[found.end() :], found[1].split(" / ")[0]
    for long, short in _SHORTER.items():
        rest = rest.replace(long, short)
    value = _value(getattr(getattr(error, "param", None), "opts", ()), typed)
    rest = rest.removeprefix(f"{value}: ").removeprefix(f"{value!r}; ")
    return f"{option}{f' {value}' if value else ''}: {rest}"


def _value(names: Sequence[str], typed: Sequence[str]) -> str:
    """What was typed for an option; "" where that cannot be told."""
    values = [after for name, after in pairwise(typed) if name in names]
    values += [each.partition("=")[2] for each in typed if each.partition("=")[0] in names and "=" in each]
    return values[-1] if values else ""
