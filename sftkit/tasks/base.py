"""What every objective offers to training and evaluation.

Rows are raw examples (a ``datasets.Dataset``, or a language's text); features are what a model is fed. Scores never
depend on the batch size.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from copy import copy
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from datasets import Dataset
from torch import nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from sftkit.errors import MismatchError, SettingsError
from sftkit.modeling.labelled import only_rows
from sftkit.shown import brief, meant
from sftkit.tasks.evaluator import Evaluator
from sftkit.tasks.options import NO_OPTIONS, TaskOptions
from sftkit.tasks.readers.sources import Reading, joined, nobody, number_held_out

if TYPE_CHECKING:
    from typing_extensions import Self

Collator = Callable[[list[dict[str, Any]]], dict[str, torch.Tensor]]

#: The label of what has none, in torch's cross-entropy.
IGNORED = -100
#: The key of a language model's batch that says where its labels are.
ROWS = "rows"


def mean_over_labels(outputs: Any, labels: torch.Tensor, num_items_in_batch: torch.Tensor | None = None) -> Any:
    """Cross-entropy, the mean over all labels of an optimizer step, whatever batches and processes they came in.

    The mean of each batch's mean, which models give, would weigh a label by how few others came with it.
    """
    total = nn.functional.cross_entropy(
        outputs.logits.flatten(0, -2).float(), labels.flatten(), ignore_index=IGNORED, reduction="sum"
    )
    return total / (num_items_in_batch if num_items_in_batch is not None else (labels != IGNORED).sum())


class Objective(ABC):
    """One of the things that sftkit trains for and scores.

    Its labels are fixed, or learned from the training data (:meth:`labels_in`), or a trained model's
    (:meth:`for_model`): the latter two give a new objective.
    """

    name: ClassVar[str]
    #: What it is called in a sentence.
    title: ClassVar[str]
    best_metric: ClassVar[str]
    greater_is_better: ClassVar[bool]
    is_task: ClassVar[bool]
    #: Whether the tokenizer is given single words.
    takes_words: ClassVar[bool] = False
    #: Whether its models have labels.
    labelled: ClassVar[bool] = False
    #: Labels that are the same for all data; none: they are learned from it.
    fixed_labels: ClassVar[tuple[str, ...]] = ()
    #: Whether data that is scored may have labels that were not learned: they count as wrong.
    new_labels: ClassVar[bool] = False
    #: The Trainer's loss function; None where the model itself divides its loss by the labels of a whole step.
    loss: ClassVar[Callable[..., Any] | None] = staticmethod(mean_over_labels)
    auto_class: ClassVar[Any]

    def __init__(self, options: TaskOptions = NO_OPTIONS) -> None:
        self.options = options
        self.labels = self.fixed_labels
        #: Labels in the data that was read so far, before any was taken for another.
        self.labels_read: set[str] = set()
        #: What the user may want to know of how the data was read so far; a dictionary for its order.
        self.told: dict[str, None] = {}
        #: Told how far the reading of long text is.
        self.watch: Reading = nobody

    @abstractmethod
    def read(self, sources: Sequence[str]) -> Any:
        """Raw rows of all sources, one after the other; something that has a length.

        Raises:
            DataError: if a source is missing, empty or malformed; names the line.
        """

    def reading_notes(self) -> tuple[str, ...]:
        """What the user may want to know of what was read, and of labels to be taken for others that are not there."""
        there = shortened(sorted(self.labels_read), 12)
        missing = (
            f"--map-label {old}={new}: there is no label {old} in the data, only {there}.{meant(old, self.labels_read)}"
            for old, new in self.options.map_label
            if old not in self.labels_read
        )
        return (*self.told, *missing)

    def joined(self, parts: Sequence[Any]) -> Any:
        """The rows of several readings, one after the other."""
        return joined(parts)

    def held_out(self, rows: Any, share: float, seed: int, source: str) -> tuple[Any, Any]:
        """(training, held-out) rows: a random share, at least one row each, at most ``MOST_HELD_OUT``.

        Raises:
            DataError: if there are fewer than two rows.
        """
        parts = rows.train_test_split(test_size=number_held_out(len(rows), share, source), seed=seed, shuffle=True)
        return parts["train"], parts["test"]

    @abstractmethod
    def features(self, rows: Dataset, tokenizer: PreTrainedTokenizerBase, max_length: int) -> Dataset:
        """What training feeds to the model."""

    def remarks(self, rows: Dataset, features: Dataset) -> tuple[str, ...]:
        """What the user may want to know of features that were made of rows; nothing by default."""
        del rows, features
        return ()

    def tokens(self, features: Any) -> int:
        """Real tokens in all of them, special ones included."""
        count = 0
        for ids in features.select_columns("input_ids").with_format("arrow")[:]["input_ids"].chunks:
            while hasattr(ids.type, "value_type"):  # a list; a parser's are lists of windows
                ids = ids.flatten()
            count += len(ids)
        return count

    @abstractmethod
    def collator(self, tokenizer: PreTrainedTokenizerBase, seed: int) -> Collator:
        """Turns a list of training features into a batch of tensors."""

    @abstractmethod
    def evaluator(self, rows: Dataset, tokenizer: PreTrainedTokenizerBase, max_length: int, seed: int) -> Evaluator:
        """Prepares the scoring of these rows."""

    def labels_in(self, rows: Dataset) -> tuple[str, ...]:
        """The labels that a model trained on these rows has; by default the fixed ones."""
        del rows
        return self.fixed_labels

    def with_labels(self, labels: Sequence[str]) -> Self:
        """The same objective for a model with these labels, in the order of its outputs."""
        made = copy(self)
        made.labels = tuple(labels)
        return made

    def for_model(self, model: PreTrainedModel) -> Self:
        """The same objective with a model's own labels, where it has labels.

        Raises:
            MismatchError: if the model was not trained for it.
        """
        if not self.labelled:
            return self
        have = [str(name) for _, name in sorted((model.config.id2label or {}).items())]
        missing = sorted(set(self.fixed_labels) - set(have))
        if missing:
            raise MismatchError(
                f"The model's head has the labels {shortened(have)}; {self.title} needs {shortened(missing)} too. "
                f"Was it trained with --{self.name}?"
            )
        return self.with_labels(have)

    def check_labels(self, rows: Dataset, sources: Sequence[str]) -> None:
        """See that all labels in the rows are among the objective's, unless there may be others.

        Raises:
            MismatchError: naming the data, a label, and what to do.
        """
        unknown = sorted(set(self.labels_in(rows)) - set(self.labels))
        if unknown and not self.new_labels:
            raise MismatchError(
                f"{', '.join(sources)}: not among the labels that were learned ({shortened(self.labels)}): "
                f"{shortened(unknown, 3)}.{meant(unknown[0], self.labels)} {self.mending(unknown[0])}"
            )

    def mending(self, label: str) -> str:
        """What to do about a label that was not learned."""
        return f"Give it another name with --map-label {label}={self.labels[0]}, or take it out of the data."

    def write_predictions(self, source: str, predicted: Sequence[Any], path: Path) -> None:
        """Write what a model said of a source's rows, in the source's own format, to a new file.

        Raises:
            SettingsError: if the objective predicts nothing that could be written.
        """
        del source, predicted, path
        raise SettingsError(f"--predictions: --{self.name} predicts nothing to be written.")

    def config(self) -> dict[str, Any]:
        """Changes to the model's config: the labels, where there are any."""
        if not self.labels:
            return {}
        return {
            "num_labels": len(self.labels),
            "id2label": dict(enumerate(self.labels)),
            "label2id": {label: i for i, label in enumerate(self.labels)},
        }


def shortened(names: Sequence[str], most: int = 6) -> str:
    """The first names of a list, each cut where it is long."""
    return ", ".join(map(brief, names[:most])) + (", …" if len(names) > most else "")


def with_rows(batch: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """A batch of ``labels``, int64 ``[windows, length]``, and the flat places of those that there are: int64 ``[n]``.

    Made where batches are made, on the CPU: to count them on a GPU would make everyone wait for it.
    """
    return {**batch, ROWS: torch.nonzero(batch["labels"].flatten() != IGNORED).flatten()}


def loss_by_window(model: PreTrainedModel, batch: dict[str, torch.Tensor]) -> list[tuple[float, int]]:
    """(cross-entropy summed over a window's labels, how many they are), in nats.

    Args:
        model: a language model.
        batch: what :func:`with_rows` gives, beside the model's inputs.
    """
    batch = to_device(batch, model)
    labels, rows = batch.pop("labels"), batch.pop(ROWS)
    with torch.no_grad(), only_rows(model, rows, labels.shape):
        logits = model(**batch).logits.float()
    losses = nn.functional.cross_entropy(logits, labels.flatten()[rows], reduction="none").double()
    windows = rows // labels.shape[1]
    total = torch.zeros(len(labels), dtype=torch.float64, device=losses.device).index_add_(0, windows, losses)
    return list(zip(total.tolist(), torch.bincount(windows, minlength=len(labels)).tolist(), strict=True))


def to_device(batch: dict[str, torch.Tensor], model: PreTrainedModel) -> dict[str, torch.Tensor]:
    """The batch on the model's device."""
    return {key: tensor.to(model.device) for key, tensor in batch.items()}
