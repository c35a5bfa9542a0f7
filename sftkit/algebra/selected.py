"""Some parameters of an SFT only, by their names: what ``--only``, ``--exclude`` and ``x.sft:0.5@REGEX`` ask for."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any

import xxhash
from numpy.typing import NDArray

from sftkit.algebra.arithmetic import Weighted
from sftkit.errors import SettingsError
from sftkit.format.difference import Difference
from sftkit.format.encoding import Positions, Values
from sftkit.format.metadata import Metadata

#: Tells of a parameter's name whether it is meant.
Chosen = Callable[[str], bool]


class Selected:
    """An SFT with the entries of some parameters, and its head; satisfies ``Difference``."""

    def __init__(self, sft: Difference, pattern: str, chosen: Chosen) -> None:
        self._sft, self._pattern = sft, pattern
        self.names = tuple(name for name in sft.names if chosen(name))

    @cached_property
    def metadata(self) -> Metadata:
        """As the whole SFT's, with the number of the entries that are meant."""
        return replace(self._sft.metadata, k=sum(len(self.entries(name)[0]) for name in self.names))

    @property
    def head(self) -> Mapping[str, NDArray[Any]]:
        """The whole SFT's."""
        return self._sft.head

    @cached_property
    def digest(self) -> str:
        """A hash of the whole SFT's digest and of what was asked for."""
        return xxhash.xxh3_128_hexdigest(f"{self._sft.digest} {self._pattern}".encode())

    def entries(self, name: str) -> tuple[Positions, Values]:
        """As the whole SFT's."""
        return self._sft.entries(name)


def choosing(only: str | None = None, exclude: str | None = None) -> Chosen:
    """Names in which ``only`` is found, if given, and in which ``exclude`` is not.

    Raises:
        SettingsError: if one of them is no regular expression.
    """
    wanted, unwanted = (_compiled(pattern) if pattern else None for pattern in (only, exclude))

    def chosen(name: str) -> bool:
        return (wanted is None or bool(wanted.search(name))) and not (unwanted is not None and unwanted.search(name))

    return chosen


def selected(item: Weighted, only: str | None = None, exclude: str | None = None) -> Weighted:
    """An SFT with the entries of some parameters.

    Raises:
        SettingsError: if a pattern is no regular expression, or no entry is left.
    """
    if only is None and exclude is None:
        return item
    sft = Selected(item.sft, f"only {only} exclude {exclude}", choosing(only, exclude))
    if not sft.names:
        said = " and ".join(text for text in (only and f"only {only}", exclude and f"without {exclude}") if text)
        raise SettingsError(f"{item.path}: no parameter with entries is left: {said}.")
    return replace(item, sft=sft)


def selected_all(items: Sequence[Weighted], only: str | None, exclude: str | None) -> list[Weighted]:
    """The same of several; see :func:`selected`."""
    return [selected(item, only, exclude) for item in items]


def _compiled(pattern: str) -> re.Pattern[str]:
    try:
        return re.compile(pattern)
    except re.error as error:
        raise SettingsError(f"{pattern!r} is no regular expression ({error}).") from None
