"""Errors in the words of Python: they speak of arguments, and not of a command line's options."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import ParamSpec, TypeVar

from sftkit.errors import SftkitError
from sftkit.format.metadata import OBJECTIVE_NAMES

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")
#: Options that are switched on (or off).
_FLAGS = {
    **{name: f"{name.replace('-', '_')}=True" for name in (
        "overwrite", "force", "trust-remote-code", "no-head", "per-layer", "streaming", "subtypes", "strict-answers",
        "paper-compat",
    )},
    "no-pack": "pack=False",
}  # fmt: skip


def in_python(function: Callable[P, R]) -> Callable[P, R]:
    """Make the errors of a function speak of its arguments: ``overwrite=True`` for ``--overwrite``."""

    @functools.wraps(function)
    def told(*args: P.args, **kwargs: P.kwargs) -> R:
        with _said():
            return function(*args, **kwargs)

    return told


def iterated(items: Iterator[T]) -> Iterator[T]:
    """The same of what an iterator raises."""
    with _said():
        yield from items


@contextmanager
def _said() -> Iterator[None]:
    try:
        yield
    except SftkitError as error:
        error.args = tuple(as_arguments(part) if isinstance(part, str) else part for part in error.args)
        raise


def as_arguments(text: str) -> str:
    """A message, of arguments."""
    text = re.sub(r"^--([a-z][a-z0-9-]*) (\S+): ", lambda m: f"{_named(m[1])}={_value(m[2])}: ", text)
    text = re.sub(r"--head (\S+)$", r'head="\1"', text)
    return re.sub(r"--([a-z][a-z0-9-]*)", lambda m: _word(m[1]), text)


def _word(option: str) -> str:
    if option in OBJECTIVE_NAMES:
        return f'objective="{option}"'
    return _FLAGS.get(option, _named(option))


def _named(option: str) -> str:
    return option.replace("-", "_")


def _value(text: str) -> str:
    try:
        float(text)
    except ValueError:
        return f'"{text}"'
    return text
