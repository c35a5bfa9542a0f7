"""Counts per example from whose sums the metrics follow: what scores, intervals and comparisons are all made of.

Numpy and scipy only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
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

    def drawn(self, times: Iterable[NDArray[np.int64]]) -> dict[str, Counts]:
        """The metrics when each example comes so many times, int64 ``[examples]``; once for each of these."""
        return self.metrics(np.stack([each @ self.counts for each in times]))


class ExampleTally(Tally):
    """Counts whose metrics follow from the examples themselves, ``[examples, n]``, and not from their sums."""

    def scores(self) -> dict[str, float]:
        """The metrics over all examples."""
        return {name: float(value) for name, value in self.metrics(self.counts).items()}

    def drawn(self, times: Iterable[NDArray[np.int64]]) -> dict[str, Counts]:
        """The same as for sums."""
        found = [self.metrics(np.repeat(self.counts, each, axis=0)) for each in times]
        return {name: np.array([one[name] for one in found]) for name in found[0]}


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


def micro_and_macro_f1(sums: Counts) -> dict[str, Counts]:
    """Of sums (right, predicted, gold) of each label, ``[..., 3 x labels]``, where an example may have several.

    Macro F1 is the mean over all labels, one that is neither gold nor predicted counting 0, as scikit-learn has it.
    """
    right, predicted, gold = np.moveaxis(sums.reshape(*sums.shape[:-1], 3, -1), -2, 0)
    each = np.stack([right, predicted, gold], -1)
    return {
        "micro_f1": precision_recall_f1(each.sum(-2))["f1"],
        "macro_f1": precision_recall_f1(each)["f1"].mean(-1),
    }


def correlations(pairs: Counts) -> dict[str, Counts]:
    """Of (predicted, gold) numbers, ``[examples, 2]``: Spearman's and Pearson's correlation; 0 if one is constant."""
    from scipy.stats import rankdata

    return {"spearman": _pearson(rankdata(pairs, axis=0)), "pearson": _pearson(pairs)}


def _pearson(pairs: Counts) -> Counts:
    centred = pairs - pairs.mean(0)
    if (np.ptp(pairs, axis=0) == 0).any():  # its mean is rounded, so what is centred may be anything but 0
        return np.zeros(())
    lengths = np.linalg.norm(centred, axis=0)
    normed = centred / lengths
    found: Counts = np.clip(normed[:, 0] @ normed[:, 1], -1.0, 1.0)
    return found


def mean_loss(sums: Counts) -> dict[str, Counts]:
    """Of sums (loss in nats, predicted tokens): loss a token, and its exponential, the perplexity."""
    loss = ratio(sums[..., 0], sums[..., 1])
    return {"loss": loss, "perplexity": np.exp(np.minimum(loss, 700.0))}
