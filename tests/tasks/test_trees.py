"""The best single-rooted tree, beside a search of all trees."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from sftkit.tasks.parsing.trees import Heads, Scores, astray, greedy_heads, maximum_tree


def is_single_rooted_tree(heads: Heads) -> bool:
    """Said otherwise than in the module: from every word up, n steps at most lead to 0, and one word stands under 0."""

    def leads_up(word: int) -> bool:
        for _ in heads:
            word = int(heads[word - 1])
            if word == 0:
                return True
        return False

    return list(heads).count(0) == 1 and all(leads_up(word) for word in range(1, len(heads) + 1))


def value(scores: Scores, heads: Heads) -> float:
    return float(scores[np.arange(len(heads)), heads].sum())


def best_value(scores: Scores) -> float:
    """Of all single-rooted trees."""
    n = len(scores)
    trees = (np.array(heads) for heads in product(range(n + 1), repeat=n))
    return max(value(scores, heads) for heads in trees if is_single_rooted_tree(heads))


small = st.integers(1, 5).flatmap(
    lambda n: st.one_of(
        arrays(np.float64, (n, n + 1), elements=st.floats(-50, 50)),
        arrays(np.float64, (n, n + 1), elements=st.integers(0, 2)),  # ties
    )
)


@given(small)
def test_no_single_rooted_tree_scores_higher(scores: Scores) -> None:
    heads = maximum_tree(scores)
    assert is_single_rooted_tree(heads)
    assert value(scores, heads) == pytest.approx(best_value(scores), abs=1e-9)


def test_the_root_takes_one_word_even_if_every_word_would_rather_have_it() -> None:
    scores = np.array([[9.0, 0, 1], [8.0, 3, 0]])
    assert maximum_tree(scores).tolist() == [0, 1]


def test_a_cycle_inside_a_cycle_is_broken_where_it_costs_least() -> None:
    scores = np.full((4, 5), -10.0)
    for word, head in ((1, 2), (2, 1), (3, 4), (4, 3)):
        scores[word - 1, head] = 10
    scores[0, 3] = scores[2, 1] = 5  # the two cycles have arcs into each other, which make a third
    scores[:, 0] = [-20, -30, -4, -30]
    assert maximum_tree(scores).tolist() == [3, 1, 0, 3]


@given(st.integers(6, 60), st.integers(0, 5))
def test_longer_sentences_get_a_tree_too(n: int, seed: int) -> None:
    scores = np.random.default_rng(seed).standard_normal((n, n + 1))
    assert is_single_rooted_tree(maximum_tree(scores))


def test_what_is_no_number_still_gives_a_tree() -> None:
    assert is_single_rooted_tree(maximum_tree(np.full((6, 7), np.nan)))


def test_greedily_no_word_is_its_own_head_and_cycles_may_be() -> None:
    scores = np.array([[0.0, 9, 1], [0.0, 1, 9]])
    assert greedy_heads(scores).tolist() == [2, 1]


def test_words_that_do_not_lead_to_the_root_are_found() -> None:
    assert astray(np.array([2, 1, 0, 3, 1])).tolist() == [True, True, False, False, True]
