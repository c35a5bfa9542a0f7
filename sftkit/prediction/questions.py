"""Questions that are to be answered from their passages. A file is one JSON document, and so it is read whole."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from datasets import Dataset

from sftkit.prediction.unlabelled import BATCH, Labeller, Unlabelled
from sftkit.tasks.readers.squad import answered


class Questions(Unlabelled):
    """Questions for ``qa``.

    Args:
        rows: with the columns of :data:`sftkit.tasks.readers.squad.FEATURES`.
        source: the file that they are from; "" if they are from none.
    """

    def __init__(self, rows: Dataset, source: str = "") -> None:
        super().__init__()
        self._rows, self._source = rows, source

    def labelled(self, labeller: Labeller) -> Iterator[tuple[Any, Any, Any]]:
        """Rows, their answers, and those' probabilities; no answer may be one where some questions have none."""
        rows = self._rows
        if not any(texts == [] for texts in rows["texts"]):  # then questions do not depend on each other
            for start in range(0, len(rows), BATCH):
                part = rows.select(range(start, min(start + BATCH, len(rows))))
                yield from ((row, *found) for row, found in zip(part, labeller.said(part), strict=True))
        else:
            yield from ((row, *found) for row, found in zip(rows, labeller.said(rows), strict=True))

    def written(self, found: Iterable[tuple[Any, Any, Any]], labels: Sequence[str]) -> Iterator[str]:
        """The file with the answers in it, at once."""
        del labels
        yield answered(self._source, [said for _, said, _ in found])

    def objects(self, found: Iterable[tuple[Any, Any, Any]], labels: Sequence[str]) -> Iterator[dict[str, Any]]:
        """``text`` (the question), ``labels`` (its answer; none where there is none), ``scores``, and ``start``."""
        del labels
        for row, (text, start), score in found:
            yield {"text": row["question"], "labels": [text] if text else [], "scores": [score], "start": start}
