"""In which order examples are drawn: shuffled anew in each epoch, and a function of the seed and the position alone.

No list of all examples is made, so memory does not grow with them, and a run that goes on at any step, or is shared by
several processes, draws what it would have drawn. Several sources are drawn in proportion to their size, or more evenly
at a temperature; an epoch has as many draws as there are examples, and every source's examples have all been drawn
once before any is drawn a second time.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from copy import copy
from itertools import accumulate
from typing import Any

import xxhash
from torch.utils.data import Dataset, Sampler

_WORD = (1 << 64) - 1
_ROUNDS = 6


class Order:
    """Numbers of draws: number ``i`` stands for example ``i % n``, and ``i // n`` is how often it was drawn before.

    Its length is an epoch's.

    Args:
        sizes: examples of each source; those of the first source come first.
        seed: of everything that is drawn.
        temperature: a source of n examples is drawn in proportion to n^(1/T) (Conneau et al. 2020 call 1/T α); 1 is in
            proportion to its size, so that an epoch has every example once.
        block: so many draws in a row come from one source, those of a batch; each source's share is rounded up.
    """

    def __init__(self, sizes: Sequence[int], seed: int, temperature: float = 1.0, block: int = 1) -> None:
        self.sizes = tuple(sizes)
        self._seed, self._block = seed, block
        self._blocks = [-(-count // block) for count in shares(sizes, temperature)]
        self._ends, self._offsets = list(accumulate(self._blocks)), [0, *accumulate(sizes)]

    def __len__(self) -> int:
        return self._ends[-1] * self._block

    def seeded(self, seed: int) -> Order:
        """The same sources in another order."""
        other = copy(self)
        other._seed = seed
        return other

    def source(self, number: int) -> int:
        """Which source a draw is from."""
        return bisect_right(self._offsets, number % self._offsets[-1]) - 1

    def number(self, epoch: int, position: int) -> int:
        """The draw at a position of an epoch."""
        block, within = divmod(position, self._block)
        block = permuted(block, self._ends[-1], self._seed, epoch)
        source = bisect_right(self._ends, block)
        block += epoch * self._blocks[source] - (self._ends[source] - self._blocks[source])
        before, place = divmod(block * self._block + within, self.sizes[source])
        place = permuted(place, self.sizes[source], self._seed, source, before)
        return before * self._offsets[-1] + self._offsets[source] + place


class FirstDraws(Sampler[int]):
    """So many draws from the first epoch's beginning on.

    Batches go over the ends of epochs: each is full, and the same however many processes share it.
    """

    def __init__(self, order: Order, count: int) -> None:
        self._order, self._count = order, count

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[int]:
        for draw in range(self._count):
            yield self._order.number(*divmod(draw, len(self._order)))


class DrawnExamples(Dataset[dict[str, Any]]):
    """Examples by the numbers that :class:`Order` gives. Where an example has a ``place``, it is the draw's number."""

    def __init__(self, examples: Any) -> None:
        self.examples = examples

    def __len__(self) -> int:
        return len(self.examples)

    def __getitem__(self, number: int) -> dict[str, Any]:
        example: dict[str, Any] = self.examples[number % len(self.examples)]
        return example | {"place": number} if "place" in example else example


def shares(sizes: Sequence[int], temperature: float) -> list[int]:
    """How often each source is drawn in an epoch: in proportion to n^(1/T), at least once, in all Σ n or a few more."""
    if temperature == 1:
        return list(sizes)
    weights = [size ** (1 / temperature) for size in sizes]
    return [max(1, round(sum(sizes) * weight / sum(weights))) for weight in weights]


def derived(seed: int, what: str) -> int:
    """A seed for one of the things that a seed decides, 0 to 2^31 - 1."""
    return xxhash.xxh3_64_intdigest(f"{seed} {what}".encode()) >> 33


def permuted(index: int, count: int, *key: int) -> int:
    """Where a pseudo-random permutation of ``range(count)`` takes an index; another key gives another permutation.

    A balanced Feistel network over the next power of 4, walked until it comes back into the range (Black & Rogaway
    2002, "Ciphers with arbitrary finite domains"): constant memory, whatever the count.
    """
    half = max(3, (count.bit_length() + 1) // 2)
    mask, word = (1 << half) - 1, _mixed(len(key))
    for part in key:
        word = _mixed(word ^ part)
    while True:
        left, right = index >> half, index & mask
        for number in range(_ROUNDS):
            left, right = right, left ^ (_mixed(word ^ (number << half) ^ right) & mask)
        index = left << half | right
        if index < count:
            return index


def _mixed(word: int) -> int:
    """SplitMix64's output function (Steele et al. 2014)."""
    word = (word + 0x9E3779B97F4A7C15) & _WORD
    word = ((word ^ word >> 30) * 0xBF58476D1CE4E5B9) & _WORD
    word = ((word ^ word >> 27) * 0x94D049BB133111EB) & _WORD
    return word ^ word >> 31
