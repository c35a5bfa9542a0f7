"""Which K entries φ may have: the ones that phase 1 scored highest, or random ones.

Exact: K entries over all maskable parameters together, ties to the lowest position in canonical order (parameters by
name, elements in row-major order). Entries to keep clear of are never chosen.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from sftkit.algebra.topk import BLOCK, Block, Positions, select
from sftkit.errors import SettingsError
from sftkit.training.engine.sharded import whole
from sftkit.training.engine.snapshot import Snapshot

#: canonical name -> bool ``[n]``, true where φ must not be; names that are missing are free.
Avoided = Mapping[str, NDArray[np.bool_]]
#: Scores of a stretch of a parameter: (name, first element, end) -> float32 ``[end - first]``, no -0 among them, an
#: array that its reader may overwrite and the next call may fill again; higher is better.
Ranking = Callable[[str, int, int], NDArray[np.float32]]
#: The key of score 0; key 0 itself is never chosen.
_KEY_OF_0 = 1 << 31


@dataclass(frozen=True)
class Mask:
    """The positions that were chosen.

    Attributes:
        positions: canonical name -> flat positions, strictly increasing; only parameters with entries.
        unmoved: how many of them did not move at all, where that was asked.
        outside: how many more were asked for, of parameters that may not move.
    """

    positions: dict[str, Positions]
    unmoved: int = 0
    outside: int = 0

    @property
    def k(self) -> int:
        """Number of positions."""
        return sum(len(positions) for positions in self.positions.values())


def check_finite(maskable: Mapping[str, torch.Tensor]) -> None:
    """Refuse to choose after a phase 1 that diverged.

    Raises:
        SettingsError: if a parameter is not finite.
    """
    for name, parameter in maskable.items():
        ends = torch.stack(torch.aminmax(whole(parameter.detach())))  # NaN if any is; no copy is made
        if not torch.isfinite(ends).all():
            raise SettingsError(f"Phase 1 diverged: {name} is not finite. Try a lower --lr.")


def changes(maskable: Mapping[str, nn.Parameter], before: Snapshot) -> Ranking:
    """|θ(1) - θ(0)|, the paper's."""
    buffer = np.empty(BLOCK, np.float32)  # new memory for each block would take longer than the arithmetic

    def score(after: NDArray[np.float32], start: NDArray[np.float32]) -> NDArray[np.float32]:
        difference = np.subtract(after, start, out=buffer[: len(after)])
        return np.abs(difference, out=difference)

    return _between(maskable, before, score)


def magnitude_increases(maskable: Mapping[str, nn.Parameter], before: Snapshot) -> Ranking:
    """|θ(1)| - |θ(0)| (Zhou et al. 2019)."""
    return _between(maskable, before, lambda after, start: np.abs(after) - np.abs(start) + np.float32(0))


def counted(score: Callable[[str], torch.Tensor]) -> Ranking:
    """Scores that were added up while training: by name, float32 of the parameters' shapes."""
    stored = _read(lambda name: whole(score(name)).reshape(-1).cpu().numpy())
    return lambda name, begin, end: stored(name, begin, end) + np.float32(0)  # a copy, in which -0 became 0


def highest(maskable: Mapping[str, torch.Tensor], scores: Ranking, k: int, avoided: Avoided | None = None) -> Mask:
    """The K entries of the highest scores. Scores may be negative; an entry of score 0 counts as not moved."""
    avoided = avoided or {}

    def blocks() -> Iterator[Block]:
        for name, start, end in _stretches(maskable):
            keys = _keys(scores(name, start, end))
            if name in avoided:
                keys[avoided[name][start:end]] = 0
            yield name, start, keys

    chosen = select(blocks, k)
    unmoved = chosen.tied if chosen.threshold == _KEY_OF_0 else 0
    if chosen.threshold < _KEY_OF_0:  # so all of score 0 were chosen
        unmoved = sum(int(np.count_nonzero(keys == _KEY_OF_0)) for _, _, keys in blocks())
    return Mask(chosen.positions, unmoved)


def watched(scores: Ranking, total: int, watch: Callable[[int, int], None]) -> Ranking:
    """The same scores, with word of how many of the elements that are expected to be asked for were asked for."""
    done = 0

    def score(name: str, begin: int, end: int) -> NDArray[np.float32]:
        nonlocal done
        done += end - begin
        watch(min(done, total), total)
        return scores(name, begin, end)

    return score


def at_random(maskable: Mapping[str, nn.Parameter], k: int, seed: int, avoided: Avoided | None = None) -> Mask:
    """K entries drawn uniformly without replacement: the K largest of random 32-bit keys."""
    avoided = avoided or {}

    def blocks() -> Iterator[Block]:
        rng = np.random.Generator(np.random.PCG64(seed))
        for name, start, end in _stretches(maskable):
            keys = rng.integers(1, 2**32, end - start, dtype=np.uint32)
            if name in avoided:
                keys[avoided[name][start:end]] = 0
            yield name, start, keys

    return Mask(select(blocks, k).positions)


def largest_of(mask: Mask, values: Mapping[str, NDArray[np.float32]], k: int) -> Mask:
    """The K entries of a mask with the largest |φ|.

    Args:
        mask: the positions.
        values: φ at them, float32 ``[n]`` by name.
        k: how many.
    """

    def blocks() -> Iterator[Block]:
        for name in sorted(mask.positions):
            yield name, 0, _keys(np.abs(values[name]))

    chosen = select(blocks, k)
    positions = {name: mask.positions[name][at] for name, at in chosen.positions.items()}
    return Mask(positions, chosen.tied if chosen.threshold == _KEY_OF_0 else 0)


def _stretches(maskable: Mapping[str, torch.Tensor]) -> Iterator[tuple[str, int, int]]:
    for name in sorted(maskable):
        size = maskable[name].numel()
        for start in range(0, size, BLOCK):
            yield name, start, min(start + BLOCK, size)


def _keys(scores: NDArray[np.float32]) -> NDArray[np.uint32]:
    """Sortable keys in the place of the scores, none of them 0: negative scores below that of 0, positive above."""
    keys = scores.view(np.uint32)
    if float(scores.min()) < 0:
        negative = scores < 0
        keys[negative] = ~keys[negative]
        keys[~negative] |= np.uint32(_KEY_OF_0)
        return keys
    return np.bitwise_or(keys, np.uint32(_KEY_OF_0), out=keys)


def _between(
    maskable: Mapping[str, nn.Parameter],
    before: Snapshot,
    score: Callable[[NDArray[np.float32], NDArray[np.float32]], NDArray[np.float32]],
) -> Ranking:
    after = _read(lambda name: whole(maskable[name].detach()).float().cpu().reshape(-1).numpy())
    stored = before.mapped()
    start = _read(lambda name: stored(name).float().reshape(-1).numpy())
    return lambda name, begin, end: score(after(name, begin, end), start(name, begin, end))


def _read(load: Callable[[str], NDArray[np.float32]]) -> Ranking:
    """Stretches of one parameter at a time, kept until the next is asked for."""
    last: tuple[str, NDArray[np.float32]] = ("", np.zeros(0, np.float32))

    def stretch(name: str, begin: int, end: int) -> NDArray[np.float32]:
        nonlocal last
        if last[0] != name:
            last = (name, load(name))
        return last[1][begin:end]

    return stretch
