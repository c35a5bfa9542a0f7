"""Scoring a model on one fixed set of examples: what every objective's evaluator does, and what comes of it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from transformers import PreTrainedModel

from sftkit.errors import SettingsError
from sftkit.tasks.tally import Tally

Metrics = dict[str, float]

#: This process's number, how many there are, and what gives the parts of all, one of each.
Sharing = tuple[int, int, Callable[[dict[int, Any]], Sequence[dict[int, Any]]]]


@dataclass(frozen=True)
class Scores:
    """What an evaluation found.

    Attributes:
        metrics: by name, in lower case; shares are between 0 and 1.
        examples: how many sentences, windows of text, pairs or questions they are of.
        tally: the counts that the metrics follow from.
        details: more that is of use, such as a confusion matrix; plain lists, dictionaries and numbers.
        notes: what the user may want to know of how the data was read.
    """

    metrics: Metrics
    examples: int
    tally: Tally
    details: dict[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


class Evaluator(ABC):
    """Scores models on one fixed set of examples, prepared once.

    Attributes:
        examples: how many.
        cut: of how many the model does not see all.
        notes: what the user may want to know of how they were prepared: texts that were cut, rows that were left out.
        watch: told how many of how many examples were predicted, by those who go through :meth:`by_batch`.
        sharing: where several processes score together: which of how many this is, and what gives everyone's part.
    """

    examples: int
    cut: int = 0
    notes: tuple[str, ...] = ()
    watch: Callable[[int, int], None] | None = None
    sharing: Sharing | None = None

    def batches(self, lengths: Sequence[int], batch_size: int) -> Iterator[list[int]]:
        """:func:`batches_by_length`; a rehearsal puts a few of them in its place."""
        return batches_by_length(lengths, batch_size)

    @abstractmethod
    def predict(self, model: PreTrainedModel, batch_size: int) -> list[Any]:
        """What a model, as it stands and on the device where it is, says of each example, in their order."""

    def scored(self, model: PreTrainedModel, batch_size: int) -> list[tuple[Any, Any]]:
        """The same, each with the probabilities that the model gives to what it says, 0…1.

        Raises:
            SettingsError: if the objective predicts nothing that has one.
        """
        del model, batch_size
        raise SettingsError("predict labels text and answers questions; this objective does neither.")

    @abstractmethod
    def tally(self, predicted: Sequence[Any]) -> Tally:
        """Count what of it is right."""

    def details(self, predicted: Sequence[Any]) -> dict[str, Any]:
        """More than metrics; none by default."""
        del predicted
        return {}

    def scores(self, predicted: Sequence[Any]) -> Scores:
        """Score predictions."""
        tally = self.tally(predicted)
        return Scores(tally.scores(), self.examples, tally, self.details(predicted), self.notes)

    def by_batch(
        self, lengths: Sequence[int], batch_size: int, look: Callable[[list[int]], Sequence[Any]]
    ) -> list[Any]:
        """What ``look`` finds of each example or window, in their order; processes that share the work have all of it.

        Args:
            lengths: of each, so that batches are of similar ones.
            batch_size: how many at a time.
            look: gives something of each of some, by their indices; plain Python objects.
        """
        found, done = dict[int, Any](), 0
        number, of, gather = self.sharing or (0, 1, lambda mine: [mine])
        for batch, indices in enumerate(self.batches(lengths, batch_size)):
            if batch % of == number:
                found.update(zip(indices, look(indices), strict=True))
            done += len(indices)
            if self.watch is not None:
                self.watch(done * self.examples // len(lengths), self.examples)  # not windows, of which there are more
        everywhere = {index: each for some in gather(found) for index, each in some.items()}
        return [everywhere[index] for index in range(len(lengths))]

    def __call__(self, model: PreTrainedModel, batch_size: int) -> Scores:
        """Predict, and score that."""
        return self.scores(self.predict(model, batch_size))


def batches_by_length(lengths: Sequence[int], batch_size: int) -> Iterator[list[int]]:
    """Indices in batches of similar length, longest first, so that little is padded and memory peaks at the start."""
    order = np.argsort(-np.asarray(lengths, np.int64), kind="stable")
    for start in range(0, len(order), batch_size):
        yield order[start : start + batch_size].tolist()
