"""What every objective offers to training and evaluation.

Rows are a ``datasets.Dataset`` of raw examples; features are what a model is fed. Scores never depend on the batch
size.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol, runtime_checkable

import torch
from datasets import Dataset
from transformers import PreTrainedModel, PreTrainedTokenizerBase

Metrics = dict[str, float]
Collator = Callable[[list[dict[str, Any]]], dict[str, torch.Tensor]]


@runtime_checkable
class DrawsByEpoch(Protocol):
    """A collator that draws something anew in each epoch, as a function of the epoch and the example alone.

    So the order of the examples, the batches that they come in and the process that makes them do not matter, and a run
    that goes on in the middle of an epoch draws what it would have drawn.
    """

    epoch: int


@dataclass(frozen=True)
class Scores:
    """What an evaluation found: the metrics by name, and how many examples (sentences, lines) they are of."""

    metrics: Metrics
    examples: int


class Evaluator(ABC):
    """Scores models on one fixed set of examples, prepared once."""

    examples: int

    @abstractmethod
    def __call__(self, model: PreTrainedModel, batch_size: int) -> Scores:
        """Score a model as it stands, on the device where it is."""


class Objective(ABC):
    """One of the things that sftkit trains for and scores."""

    name: ClassVar[str]
    best_metric: ClassVar[str]
    greater_is_better: ClassVar[bool]
    is_task: ClassVar[bool]
    labels: ClassVar[tuple[str, ...]] = ()
    #: Whether its models divide the loss by the number of labels that an optimizer step has in all its batches.
    model_counts: ClassVar[bool] = False
    auto_class: ClassVar[Any]

    @abstractmethod
    def read(self, sources: Sequence[str]) -> Dataset:
        """Raw rows of all sources, one after the other.

        Raises:
            DataError: if a source is missing, empty or malformed; names the line.
        """

    @abstractmethod
    def features(self, rows: Dataset, tokenizer: PreTrainedTokenizerBase, max_length: int) -> Dataset:
        """What training feeds to the model."""

    @abstractmethod
    def collator(self, tokenizer: PreTrainedTokenizerBase, seed: int) -> Collator:
        """Turns a list of training features into a batch of tensors."""

    @abstractmethod
    def evaluator(self, rows: Dataset, tokenizer: PreTrainedTokenizerBase, max_length: int, seed: int) -> Evaluator:
        """Prepares the scoring of these rows."""

    def config(self) -> dict[str, Any]:
        """Changes to the model's config: the labels, where there are any."""
        if not self.labels:
            return {}
        return {
            "num_labels": len(self.labels),
            "id2label": dict(enumerate(self.labels)),
            "label2id": {label: i for i, label in enumerate(self.labels)},
        }


def batches_by_length(lengths: Sequence[int], batch_size: int) -> Iterator[list[int]]:
    """Indices in batches of similar length, longest first, so that little is padded and memory peaks at the start."""
    order = sorted(range(len(lengths)), key=lambda i: (-lengths[i], i))
    for start in range(0, len(order), batch_size):
        yield order[start : start + batch_size]


def to_device(batch: dict[str, torch.Tensor], model: PreTrainedModel) -> dict[str, torch.Tensor]:
    """The batch on the model's device."""
    return {key: tensor.to(model.device) for key, tensor in batch.items()}
