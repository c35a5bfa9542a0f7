"""Every word is fed to the model at least once and predicted exactly once."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from sftkit.tasks.windows import windows


@given(st.lists(st.integers(1, 9), min_size=1, max_size=300), st.integers(9, 40))
def test_windows_keep_every_word_once_and_fit(lengths: list[int], budget: int) -> None:
    made = windows(lengths, budget)
    assert [word for w in made for word in range(w.keep_start, w.keep_end)] == list(range(len(lengths)))
    for w in made:
        assert w.start <= w.keep_start <= w.keep_end <= w.end
        assert sum(lengths[w.start : w.end]) <= budget


def test_a_short_sentence_is_one_window() -> None:
    (only,) = windows([1, 2, 1], 10)
    assert (only.start, only.end) == (0, 3)


def test_neighbours_share_context() -> None:
    first, second = windows([1] * 12, 10)[:2]
    assert second.start < first.end


def test_a_word_longer_than_the_window_gets_one_of_its_own() -> None:
    made = windows([1, 50, 1], 10)
    assert [word for w in made for word in range(w.keep_start, w.keep_end)] == [0, 1, 2]
