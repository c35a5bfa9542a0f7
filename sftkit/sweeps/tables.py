"""Tables of a sweep's file: which keys they have, and of which kind each value is; what is wrong is said in a line."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from difflib import get_close_matches
from typing import Any

from sftkit.errors import SettingsError
from sftkit.shown import brief

#: The largest number: what is made of it by multiplying stays finite.
_MOST = 1e18


def known(where: str, name: str, names: Iterable[str]) -> str:
    """The name, which is one of some.

    Raises:
        SettingsError: if it is not, with the one that is probably meant.
    """
    names = list(names)
    if name in names:
        return name
    near = get_close_matches(name.replace("_", "-"), names, n=1, cutoff=0.6)
    meant = f"Did you mean {near[0]}?" if near else f"There are {', '.join(sorted(names))}."
    raise SettingsError(f"{where}: there is no {brief(name, 60)}. {meant}")


class Section:
    """A table whose keys are taken out one by one; what is left at the end is none of its keys."""

    def __init__(self, where: str, values: object) -> None:
        """Begin.

        Args:
            where: how the file calls it, such as ``[tasks.pos]``.
            values: what stands there.

        Raises:
            SettingsError: if that is no table.
        """
        if not isinstance(values, dict):
            raise SettingsError(f"{where} is {brief(repr(values), 60)}, and has to be a table.")
        self.where, self.left, self._asked = where, dict(values), list[str]()

    def text(self, name: str, default: str | None = None) -> str | None:
        """A text."""
        found: str | None = self._take(name, default, lambda v: isinstance(v, str) and bool(v), "a text")
        return found

    def whole(self, name: str, default: int | None = None) -> int | None:
        """A whole number from 0."""
        found: int | None = self._take(name, default, _is_whole, "a whole number from 0")
        return found

    def number(self, name: str, default: float | None = None) -> float | None:
        """A number from 0."""
        found: float | None = self._take(
            name, default, lambda v: _is_number(v) and v >= 0, f"a number from 0 to {_MOST:g}"
        )
        return found

    def flag(self, name: str, default: bool) -> bool:
        """True or false."""
        return bool(self._take(name, default, lambda v: isinstance(v, bool), "true or false"))

    def texts(self, name: str) -> tuple[str, ...] | None:
        """A list of different texts, which are names."""
        found: tuple[str, ...] | None = self._list(name, lambda v: isinstance(v, str) and bool(v), "texts")
        return found

    def wholes(self, name: str) -> tuple[int, ...] | None:
        """A whole number, or a list of different ones."""
        found: tuple[int, ...] | None = self._list(name, _is_whole, "whole numbers from 0")
        return found

    def numbers(self, name: str) -> tuple[float, ...] | None:
        """A number, or a list of different ones."""
        found: tuple[float, ...] | None = self._list(name, lambda v: _is_number(v) and v > 0, "numbers above 0")
        return found

    def table(self, name: str) -> Section:
        """A table in this one, empty if it is not there."""
        self._asked.append(name)
        where = f"[{name}]" if self.where == "the file" else f"{self.where[:-1]}.{name}]"
        return Section(where, self.left.pop(name, {}))

    def rest(self) -> dict[str, Any]:
        """What nobody asked for."""
        rest, self.left = self.left, {}
        return rest

    def done(self) -> None:
        """See that nothing is left.

        Raises:
            SettingsError: naming the first key that is.
        """
        for name in self.left:
            known(self.where, name, [each for each in self._asked if each != name])

    def _take(self, name: str, default: Any, fits: Callable[[Any], bool], kind: str) -> Any:
        self._asked.append(name)
        if name not in self.left:
            return default
        value = self.left.pop(name)
        if not fits(value):
            raise SettingsError(f"{self._at(name)} = {brief(repr(value), 60)}: has to be {kind}.")
        return value

    def _at(self, name: str) -> str:
        return name if self.where == "the file" else f"{self.where} {name}"

    def _list(self, name: str, fits: Callable[[Any], bool], kind: str) -> Any:
        value = self._take(name, None, lambda _: True, "")
        if value is None:
            return None
        listed = value if isinstance(value, list) else [value]
        if not listed or not all(map(fits, listed)):
            raise SettingsError(f"{self._at(name)} = {brief(repr(value), 60)}: has to be a list of {kind}.")
        for twice in (each for each in listed if listed.count(each) > 1):
            raise SettingsError(f"{self._at(name)}: {twice} is there twice.")
        return tuple(listed)


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= _MOST


def unfit(value: Any) -> str:
    """What stands somewhere in a file's values that nothing takes; "" if all is well."""
    if isinstance(value, str) and "\0" in value:
        return "a null character"
    if isinstance(value, int) and abs(value) >= 1 << 63:
        return "a whole number of more than 64 bits"
    parts = (*value, *value.values()) if isinstance(value, dict) else value if isinstance(value, list) else ()
    return next(filter(None, map(unfit, parts)), "")


def without(table: Mapping[str, Any], *names: str) -> dict[str, Any]:
    """A table without some keys."""
    return {name: value for name, value in table.items() if name not in names}
