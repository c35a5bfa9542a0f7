"""Draws: everything once an epoch, sources by temperature, batches of one source, nothing that grows."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sftkit.training.engine.order import DrawnExamples, FirstDraws, Order, permuted, shares


@given(st.integers(1, 300), st.integers(0, 2**32), st.integers(0, 5))
def test_a_permutation_has_every_index_once(count: int, seed: int, epoch: int) -> None:
    assert sorted(permuted(i, count, seed, epoch) for i in range(count)) == list(range(count))


def test_another_key_gives_another_permutation() -> None:
    orders = {tuple(permuted(i, 50, seed, epoch) for i in range(50)) for seed in range(3) for epoch in range(3)}
    assert len(orders) == 9


def test_every_pair_of_neighbours_is_as_likely_as_any_other() -> None:
    # 2,000 permutations of 4: each of the 12 ordered pairs is expected 500 times, with a standard deviation under 22
    pairs = Counter((permuted(i, 4, seed), permuted(i + 1, 4, seed)) for seed in range(2000) for i in range(3))
    assert len(pairs) == 12
    assert all(abs(count - 500) < 110 for count in pairs.values())


def epoch(order: Order, number: int) -> list[int]:
    return [order.number(number, position) for position in range(len(order))]


def test_an_epoch_draws_every_example_once_and_the_next_one_in_another_order() -> None:
    order = Order([7, 5], seed=1)
    first, second = epoch(order, 0), epoch(order, 1)
    assert sorted(first) == list(range(12))
    assert sorted(second) == list(range(12, 24))
    assert [number % 12 for number in second] != first


def test_batches_go_over_the_ends_of_epochs() -> None:
    order = Order([5], seed=1)
    assert list(FirstDraws(order, 12)) == [*epoch(order, 0), *epoch(order, 1), *epoch(order, 2)[:2]]
    assert len(FirstDraws(order, 12)) == 12


def test_a_temperature_draws_small_sources_more_often() -> None:
    assert shares([900, 100], 1) == [900, 100]
    assert shares([900, 100], 2) == [750, 250]
    assert shares([900, 100], 1e9) == [500, 500]


def test_a_source_is_drawn_whole_before_anything_of_it_is_drawn_again() -> None:
    order = Order([40, 4], seed=1, temperature=5)
    small = [number for e in range(3) for number in epoch(order, e) if order.source(number) == 1]
    assert len(set(small)) == len(small)  # drawn again, an example has another number
    times = Counter(number % 44 for number in small)
    assert max(times.values()) - min(times.values()) <= 1
    assert max(times.values()) > 5


def test_a_block_is_of_one_source() -> None:
    order = Order([10, 3], seed=4, block=4)
    drawn = epoch(order, 0)
    assert len(drawn) == len(order) == 16
    assert all(len({order.source(number) for number in drawn[i : i + 4]}) == 1 for i in range(0, 16, 4))
    assert {number % 13 for number in drawn} == set(range(13))


@pytest.mark.parametrize("number", [3, 13])
def test_an_example_that_has_a_place_is_told_which_draw_it_is(number: int) -> None:
    examples = DrawnExamples([{"input_ids": [i], "place": i} for i in range(10)])
    assert examples[number] == {"input_ids": [3], "place": number}
    assert DrawnExamples([{"x": 1}])[0] == {"x": 1}
