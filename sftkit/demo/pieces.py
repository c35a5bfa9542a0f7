"""A WordPiece vocabulary from word counts, the same every time.

The `tokenizers` trainer numbers pieces, and breaks ties between merges, in the order of a randomly seeded hash
table, so that two runs with one seed would differ. This one is slow and small: fit for a few hundred pieces and a
few thousand words.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from itertools import pairwise

MARKS = ".,?!"
ALPHABET = "abcdefghijklmnopqrstuvwxyz"


def learn_pieces(lines: Iterable[str], size: int) -> list[str]:
    """The pieces of a vocabulary: letters at the start of a word and within it, then merges, the most frequent first.

    Args:
        lines: text, words apart by blanks.
        size: how many pieces; never fewer than the letters and marks.
    """
    words = Counter(word for line in lines for word in line.split())
    spelled = {word: [word[0], *(f"##{letter}" for letter in word[1:])] for word in words}
    # the whole alphabet, also where the text lacks a letter, so that words of an unseen language can be spelled
    pieces = [*MARKS, *ALPHABET, *(f"##{letter}" for letter in ALPHABET)]
    while len(pieces) < size:
        pairs = _count_pairs(spelled, words)
        if not pairs:
            break
        pair = min(pairs, key=lambda pair: (-pairs[pair], pair))  # ties go to the first in the alphabet
        merged = pair[0] + pair[1].removeprefix("##")
        spelled = {word: _merge(spelling, pair, merged) for word, spelling in spelled.items()}
        if merged not in pieces:
            pieces.append(merged)
    return pieces


def _count_pairs(spelled: Mapping[str, list[str]], words: Mapping[str, int]) -> Counter[tuple[str, str]]:
    pairs: Counter[tuple[str, str]] = Counter()
    for word, spelling in spelled.items():
        for pair in pairwise(spelling):
            pairs[pair] += words[word]
    return pairs


def _merge(spelling: list[str], pair: tuple[str, str], merged: str) -> list[str]:
    result: list[str] = []
    for piece in spelling:
        if result and (result[-1], piece) == pair:
            result[-1] = merged
        else:
            result.append(piece)
    return result
