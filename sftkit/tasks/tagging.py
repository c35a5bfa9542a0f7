"""``--pos``: part-of-speech tagging of CoNLL-U words, by a linear layer over each word's first piece.

Every word is trained on and scored, however long its sentence: sentences longer than the window are fed in overlapping
windows. The labels are the 17 universal tags, whatever the file happens to hold, so a tagger fits every treebank.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, ClassVar

import torch
from datasets import Dataset
from transformers import (
    AutoModelForTokenClassification,
    DataCollatorForTokenClassification,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from sftkit.errors import CheckpointError, MismatchError
from sftkit.tasks.base import Collator, Evaluator, Objective, Scores, batches_by_length, to_device
from sftkit.tasks.conllu_files import UPOS, tagged_sentences
from sftkit.tasks.sources import joined
from sftkit.tasks.windows import windows

_IGNORED = -100


class PartOfSpeech(Objective):
    """Universal part-of-speech tagging; accuracy over words."""

    name: ClassVar[str] = "pos"
    best_metric: ClassVar[str] = "accuracy"
    greater_is_better: ClassVar[bool] = True
    is_task: ClassVar[bool] = True
    labels: ClassVar[tuple[str, ...]] = UPOS
    auto_class: ClassVar[Any] = AutoModelForTokenClassification

    def read(self, sources: Sequence[str]) -> Dataset:
        """One row a sentence: ``words`` and ``tags``."""
        return joined([_rows(source) for source in sources])

    def features(self, rows: Dataset, tokenizer: PreTrainedTokenizerBase, max_length: int) -> Dataset:
        """``input_ids`` and ``labels`` of windows; a word's label stands at its first piece, -100 elsewhere."""
        encoded = encode_sentences(rows, self.labels, tokenizer, max_length)
        made = [{key: window[key] for key in ("input_ids", "labels")} for _, window in encoded]
        return Dataset.from_list(made)

    def collator(self, tokenizer: PreTrainedTokenizerBase, seed: int) -> Collator:
        """Pads inputs and labels."""
        del seed
        collate: Collator = DataCollatorForTokenClassification(tokenizer)
        return collate

    def evaluator(self, rows: Dataset, tokenizer: PreTrainedTokenizerBase, max_length: int, seed: int) -> Evaluator:
        """Scores the share of words that get their tag."""
        del seed
        return TagEvaluator(rows, self.labels, tokenizer, max_length)


class TagEvaluator(Evaluator):
    """Accuracy over all words of all sentences."""

    def __init__(
        self, rows: Dataset, labels: Sequence[str], tokenizer: PreTrainedTokenizerBase, max_length: int
    ) -> None:
        self.examples = len(rows)
        self._labels = tuple(labels)
        self._tags: list[list[str]] = rows["tags"][:]
        self._pad = DataCollatorForTokenClassification(tokenizer)
        encoded = encode_sentences(rows, self._labels, tokenizer, max_length)
        self._windows = [{"sentence": sentence, **window} for sentence, window in encoded]

    def __call__(self, model: PreTrainedModel, batch_size: int) -> Scores:
        """Accuracy as a share."""
        predicted = self.predict(model, batch_size)
        right = sum(p == t for ps, ts in zip(predicted, self._tags, strict=True) for p, t in zip(ps, ts, strict=True))
        return Scores({"accuracy": right / sum(len(tags) for tags in self._tags)}, self.examples)

    def predict(self, model: PreTrainedModel, batch_size: int) -> list[list[str]]:
        """The model's tag for every word of every sentence."""
        names = model_labels(model, self._labels)
        result = [[""] * len(tags) for tags in self._tags]
        for indices in batches_by_length([len(w["input_ids"]) for w in self._windows], batch_size):
            chosen = [self._windows[i] for i in indices]
            batch = dict(self._pad([{key: w[key] for key in ("input_ids", "labels")} for w in chosen]))
            del batch["labels"]
            with torch.no_grad():
                best = model(**to_device(batch, model)).logits.argmax(-1).cpu().numpy()
            for row, window in zip(best, chosen, strict=True):
                _fill(result[window["sentence"]], window, row, names)
        return result


def model_labels(model: PreTrainedModel, wanted: Sequence[str]) -> list[str]:
    """The model's labels by index.

    Raises:
        MismatchError: if the model was not trained on these labels.
    """
    names = model.config.id2label or {}
    have = [str(name) for _, name in sorted(names.items())]
    missing = sorted(set(wanted) - set(have))
    if missing:
        raise MismatchError(
            f"The model's head has the labels {', '.join(have[:6])}{', …' if len(have) > 6 else ''}; "
            f"part-of-speech tagging needs {', '.join(missing[:6])} too. Was it trained for tagging (--pos)?"
        )
    return have


def encode_sentences(
    rows: Dataset, labels: Sequence[str], tokenizer: PreTrainedTokenizerBase, max_length: int
) -> Iterator[tuple[int, dict[str, Any]]]:
    """Every sentence as one window or more.

    Args:
        rows: ``words`` and ``tags``.
        labels: what a label's index stands for.
        tokenizer: a fast one.
        max_length: tokens a window, special tokens included.

    Yields:
        The sentence's index, and a window: ``input_ids``; ``labels``; ``first`` (index of each kept word's first
        piece); ``words`` (their places in the sentence). A kept word's label stands at its first piece, -100 everywhere
        else.
    """
    all_words, all_tags = rows["words"][:], rows["tags"][:]
    whole = tokenizer(all_words, is_split_into_words=True, verbose=False)
    for i, (words, tags) in enumerate(zip(all_words, all_tags, strict=True)):
        ids, first = whole["input_ids"][i], _first_pieces(whole.word_ids(i))
        if len(ids) <= max_length and len(first) == len(words):
            yield i, _window(ids, [first[word] for word in range(len(words))], range(len(words)), tags, labels)
        else:
            for window in _split(words, tags, labels, tokenizer, max_length):
                yield i, window


def _split(
    words: Sequence[str],
    tags: Sequence[str],
    labels: Sequence[str],
    tokenizer: PreTrainedTokenizerBase,
    max_length: int,
) -> Iterator[dict[str, Any]]:
    """A sentence that is too long for one window, or has words that the tokenizer has nothing for."""
    pieces = _pieces_per_word(words, tokenizer)
    known = [word if count else tokenizer.unk_token for word, count in zip(words, pieces, strict=True)]
    budget = max_length - tokenizer.num_special_tokens_to_add()
    for window in windows([max(1, count) for count in pieces], budget):
        encoded = tokenizer(
            known[window.start : window.end], is_split_into_words=True, truncation=True, max_length=max_length
        )
        first = _first_pieces(encoded.word_ids())
        kept = range(window.keep_start, window.keep_end)
        yield _window(encoded["input_ids"], [first[word - window.start] for word in kept], kept, tags, labels)


def _window(
    ids: list[int], first: list[int], kept: range, tags: Sequence[str], labels: Sequence[str]
) -> dict[str, Any]:
    marks = [_IGNORED] * len(ids)
    for at, word in zip(first, kept, strict=True):
        marks[at] = labels.index(tags[word])
    return {"input_ids": ids, "labels": marks, "first": first, "words": list(kept)}


def _pieces_per_word(words: Sequence[str], tokenizer: PreTrainedTokenizerBase) -> list[int]:
    """Pieces of each word; 0 for a word that the tokenizer's normaliser leaves nothing of."""
    counts = [0] * len(words)
    for word in tokenizer(list(words), is_split_into_words=True, add_special_tokens=False, verbose=False).word_ids():
        if word is not None:
            counts[word] += 1
    if not all(counts) and tokenizer.unk_token is None:
        raise CheckpointError(f"The tokenizer has nothing for {words[counts.index(0)]!r}, not even an unknown token.")
    return counts


def _first_pieces(word_ids: Sequence[int | None]) -> dict[int, int]:
    first: dict[int, int] = {}
    for i, word in enumerate(word_ids):
        if word is not None:
            first.setdefault(word, i)
    return first


def _fill(sentence: list[str], window: dict[str, Any], best: Any, names: Sequence[str]) -> None:
    for word, at in zip(window["words"], window["first"], strict=True):
        sentence[word] = names[int(best[at])]


def _rows(source: str) -> Dataset:
    sentences = [{"words": words, "tags": tags} for words, tags in tagged_sentences(source)]
    return Dataset.from_list(sentences)
