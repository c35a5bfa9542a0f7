"""Long sequences in overlapping windows, so that every word is seen and predicted exactly once.

Pure index arithmetic: no tokenizer, no tensors.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise


@dataclass(frozen=True, slots=True)
class Window:
    """Words ``start:end`` are fed to the model; the predictions of words ``keep_start:keep_end`` are used."""

    start: int
    end: int
    keep_start: int
    keep_end: int


def windows(lengths: Sequence[int], budget: int) -> list[Window]:
    """Cover a sentence with windows of at most ``budget`` pieces.

    Consecutive windows share about a quarter of the budget, and a shared word is kept in the window where it lies
    farther from the edge. A single word longer than the budget gets a window of its own (its pieces are then cut).

    Args:
        lengths: pieces of each word, each at least 1.
        budget: pieces that fit in a window beside the special tokens.
    """
    spans: list[tuple[int, int]] = []
    start = 0
    while start < len(lengths):
        end, used = start, 0
        while end < len(lengths) and (used + lengths[end] <= budget or end == start):
            used += lengths[end]
            end += 1
        spans.append((start, end))
        if end == len(lengths):
            break
        start = _step_back(lengths, start, end, budget // 4)
    cuts = [
        0,
        *((a_end + b_start) // 2 for (_, a_end), (b_start, _) in pairwise(spans)),
        len(lengths),
    ]
    return [Window(*span, *keep) for span, keep in zip(spans, pairwise(cuts), strict=True)]


def _step_back(lengths: Sequence[int], start: int, end: int, overlap: int) -> int:
    """Where the next window starts: ``overlap`` pieces before ``end``, but past ``start``."""
    at, used = end, 0
    while at - 1 > start and used + lengths[at - 1] <= overlap:
        at -= 1
        used += lengths[at]
    return at
