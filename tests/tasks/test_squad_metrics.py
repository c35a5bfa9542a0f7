"""Exact match and F1 against cases worked out by hand."""

from __future__ import annotations

import pytest

from sftkit.tasks.squad_metrics import exact_match_and_f1, normalised


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("The  Battle of Hastings!", "battle of hastings"),
        ("an apple, a day", "apple day"),
        ("another theatre", "another theatre"),  # articles are whole words
        ("U.S.A", "usa"),  # punctuation goes before articles are looked for
        ("the-end", "theend"),
        ("$1,000.50", "100050"),
        ("«Ћирилица» – İ…", "«ћирилица» – i̇…"),  # only ASCII punctuation is left out
        ("A.", ""),
        (" \t\n", ""),
    ],
)
def test_texts_are_normalised_in_the_official_order(text: str, expected: str) -> None:
    assert normalised(text) == expected


@pytest.mark.parametrize(
    ("predicted", "gold", "exact", "f1"),
    [
        ("the Normans", ["Normans"], 1, 1),
        ("Normans in France", ["Normans"], 0, 0.5),  # 1 of 3 words predicted, 1 of 1 gold: 2·1/(3+1)
        ("10th and 11th", ["10th century", "in the 10th and 11th centuries"], 0, 0.75),  # 3 of 3, 3 of 5: 6/8
        ("to be to be", ["to be"], 0, 2 * 2 / 6),  # a word counts as often as both have it
        ("Paris", [], 0, 0),
        ("", [], 1, 1),
        ("", ["Paris"], 0, 0),
        ("the", [], 1, 1),  # nothing is left of it
        ("Paris", ["the", "Paris"], 1, 1),
        ("", ["the", "Paris"], 0, 0),  # a gold answer of which nothing is left does not count
        ("a", ["the"], 1, 1),
        ("B C", ["C D", "x"], 0, 0.5),
    ],
)
def test_the_best_gold_answer_counts(predicted: str, gold: list[str], exact: float, f1: float) -> None:
    assert exact_match_and_f1(predicted, gold) == pytest.approx((exact, f1))
