"""A look at data before hours of training: how much there is, of which labels, how it is cut, and what is suspicious.

Reads as training and scoring read, with a tokenizer but without a model. What it finds are counts and notes; what is
wrong for certain is an error of the readers. Not covered: annotation that is read rightly and is wrong.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import numpy as np
import xxhash
from transformers import PreTrainedTokenizerBase

from sftkit.tasks.base import Objective, shortened
from sftkit.tasks.corpora.text import Corpus
from sftkit.tasks.corpora.tokens import Encoder, Tokens
from sftkit.tasks.options import TaskOptions
from sftkit.tasks.readers.conllu import universal
from sftkit.tasks.readers.sources import Reading, nobody
from sftkit.tasks.readers.tag_schemes import OUTSIDE
from sftkit.tasks.registry import objective_of

_BATCH, _PAGE = 1000, 1 << 20  # examples, tokens
#: Labels of fewer examples are hardly learned; shares above which something is told.
FEW, UNKNOWN, TWICE, NUMBERS = 10, 0.01, 0.01, 0.5
_MOST_CLASSES = 20


@dataclass
class Part:
    """What there is of training, development or test data.

    Attributes:
        data: the sources.
        examples: sentences, lines, pairs or questions.
        words: of all of them, as the data has them, or parted by white space.
        longest: words of the longest.
        labels: how often each stands there: words with a tag, entities of a type, examples of a class.
        pieces: tokens of all examples, special ones left out; None without a tokenizer.
        unknown: how many of them are the unknown token.
        over: examples that are longer than a window.
        windows: of text, and tokens of all of them, special ones and those between lines included; None of tasks.
        numbers: words that are numbers.
        seen: hash of what a model would be fed -> examples that have it; about 100 bytes each.
        right: the same hash -> hash of what is right for the first of them.
        disputed: hashes of those for which different things are right.
    """

    data: tuple[str, ...]
    examples: int = 0
    words: int = 0
    longest: int = 0
    labels: Counter[str] = field(default_factory=Counter)
    pieces: int | None = None
    unknown: int = 0
    over: int = 0
    windows: tuple[int, int] | None = None
    numbers: int = 0
    seen: Counter[int] = field(default_factory=Counter)
    right: dict[int, int] = field(default_factory=dict)
    disputed: set[int] = field(default_factory=set)

    @property
    def twice(self) -> int:
        """Examples that an earlier one is the same as, whatever their labels."""
        return self.examples - len(self.seen)

    def document(self) -> dict[str, Any]:
        """What ``--json`` says of it."""
        made: dict[str, Any] = {
            "data": list(self.data), "examples": self.examples, "words": self.words, "longest": self.longest,
            "labels": dict(self.labels.most_common()), "duplicates": self.twice, "contradictions": len(self.disputed),
        }  # fmt: skip
        if self.pieces is not None:
            made |= {"pieces": self.pieces, "unknown_pieces": self.unknown, "longer_than_window": self.over}
        if self.windows is not None:
            made |= dict(zip(("windows", "tokens"), self.windows, strict=True))
        return made


@dataclass(frozen=True)
class Look:
    """What was found.

    Attributes:
        objective: what the data is for.
        parts: "train", "dev" and "test" -> what there is of it.
        shared: parts other than "train" -> examples of them whose input is in the training data, too.
        window: tokens a window, special ones included.
        notes: what is suspicious.
    """

    objective: str
    parts: Mapping[str, Part]
    shared: Mapping[str, int]
    window: int
    notes: tuple[str, ...]

    def document(self) -> dict[str, Any]:
        """The document that ``sftkit data --json`` prints."""
        return {
            "objective": self.objective,
            "window": self.window,
            "parts": {name: part.document() for name, part in self.parts.items()},
            "in_training_data": dict(self.shared),
            "notes": list(self.notes),
        }


def look_at(
    name: str,
    data: Mapping[str, Sequence[str]],
    options: TaskOptions,
    tokenizer: PreTrainedTokenizerBase | None = None,
    window: int = 256,
    reading: Reading = nobody,
) -> Look:
    """Read data and count what is in it.

    Args:
        name: of the objective.
        data: "train", and perhaps "dev" and "test" -> their sources.
        options: what is said about the data.
        tokenizer: of the base; None: pieces are not counted.
        window: tokens a window, special ones included.
        reading: told how far the reading of a long text is.

    Raises:
        DataError: if some of it cannot be read.
    """
    objective = objective_of(name, options)
    objective.watch = reading
    parts = {key: _part(objective, sources, tokenizer, window) for key, sources in data.items()}
    train = parts["train"].seen
    shared = {
        key: sum(count for place, count in part.seen.items() if place in train)
        for key, part in parts.items()
        if key != "train"
    }
    notes = (*objective.reading_notes(), *_suspicions(objective, parts, shared))
    return Look(name, parts, shared, window, notes)


_NO_LABEL = "no label"
#: What a model is fed, and what of it is right.
_Example = tuple[tuple[str, ...], str]


def _part(objective: Objective, sources: Sequence[str], tokenizer: PreTrainedTokenizerBase | None, window: int) -> Part:
    part = Part(tuple(sources), pieces=0 if tokenizer is not None else None)
    rows = objective.read(list(sources))
    examples = examples_of(objective, rows, part.labels)
    while batch := list(islice(examples, _BATCH)):
        for texts, right in batch:
            words = list(texts) if objective.takes_words else [word for text in texts for word in text.split()]
            part.examples += 1
            part.words += len(words)
            part.numbers += sum(map(str.isdecimal, words))
            part.longest = max(part.longest, len(words))
            place = _hash("\0".join(texts))
            part.seen[place] += 1
            if right and part.right.setdefault(place, _hash(right)) != _hash(right):
                part.disputed.add(place)
        if tokenizer is not None and objective.is_task:
            count_pieces(part, objective, [texts for texts, _ in batch], tokenizer, window)
    if tokenizer is not None and not objective.is_task:
        _count_windows(part, objective, rows, tokenizer, window)
    return part


def _hash(text: str) -> int:
    return xxhash.xxh3_64_intdigest(text.encode())


def count_pieces(
    part: Part,
    objective: Objective,
    batch: Sequence[tuple[str, ...]],
    tokenizer: PreTrainedTokenizerBase,
    window: int,
) -> None:
    """Add up the pieces of examples, the unknown ones, and examples that are longer than a window."""
    if objective.takes_words:
        found = tokenizer([list(words) for words in batch], is_split_into_words=True, add_special_tokens=False,
                          verbose=False)["input_ids"]  # fmt: skip
    else:
        columns = [list(texts) for texts in zip(*batch, strict=True)]
        found = tokenizer(*columns, add_special_tokens=False, verbose=False)["input_ids"]
    special = tokenizer.num_special_tokens_to_add(pair=not objective.takes_words and len(batch[0]) == 2)
    part.pieces = (part.pieces or 0) + sum(map(len, found))
    part.over += sum(len(ids) + special > window for ids in found)
    if tokenizer.unk_token_id is not None:
        part.unknown += sum(ids.count(tokenizer.unk_token_id) for ids in found)


def _count_windows(
    part: Part, objective: Objective, rows: Corpus, tokenizer: PreTrainedTokenizerBase, window: int
) -> None:
    """As a run of training or scoring has them; the tokens that are kept for it are looked through."""
    found: Any = objective.features(rows, tokenizer, window)
    part.windows, encoder = (len(found), found.tokens), Encoder(tokenizer)
    around = len(encoder.before) + len(encoder.after)
    for text in rows.parts:
        tokens = Tokens(text.lines, encoder)
        lengths = np.diff(tokens.ends(0, tokens.lines))
        lengths[lengths > 0] -= tokens.separators
        part.pieces = (part.pieces or 0) + int(lengths.sum())
        part.over += int((lengths + around > window).sum())
        for start in range(0, tokens.total() if tokenizer.unk_token_id is not None else 0, _PAGE):
            page = tokens.read(start, min(start + _PAGE, tokens.total()))
            part.unknown += int((page == tokenizer.unk_token_id).sum())


def examples_of(objective: Objective, rows: Any, labels: Counter[str]) -> Iterator[_Example]:
    """What each example is; counts its labels on the way."""
    if not objective.is_task:
        for text in rows.parts:
            line = ""
            for piece in (piece for batch in text.lines.batches() for piece in batch):
                line += piece.text
                if piece.ends:
                    yield (line,), ""
                    line = ""
        return
    for row in rows:
        texts, own = _of_row(objective, row)
        labels.update(own)
        known = [label for label in own if label != _NO_LABEL]
        yield texts, "\0".join(map(str, row["tags"] if "tags" in row else [*row.get("heads", ()), *known]))


def _of_row(objective: Objective, row: Mapping[str, Any]) -> tuple[tuple[str, ...], list[str]]:
    """(what a model is fed, labels) of a row of any task."""
    if "relations" in row:
        return tuple(row["words"]), [name if objective.options.subtypes else universal(name) for name in
                                     row["relations"]]  # fmt: skip
    if objective.name == "ner":
        begun = [tag[2:] for before, tag in zip([OUTSIDE, *row["tags"]], row["tags"], strict=False)
                 if tag[0] == "B" or (tag[0] == "I" and before[1:] != tag[1:])]  # fmt: skip
        return tuple(row["words"]), begun
    if "tags" in row:
        return tuple(row["words"]), row["tags"]
    if "question" in row:
        kind = "not known" if row["texts"] is None else "answer" if row["texts"] else "no answer"
        return (row["question"], row["context"]), [kind]
    return tuple(row["texts"]), [_NO_LABEL if row["label"] is None else row["label"]]


def _suspicions(objective: Objective, parts: Mapping[str, Part], shared: Mapping[str, int]) -> Iterator[str]:
    train = parts["train"]
    yield from _of_training(objective, train)
    for name, part in parts.items():
        new = sorted(set(part.labels) - set(train.labels))
        if new:
            yield f"{name}: labels that are not in the training data: {shortened(new, 12)}."
        if part.twice > TWICE * part.examples:
            yield f"{name}: the same as an earlier example: {part.twice:,} of {part.examples:,}."
        if shared.get(name, 0) > TWICE * part.examples:
            yield f"{name}: in the training data, too: {shared[name]:,} of {part.examples:,} examples."
        if part.disputed:
            yield f"{name}: texts that are there several times with different labels: {len(part.disputed):,}."
        if part.unknown > UNKNOWN * (part.pieces or 0):
            yield f"{name}: pieces that the tokenizer does not know: {100 * part.unknown / (part.pieces or 1):.1f} %."
        if objective.takes_words and part.numbers > NUMBERS * part.words:
            yield f"{name}: words that are numbers: {part.numbers:,} of {part.words:,}. Are they the words (--columns)?"


def _of_training(objective: Objective, train: Part) -> Iterator[str]:
    rare = [label for label, count in train.labels.items() if count < FEW]
    if rare and objective.name != "qa":
        yield f"train: labels that stand there fewer than {FEW} times: {shortened(sorted(rare), 12)}."
    if objective.name in ("nli", "classify") and len(train.labels) > max(_MOST_CLASSES, train.examples / 2):
        yield (
            f"train: different labels: {len(train.labels):,} of {train.examples:,} examples. Are they the labels "
            "(--columns)?"
        )
    if objective.name == "ner" and not train.labels:
        yield "train: there is no entity."
