"""A family of any size: deterministic, a tree, the more alike the closer related."""

from __future__ import annotations

import random
import re
from itertools import combinations
from statistics import mean

import pytest

from sftkit.demo.descent import grow, newick, relatedness
from sftkit.demo.languages import Language

SIZES = (2, 3, 8, 40)


@pytest.mark.parametrize("size", SIZES)
def test_as_many_languages_live_as_asked_under_different_names_that_are_fit_for_files(size: int) -> None:
    names = [language.name for language in grow(size, 0).living()]
    assert len(set(names)) == size
    assert all(re.fullmatch(r"[a-z]{6,}", name) for name in names)


@pytest.mark.parametrize("size", SIZES)
def test_the_same_seed_gives_the_same_family_and_another_one_another(size: int) -> None:
    assert grow(size, 3) == grow(size, 3)
    assert grow(size, 3) != grow(size, 4)


def test_drawing_a_family_leaves_pythons_own_dice_alone() -> None:
    random.seed(1)
    expected = random.random()
    random.seed(1)
    grow(4, 0)
    assert random.random() == expected


@pytest.mark.parametrize("size", SIZES)
def test_relatedness_is_that_of_a_tree(size: int) -> None:
    """Symmetric, 1 with itself alone, and of three languages the two least related pairs are equally so."""
    tree = grow(size, 1)
    names, related = [language.name for language in tree.living()], relatedness(tree)
    assert set(related) == {(a, b) for a in names for b in names}
    assert all(related[a, b] == related[b, a] and (related[a, b] == 1) == (a == b) for a in names for b in names)
    for a, b, c in combinations(names[:12], 3):
        low, middle, _ = sorted((related[a, b], related[a, c], related[b, c]))
        assert low == middle


def test_newick_has_every_language_as_far_from_the_root_as_all_others() -> None:
    text = newick(grow(6, 2))
    assert text.endswith(");")
    names, depths = [], set[float]()
    stack: list[list[float]] = [[]]
    for token in re.findall(r"[(),;]|[a-z]+|:[\d.e-]+", text):
        if token == "(":
            stack.append([])
        elif token == ")":
            inside = stack.pop()
            depths.add(round(max(inside) - min(inside), 3))
            stack[-1].append(inside[0])
        elif token.startswith(":"):
            stack[-1][-1] += float(token[1:])
        elif token.isalpha():
            stack[-1].append(0.0)
            names.append(token)
    assert len(set(names)) == 6
    assert stack[0][0] == pytest.approx(1.0, abs=1e-3)
    assert max(depths) < 0.01


def test_closer_relatives_share_more_words() -> None:
    close: list[float] = []
    far: list[float] = []
    for seed in range(6):
        tree = grow(8, seed)
        related = relatedness(tree)
        for a, b in combinations(tree.living(), 2):
            (close if related[a.name, b.name] > 0.4 else far).append(_shared(a, b))
    assert mean(close) > 1.5 * mean(far)


def test_far_relatives_are_still_relatives() -> None:
    """Words of a language begin like words of another much more often than not."""
    for first, second in combinations(grow(8, 0).living(), 2):
        beginnings = {word[:2] for word in first.vocabulary()}
        assert mean(word[:2] in beginnings for word in second.vocabulary()) > 0.5


def test_every_family_has_more_than_one_word_order() -> None:
    for seed in range(6):
        assert len({tuple(sorted(language.order.items())) for language in grow(8, seed).living()}) > 2


def test_all_words_are_spelled_with_small_letters() -> None:
    for language in grow(40, 5).living():
        assert all(re.fullmatch("[a-z]+", word) for word in language.vocabulary())


def _shared(a: Language, b: Language) -> float:
    first, second = a.vocabulary(), b.vocabulary()
    return len(first & second) / min(len(first), len(second))
