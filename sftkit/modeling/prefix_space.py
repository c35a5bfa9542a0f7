"""Tokenizers that are given single words: each must become the pieces that it is in running text, after a space.

Byte-level and SentencePiece tokenizers mark in a word's first piece that a space precedes it. Given words, many do so
for none of them (those of ModernBERT, Llama 3, Qwen, Gemma), and what was learned of a word's beginning in pretraining
is lost. Which ones is seen from the pieces, since what a tokenizer says of itself (``add_prefix_space``) need not be
what it does.
"""

from __future__ import annotations

from tokenizers import normalizers
from transformers import PreTrainedTokenizerBase

#: Letters, digits, both, a word in parts, punctuation, and letters of more bytes than one.
_PROBES = ("a", "the", "Ta", "12", "x1", "don't", ".", "é", "дом", "人")


def put_space_before_words(tokenizer: PreTrainedTokenizerBase) -> None:
    """Make a tokenizer that is given words turn them into the pieces of running text, where it does not.

    A space before each word is what makes up for it, put there by the normaliser, before whatever splits words: behind
    that it would stand before every part of a word, too. Done in place.

    Args:
        tokenizer: a fast one. Unchanged if it is right, or no better with the space.
    """
    wanted = [_in_text(tokenizer, word) for word in _PROBES]
    backend = tokenizer.backend_tokenizer
    present, space = backend.normalizer, normalizers.Prepend(" ")
    # a normaliser that replaces spaces must see it; one that strips them must not
    choices = [present, *(normalizers.Sequence(each) for each in
                          ([[space]] if present is None else [[space, present], [present, space]]))]  # fmt: skip
    right = []
    for choice in choices:
        backend.normalizer = choice
        right.append(sum(_given(tokenizer, word) == 2 * ids for word, ids in zip(_PROBES, wanted, strict=True)))
    backend.normalizer = choices[right.index(max(right))]


def _in_text(tokenizer: PreTrainedTokenizerBase, word: str) -> list[int]:
    """The pieces of a word after another."""
    found = tokenizer(f"{word} {word}", add_special_tokens=False, return_offsets_mapping=True)
    return [i for i, (start, _) in zip(found["input_ids"], found["offset_mapping"], strict=True) if start >= len(word)]


def _given(tokenizer: PreTrainedTokenizerBase, word: str) -> list[int]:
    ids: list[int] = tokenizer([word, word], is_split_into_words=True, add_special_tokens=False)["input_ids"]
    return ids
