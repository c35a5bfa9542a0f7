"""Sentences of words as windows of pieces, so that every word is seen and predicted exactly once.

Sentences that fit are one window; longer ones are fed in overlapping windows, however long they are.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from transformers import PreTrainedTokenizerBase

from sftkit.errors import CheckpointError
from sftkit.shown import quoted
from sftkit.tasks.windows import windows


@dataclass(frozen=True, slots=True)
class WordWindow:
    """A window of a sentence.

    Attributes:
        sentence: which sentence it is of.
        input_ids: the window's pieces, special tokens included.
        kept: the words of the sentence whose predictions are taken from this window.
        spans: for each of them its pieces, (first, end), in ``input_ids``.
    """

    sentence: int
    input_ids: list[int]
    kept: range
    spans: list[tuple[int, int]]


def word_windows(
    sentences: Sequence[Sequence[str]], tokenizer: PreTrainedTokenizerBase, max_length: int
) -> Iterator[WordWindow]:
    """Every sentence as one window or more, in order; each word is kept in exactly one of them.

    Args:
        sentences: the words of each.
        tokenizer: a fast one.
        max_length: tokens a window, special tokens included.

    Raises:
        CheckpointError: if the tokenizer has nothing for a word, not even an unknown token.
    """
    whole = tokenizer([list(words) for words in sentences], is_split_into_words=True, verbose=False)
    for i, words in enumerate(sentences):
        ids, spans = whole["input_ids"][i], _spans(whole.word_ids(i))
        if len(ids) <= max_length and len(spans) == len(words):
            yield WordWindow(i, ids, range(len(words)), [spans[word] for word in range(len(words))])
        else:
            yield from _split(i, words, tokenizer, max_length)


def _split(
    sentence: int, words: Sequence[str], tokenizer: PreTrainedTokenizerBase, max_length: int
) -> Iterator[WordWindow]:
    """A sentence that is too long for one window, or has words that the tokenizer has nothing for."""
    pieces = _pieces_per_word(words, tokenizer)
    known = [word if count else tokenizer.unk_token for word, count in zip(words, pieces, strict=True)]
    budget = max_length - tokenizer.num_special_tokens_to_add()
    for window in windows([max(1, count) for count in pieces], budget):
        encoded = tokenizer(
            known[window.start : window.end], is_split_into_words=True, truncation=True, max_length=max_length
        )
        spans = _spans(encoded.word_ids())
        kept = range(window.keep_start, window.keep_end)
        yield WordWindow(sentence, encoded["input_ids"], kept, [spans[word - window.start] for word in kept])


def _pieces_per_word(words: Sequence[str], tokenizer: PreTrainedTokenizerBase) -> list[int]:
    """Pieces of each word; 0 for a word that the tokenizer's normaliser leaves nothing of."""
    counts = [0] * len(words)
    for word in tokenizer(list(words), is_split_into_words=True, add_special_tokens=False, verbose=False).word_ids():
        if word is not None:
            counts[word] += 1
    if not all(counts) and tokenizer.unk_token is None:
        raise CheckpointError(
            f"The tokenizer has nothing for {quoted(words[counts.index(0)])}, not even an unknown token."
        )
    return counts


def _spans(word_ids: Sequence[int | None]) -> dict[int, tuple[int, int]]:
    """Word -> (first piece, end); a word's pieces stand together."""
    spans: dict[int, tuple[int, int]] = {}
    for i, word in enumerate(word_ids):
        if word is not None:
            spans[word] = (spans.get(word, (i, i))[0], i + 1)
    return spans
