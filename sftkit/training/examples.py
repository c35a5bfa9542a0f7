"""What a run learns from and is scored on: read, split, labelled, and as features."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from operator import mul
from typing import Any

from torch.utils.data import ConcatDataset
from transformers import PreTrainedTokenizerBase

from sftkit.tasks.base import Objective
from sftkit.tasks.evaluator import Evaluator
from sftkit.tasks.readers.sources import FEW_HELD_OUT
from sftkit.tasks.unknown import unknown_pieces
from sftkit.training.engine.order import Order, shares
from sftkit.training.engine.ranks import world
from sftkit.training.length import Length
from sftkit.training.observer import Observer
from sftkit.training.settings import Settings


@dataclass(frozen=True)
class Examples:
    """Rows as they were read.

    Attributes:
        objective: with the labels of the rows.
        names: of the sources.
        train: rows of each source.
        dev: rows to choose the best step on: of each source, or of all together.
    """

    objective: Objective
    names: list[str]
    train: list[Any]
    dev: list[Any]


def read_examples(settings: Settings, objective: Objective, observer: Observer) -> Examples:
    """Read the sources, and hold some rows out where none are given to choose the best step on.

    Raises:
        SftkitError: of the kind that fits, if they cannot be read or their labels do not go together.
    """
    observer.loading("data")
    names = [*settings.data, *(source.data for source in settings.sources)]
    rows = [objective.read([name]) for name in names]
    if settings.dev:
        dev = [objective.read(settings.dev)]
    else:
        split = [
            objective.held_out(each, settings.held_out, settings.seed, name)
            for each, name in zip(rows, names, strict=True)
        ]
        rows, dev = [training for training, _ in split], [held_out for _, held_out in split]
    apart = settings.dev or objective.new_labels
    labelled = objective.with_labels(objective.labels_in(objective.joined(rows if apart else [*rows, *dev])))
    labelled.check_labels(objective.joined(dev), settings.dev or names)
    for text in labelled.reading_notes():
        observer.note(text)
    # under an SFT each, sources are scored one by one
    return Examples(labelled, names, rows, dev if settings.sources else [objective.joined(dev)])


@dataclass(frozen=True)
class TrainingData:
    """What a model is fed.

    Attributes:
        objective: with its labels.
        tokenizer: the base's.
        max_length: tokens a sequence, as it is in force.
        features: of all sources, one after the other.
        order: in which they are drawn.
        evaluators: of each part of the held-out data.
        examples: how many are learned from; of plain text, windows.
    """

    objective: Objective
    tokenizer: PreTrainedTokenizerBase
    max_length: int
    features: ConcatDataset[dict[str, Any]]
    order: Order
    evaluators: list[Evaluator]
    examples: int

    def steps(self, length: Length, settings: Settings) -> int:
        """Optimizer steps of a phase of this length."""
        return length.total(-(-len(self.order) // per_step(settings)))

    def tokens_per_step(self, settings: Settings) -> int:
        """Real tokens an optimizer step, on average: each source's mean, as often as it is drawn."""
        counts = map(self.objective.tokens, self.features.datasets)
        means = [count / size for count, size in zip(counts, self.order.sizes, strict=True)]
        drawn = shares(self.order.sizes, settings.temperature)
        return round(sum(map(mul, means, drawn), 0.0) / sum(drawn) * per_step(settings))


def per_step(settings: Settings) -> int:
    """Examples an optimizer step, of all processes."""
    return settings.batch_size * settings.accumulate * world()


def featured(
    settings: Settings, rows: Examples, tokenizer: PreTrainedTokenizerBase, longest: int, observer: Observer
) -> TrainingData:
    """Make features of rows.

    Args:
        settings: the run's.
        rows: what was read.
        tokenizer: the base's.
        longest: tokens that the base takes.
        observer: is told what is worth telling.
    """
    observer.loading("features")
    objective, length = rows.objective, min(settings.max_length, longest)
    if length < settings.max_length:
        observer.note(
            f"the base takes no more than {length:,} tokens: {length:,} is used in place of "
            f"--max-length {settings.max_length}"
        )
    parts = [objective.features(each, tokenizer, length) for each in rows.train]
    features: ConcatDataset[dict[str, Any]] = ConcatDataset(parts)
    block = settings.batch_size if settings.sources and len(parts) > 1 else 1
    order = Order([len(part) for part in parts], settings.seed, settings.temperature, block)
    evaluators = [objective.evaluator(each, tokenizer, length, settings.seed) for each in rows.dev]
    for text in _remarks(settings, rows, parts, evaluators, tokenizer):
        observer.note(text)
    examples = sum(map(len, rows.train)) if objective.is_task else len(features)
    return TrainingData(objective, tokenizer, length, features, order, evaluators, examples)


def _remarks(
    settings: Settings,
    rows: Examples,
    parts: list[Any],
    evaluators: list[Evaluator],
    tokenizer: PreTrainedTokenizerBase,
) -> Iterator[str]:
    for name, each, part in zip(rows.names, rows.train, parts, strict=True):
        for text in rows.objective.remarks(each, part):
            yield f"{name}: {text}"
        if text := unknown_pieces(rows.objective, each, tokenizer):
            yield f"{name}: {text}"
    for evaluator in evaluators:
        for text in evaluator.notes:
            yield f"held-out data: {text}"
    held_out = sum(map(len, rows.dev))  # known now, of text, too
    if not settings.dev and held_out < FEW_HELD_OUT:
        what = "examples" if rows.objective.is_task else "lines"
        yield f"{what} held out to choose the best step on: {held_out}, too few to choose well. Give --dev FILE."
