"""The sum of several weighted SFTs, parameter by parameter: float64, and the same in whatever order they are named.

Three ways of adding: ``sum``; ``ties`` (Yadav et al. 2023: trim, elect a sign, mean of those that agree); ``dare``
(Yu et al. 2024: drop at random, rescale, sum). All work on the union of the non-zero entries. Knows nothing of
checkpoints, heads or files: what the sums are added to is the caller's business.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Lock
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from sftkit.algebra.thinning import Thinner, drop, trim
from sftkit.algebra.window import Merged, Part, Scratch
from sftkit.errors import MismatchError, SettingsError
from sftkit.format.difference import Difference
from sftkit.format.encoding import Positions, Values
from sftkit.format.entries import EntryStream
from sftkit.format.files import SftFile
from sftkit.format.sft import CsrDifference, RowStream
from sftkit.storage.dtypes import narrowed, widened

#: Elements of a parameter that are summed at a time: the scratch arrays then stay in the processor's cache.
WINDOW = 1 << 18
#: A weight beyond this is told of: those of papers are between -1 and 2, a slip (:100 for 1.00, :50 for 50 %) is not.
_HEAVY = 10.0


@dataclass(frozen=True, slots=True)
class Weighted:
    """An SFT, what its entries are multiplied by, and what the user called it.

    ``times`` is how often it was given and ``opposed`` whether with weights of both signs: see :func:`collapse`.
    """

    sft: Difference
    weight: float = 1.0
    path: str = ""
    times: int = 1
    opposed: bool = False


@dataclass(frozen=True, slots=True)
class Method:
    """How entries of several SFTs on one position become one.

    TIES averages weighted entries and does not divide by the sum of the weights, as mergekit does by default: so a
    weight means the same under every method, ``a:0.5`` alone being half of ``a``.

    Attributes:
        name: "sum", "ties" or "dare".
        trim: ties: the share of each SFT's own K entries, the smallest ones, that is left out.
        drop: dare: the probability with which each entry is left out; the others are multiplied by 1 / (1 - drop).
        seed: dare: with the SFT's digest and the parameter's name it decides which are left out.
    """

    name: Literal["sum", "ties", "dare"] = "sum"
    trim: float = 0.2
    drop: float = 0.5
    seed: int = 0

    def __post_init__(self) -> None:
        """Check the settings.

        Raises:
            SettingsError: if a name is unknown or a share is not in [0, 1).
        """
        if self.name not in ("sum", "ties", "dare"):
            raise SettingsError(f"--method {self.name}: there is no such method; known are sum, ties and dare.")
        for option, value in (("--trim", self.trim), ("--drop", self.drop)):
            if not 0 <= value < 1:
                raise SettingsError(f"{option} {value:g}: a share from 0 up to, but not including, 1 is needed.")

    def document(self) -> dict[str, str | float | int]:
        """The settings that are in force, for ``sftkit.json`` and the metadata."""
        settings: dict[str, dict[str, str | float | int]] = {
            "ties": {"trim": self.trim}, "dare": {"drop": self.drop, "seed": self.seed},
        }  # fmt: skip
        return {"name": self.name, **settings.get(self.name, {})}


SUM = Method()


class Merger:
    """Several weighted SFTs, ready to be summed parameter by parameter, on several threads if that is wanted."""

    def __init__(self, weighted: Sequence[Weighted], method: Method = SUM) -> None:
        """Sort the SFTs into their canonical order and, for TIES, find what is trimmed (reads every entry once)."""
        for item in weighted:
            if isinstance(item.sft, CsrDifference):
                item.sft.check_shapes()
        self.weighted = collapse(weighted)
        self.method = method
        self._names = [frozenset(item.sft.names) for item in self.weighted]
        self._thinners = [_thinner(item.sft, method) for item in self.weighted]
        self._left = [set(names) for names in self._names]
        self._given = [0] * len(self.weighted)
        self._lock = Lock()

    @property
    def names(self) -> tuple[str, ...]:
        """Every parameter on which an SFT has entries, sorted."""
        return tuple(sorted(frozenset().union(*self._names)))

    def windows(self, name: str, size: int, length: int | None = None, *, holes: bool = False) -> Iterator[Merged]:
        """The sum on one parameter, a stretch at a time, in order.

        Within a stretch positions are unique but not sorted: adding to a block needs no order, and sorting costs more
        than everything else.

        Args:
            name: the parameter; one without entries gives stretches without positions.
            size: its number of elements.
            length: elements of a stretch, at most; ``WINDOW`` by default.
            holes: leave out stretches without entries: how large a parameter is that no base has seen, a file claims.

        Raises:
            FormatError: if a file's entries are not what the format asks for.
        """
        chosen = [at for at, names in enumerate(self._names) if name in names]
        cursors = [self._cursor(at, name) for at in chosen]
        length = WINDOW if length is None else length
        scratch = Scratch(min(size, length) if len(chosen) > 1 else 0, elect=self.method.name == "ties")
        given = [0] * len(chosen)
        walks = [cursor for cursor, _ in cursors]
        for start in occupied(walks, size, length) if holes else range(0, size, length):
            stop = min(start + length, size)
            parts = [
                Part(*cursor.below(stop), weight, self.weighted[at].times, self.weighted[at].opposed)
                for at, (cursor, weight) in zip(chosen, cursors, strict=True)
            ]
            given = [count + len(part.positions) for count, part in zip(given, parts, strict=True)]
            yield scratch.merge([part for part in parts if len(part.positions)], start, stop)
        for at, count in zip(chosen, given, strict=True):
            self._tally(at, name, count)

    def parameter(self, name: str, size: int) -> Merged:
        """The sum on a whole parameter, its positions in order."""
        windows = [_in_order(window) for window in self.windows(name, size, holes=True)]
        return Merged(
            np.concatenate([np.zeros(0, np.int64), *(window.positions for window in windows)]),
            np.concatenate([np.zeros(0), *(window.values for window in windows)]),
            sum(window.overlap for window in windows),
            sum(window.sign_conflicts for window in windows),
            0,
            size,
        )

    def _tally(self, at: int, name: str, count: int) -> None:
        """Once every entry of a file was given, their number must be the one that it promises."""
        with self._lock:
            if name not in self._left[at]:
                return
            self._left[at].remove(name)
            self._given[at] += count
            complete = not self._left[at]
        sft = self.weighted[at].sft
        if complete and self._thinners[at] is None and isinstance(sft, SftFile):
            sft.check_count(self._given[at])

    def _cursor(self, at: int, name: str) -> tuple[Cursor, float]:
        """A walk through one SFT's entries on one parameter, and the factor that they get."""
        sft, thin = self.weighted[at].sft, self._thinners[at]
        scale = 1 / (1 - self.method.drop) if self.method.name == "dare" else 1.0
        weight = self.weighted[at].weight * scale
        return (cursor(sft, name) if thin is None else _Whole(*thin(name, *sft.entries(name)))), weight


def cursor(sft: Difference, name: str) -> Cursor:
    """A walk through an SFT's entries on one parameter; memory does not grow with a file."""
    if isinstance(sft, SftFile):
        return EntryStream(sft, name)
    return RowStream(sft.parameters[name]) if isinstance(sft, CsrDifference) else _Whole(*sft.entries(name))


class Cursor(Protocol):
    """Entries of one parameter, given piece by piece."""

    def following(self) -> int | None:
        """A position before which there are no entries that were not given yet; None if all were."""
        ...

    def below(self, stop: int) -> tuple[Positions, Values]:
        """The entries not yet given whose position is below ``stop``."""
        ...


def occupied(cursors: Sequence[Cursor], size: int, length: int) -> Iterator[int]:
    """Where those stretches of a parameter begin that hold entries not given yet; each is to be taken when it comes.

    Args:
        cursors: over the entries of several SFTs.
        size: elements of the parameter, which a file may claim to be as many as it likes.
        length: of a stretch.
    """
    while (first := min((at for each in cursors if (at := each.following()) is not None), default=size)) < size:
        yield first // length * length


class _Whole:
    """A cursor over entries that are in memory."""

    def __init__(self, positions: Positions, values: Values) -> None:
        self._positions, self._values, self._at = positions, values, 0

    def following(self) -> int | None:
        """The position of the next entry; None if all were given."""
        return int(self._positions[self._at]) if self._at < len(self._positions) else None

    def below(self, stop: int) -> tuple[Positions, Values]:
        """The entries not yet given whose position is below ``stop``."""
        begin, self._at = self._at, self._at + int(np.searchsorted(self._positions[self._at :], stop))
        return self._positions[begin : self._at], self._values[begin : self._at]


def collapse(weighted: Sequence[Weighted]) -> list[Weighted]:
    """Each SFT once, with the sum of its weights, those of weight 0 left out, in the order of their digests."""
    for item in weighted:
        if not math.isfinite(item.weight):
            raise SettingsError(f"{item.path}: its weight is {item.weight}; a weight must be finite.")
    if len(weighted) == 1:  # to hash an SFT in memory takes longer than to apply it
        return [item for item in weighted if item.weight]
    by_digest: dict[str, list[Weighted]] = {}
    for item in weighted:
        by_digest.setdefault(item.sft.digest, []).append(item)
    totals = (
        Weighted(
            items[0].sft,
            _total([item.weight for item in items]),
            min(item.path for item in items),
            sum(item.times for item in items),
            any(item.opposed for item in items) or len({item.weight > 0 for item in items if item.weight}) > 1,
        )
        for _, items in sorted(by_digest.items())
    )
    return [item for item in totals if item.weight]


def odd_weights(weighted: Sequence[Weighted]) -> tuple[str, ...]:
    """A note for each SFT that is given more than once, or with a weight that is hardly meant."""
    items = collapse(weighted)
    often = ((item, "twice" if item.times == 2 else f"{item.times} times") for item in items)
    return (
        *(f"{i.path} is given {times}: {i.weight:g} φ of it are added." for i, times in often if i.times > 1),
        *(
            f"{i.path} has a weight of {i.weight:g}, and 1 is what was learned. Is {i.weight:g} meant?"
            for i in items
            if abs(i.weight) > _HEAVY
        ),
    )


def _total(weights: Sequence[float]) -> float:
    try:
        return math.fsum(weights)
    except OverflowError:
        raise SettingsError(
            "The weights of an SFT that is given several times add up to more than a number holds."
        ) from None


def paths(weighted: Sequence[Weighted]) -> list[Path]:
    """The local files among what the SFTs are called."""
    return [Path(item.path) for item in weighted if item.path and "://" not in item.path]


def added(theta: NDArray[Any], sums: NDArray[np.float64], name: str) -> NDArray[Any]:
    """θ + Σ wᵢφᵢ in float64, rounded once to θ's dtype; all ``[n]``.

    Raises:
        MismatchError: if a sum does not fit that dtype, where θ was finite; ``name`` says of which parameter.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        moved = narrowed(theta.astype(np.float64) + sums, theta.dtype)
    if not np.isfinite(widened(moved)).all() and np.isfinite(theta).all():
        raise MismatchError(
            f"{name}: a sum does not fit {theta.dtype.name}. Give the SFTs smaller weights.", tensor=name
        )
    return moved


def _in_order(merged: Merged) -> Merged:
    if (np.diff(merged.positions) > 0).all():
        return merged
    order = np.argsort(merged.positions)
    return replace(merged, positions=merged.positions[order], values=merged.values[order])


def _thinner(sft: Difference, method: Method) -> Thinner | None:
    if method.name == "ties":
        return trim(sft, method.trim)
    return drop(sft.digest, method.drop, method.seed) if method.name == "dare" else None
