"""The K largest keys, against a sort: by blocks of any size, over many parameters, with ties and far positions."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from sftkit.algebra import topk
from sftkit.algebra.largest import choose_largest
from sftkit.algebra.topk import Block, Keys, narrow, select, threshold

RNG = np.random.default_rng(0)
FIVE = 0x3F80_0000  # of keys that share their upper half
KEYS: dict[str, Keys] = {
    "any": RNG.integers(0, 2**31, 1500, np.uint32),
    "few": RNG.choice(np.array([0, 7, FIVE, FIVE + 1, 2**31 - 1], np.uint32), 1500),
    "near": RNG.integers(FIVE, FIVE + 900, 1500, np.uint32),
    "near, and more above": np.concatenate(
        [RNG.integers(FIVE, FIVE + 900, 1000, np.uint32), RNG.integers(2**30, 2**31, 500, np.uint32)]
    ),
}


def pieces(keys: Keys, size: int = 7) -> Iterator[Block]:
    """Two parameters, in blocks whose beginnings share bits with the places in them."""
    half = len(keys) // 2
    for name, whole in (("a", keys[:half]), ("b", keys[half:])):
        for at in range(0, len(whole), size):
            yield name, at, whole[at : at + size]


@pytest.mark.parametrize("candidates", [0, topk._CANDIDATES], ids=["third pass", "two passes"])
@pytest.mark.parametrize("k", [0, 1, 2, 640, 1499, 1500, 1501])
@pytest.mark.parametrize("kind", KEYS)
def test_select_takes_what_a_stable_sort_has_first(
    kind: str, k: int, candidates: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(topk, "_CANDIDATES", candidates)
    keys = KEYS[kind]
    found = select(lambda: pieces(keys), k)
    wanted = np.sort(np.argsort(-keys.astype(np.int64), kind="stable")[:k])
    none = np.zeros(0, np.int64)
    taken = np.concatenate([found.positions.get("a", none), found.positions.get("b", none) + 750])
    assert taken.tolist() == wanted.tolist()
    assert found.k == min(k, 1500)
    if k:
        assert found.threshold == keys[wanted].min()
        assert found.tied == np.count_nonzero(keys[wanted] == found.threshold)


@pytest.mark.parametrize("k", [1, 2, 640, 1499, 1500, 1501])
@pytest.mark.parametrize("kind", KEYS)
def test_the_threshold_is_the_kth_of_a_sort_and_says_how_many_are_tied(kind: str, k: int) -> None:
    ordered = np.sort(KEYS[kind])[::-1]
    found, tied = threshold(lambda: (keys for _, _, keys in pieces(KEYS[kind])), k)
    assert found == ordered[min(k, 1500) - 1]
    if k <= 1500:
        assert tied == np.count_nonzero(ordered[:k] == found)


def test_of_nothing_nothing_is_taken() -> None:
    assert select(lambda: iter(()), 3).positions == {}


@pytest.mark.parametrize(
    ("last", "dtype"), [(0, np.int32), (2**31 - 1, np.int32), (2**31, np.int64), (2**40, np.int64)]
)
def test_positions_take_the_bytes_that_they_need_and_stay_what_they_are(last: int, dtype: type) -> None:
    positions = narrow(np.array([0, last], np.int64))
    assert positions.dtype == dtype
    assert positions.tolist() == [0, last]
    assert narrow(np.zeros(0, np.int64)).dtype == np.int32


def test_the_last_bit_of_a_difference_decides() -> None:
    one = np.float32(1)
    values = np.array([one, -np.nextafter(one, np.float32(2)), one], np.float32)
    chosen = choose_largest(lambda: iter([("w", 0, values)]), 1, np.zeros(0, np.float32), 3)
    assert chosen.entries["w"][0].tolist() == [1]
