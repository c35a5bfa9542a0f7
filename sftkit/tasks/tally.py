"""Counts per example from whose sums the metrics follow: what scores, intervals and comparisons are all made of.

Numpy only.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Counts = NDArray[np.float64]


@dataclass(frozen=True)
class Tally:
    """What an evaluation counted.

    Attributes:
        counts: float64 ``[examples, n]``, such as (right words, words) of each sentence. For language models an example
            is a window.
        metrics: from sums over examples, ``[..., n]``, each metric ``[...]``, by its name in lower case. Shares are
            between 0 and 1.
    """

    counts: Counts
    metrics: Callable[[Counts], dict[str, Counts]]

    def scores(self) -> dict[str, float]:
        """The metrics over all examples."""
        return {name: float(value) for name, value in self.metrics(self.counts.sum(0)).items()}


def ratio(part: Counts, whole: Counts) -> Counts:
    """The share of a part in a whole, and 0 where the whole is 0."""
    return np.divide(part, whole, out=np.zeros(np.broadcast(part, whole).shape), where=whole != 0)


def accuracy(sums: Counts) -> dict[str, Counts]:
    """Of sums (right, all)."""
    return {"accuracy": ratio(sums[..., 0], sums[..., 1])}


def precision_recall_f1(sums: Counts) -> dict[str, Counts]:
    """Of sums (right, predicted, gold)."""
    right, predicted, gold = sums[..., 0], sums[..., 1], sums[..., 2]
    return {
        "precision": ratio(right, predicted),
        "recall": ratio(right, gold),
        "f1": ratio(2 * right, predicted + gold),
    }


def by_name(heading: str, names: Sequence[str], sums: Counts) -> list[dict[str, Any]]:
    """A row for each name: precision, recall, F1 and support.

    Args:
        heading: what the names are.
        names: of types or labels.
        sums: (right, predicted, gold) of each, ``[names, 3]``.
    """
    found = precision_recall_f1(sums)
    return [
        {heading: name} | {metric: float(values[i]) for metric, values in found.items()} | {"support": int(sums[i, 2])}
        for i, name in enumerate(names)
    ]


def accuracy_and_macro_f1(sums: Counts) -> dict[str, Counts]:
    """Of sums (right, predicted, gold) of each class, ``[..., 3 x classes]``: first right of all classes, and so on.

    Macro F1 is the mean of the F1 of the classes that are gold or predicted at all, as scikit-learn has it by default.
    """
    right, predicted, gold = np.moveaxis(sums.reshape(*sums.shape[:-1], 3, -1), -2, 0)
    f1 = precision_recall_f1(np.stack([right, predicted, gold], -1))["f1"]
    there = (predicted + gold > 0).sum(-1)
    return {"accuracy": ratio(right.sum(-1), gold.sum(-1)), "macro_f1": ratio(f1.sum(-1), there)}


def mean_loss(sums: Counts) -> dict[str, Counts]:
    """Of sums (loss in nats, predicted tokens): loss a token, and its exponential, the perplexity."""
    loss = ratio(sums[..., 0], sums[..., 1])
    return {"loss": loss, "perplexity": np.exp(np.minimum(loss, 700.0))}
