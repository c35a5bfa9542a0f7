"""What stands for an SFT or a model in Python: paths, ``hf://`` names, SFTs in memory, pairs with a weight."""

from __future__ import annotations

import re
from collections.abc import Iterable
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeGuard

from sftkit.errors import SettingsError, about
from sftkit.sharing.hub import PUBLISHED, SCHEME, local_sft, resolve_model

if TYPE_CHECKING:
    from sftkit.algebra.arithmetic import Weighted
    from sftkit.format.difference import Difference

    #: One SFT.
    OneSft = str | PathLike[str] | Difference
    #: What stands for an SFT, its weight included.
    SftLike = OneSft | tuple[OneSft, float]

_KINDS = "a path, an hf:// name or an SFT"


def as_weighted(given: SftLike, at: int = 1) -> Weighted:
    """An SFT, opened if it is a file, and its weight.

    Args:
        given: what stands for it.
        at: its number among those that are given, to call one by that has no name.

    Raises:
        FormatError: if a file is no SFT.
        SettingsError: if it is nothing that stands for one.
    """
    from sftkit.algebra.arithmetic import Weighted
    from sftkit.format.files import SftFile

    one, weight = given if _is_pair(given) else (given, 1.0)
    if isinstance(one, str | PathLike):
        with about(one):
            return Weighted(SftFile(sft_file(one)), float(weight), str(one))
    return Weighted(as_sft(one), float(weight), called(one, at))


def all_weighted(given: Any) -> list[Weighted]:
    """The same of several, or of one by itself."""
    alone = isinstance(given, str | PathLike) or _is_pair(given) or _is_sft(given) or not isinstance(given, Iterable)
    return [as_weighted(each, at) for at, each in enumerate([given] if alone else given, 1)]


def as_sft(given: Any) -> Difference:
    """An SFT in memory.

    Raises:
        SettingsError: if it is none.
    """
    if not _is_sft(given):
        raise SettingsError(f"{given!r:.100} is no SFT; give {_KINDS}, or a pair of one of these and a weight.")
    sft: Difference = given
    return sft


def called(one: Any, at: int = 1) -> str:
    """What to call an SFT in messages."""
    return str(one) if isinstance(one, str | PathLike) else str(getattr(one, "name", "") or f"SFT {at}")


def sft_file(name: str | PathLike[str]) -> Path:
    """The ``.sft`` file that a name stands for, downloaded or converted if need be.

    Raises:
        FormatError: if there is none.
        SettingsError: if a weight was written as on the command line.
    """
    text = str(name)
    if (weight := re.fullmatch(r"(.+\.sft):([-+.\de]+)", text)) and not Path(text).exists():
        raise SettingsError(f"{text}: a weight is given as a pair: ({weight[1]!r}, {weight[2]}).")
    with about(text):
        return local_sft(text)


def model_folder(name: Any) -> Path:
    """A model's directory, downloaded if need be.

    Raises:
        CheckpointError: if there is none.
    """
    with about(name):
        return resolve_model(str(name))


def is_model(given: Any) -> bool:
    """Whether something names a model rather than an SFT."""
    if not isinstance(given, str | PathLike):
        return False
    path, text = Path(given), str(given)
    published = (path / PUBLISHED).is_file() and not (path / "config.json").is_file()
    return not (text.startswith(SCHEME) or text.endswith(".sft") or path.is_file() or published)


def _is_pair(given: Any) -> TypeGuard[tuple[Any, float]]:
    return isinstance(given, tuple) and len(given) == 2 and hasattr(given[1], "__float__")


def _is_sft(given: Any) -> bool:
    return all(hasattr(given, name) for name in ("metadata", "entries", "names"))
