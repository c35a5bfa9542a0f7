"""Sentences whose words are labelled, and how that is written.

Parts of speech and trees are written as CoNLL-U, named entities as words and tags in two columns. Of CoNLL-U that is
given, all that is not predicted stays as it is. How sentences are read says :mod:`sftkit.prediction.sentences`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from datasets import Dataset

from sftkit.prediction.sentences import Sentence
from sftkit.prediction.unlabelled import Labeller, Unlabelled, batched
from sftkit.tasks.readers.conllu import COLUMNS


class Words(Unlabelled):
    """Sentences for ``pos``, ``ner`` or ``dep``; ``notes`` are on how they were read."""

    def __init__(self, objective: str, sentences: Iterable[Sentence], notes: Iterable[str] = ()) -> None:
        super().__init__(notes)
        self._objective, self._sentences = objective, iter(sentences)

    def labelled(self, labeller: Labeller) -> Iterator[tuple[Sentence, Any, Any]]:
        """Sentences, their labels (or trees), and the labels' (or heads') probabilities."""
        for batch in batched(self._sentences):
            blank = [self._blanks(len(each.words), labeller.objective.labels) for each in batch]
            rows = [{"words": each.words} | own for each, own in zip(batch, blank, strict=True) if each.words]
            said = iter(labeller.said(Dataset.from_list(rows)) if rows else ())
            nothing: tuple[Any, Any] = (([], []) if self._objective == "dep" else [], [])
            yield from ((each, *(next(said) if each.words else nothing)) for each in batch)

    def _blanks(self, count: int, labels: Sequence[str]) -> dict[str, list[Any]]:
        """What stands where data that is scored has what is right."""
        if self._objective == "dep":
            return {"heads": [0] * count, "relations": ["root"] * count}
        return {"tags": [labels[0]] * count}

    def written(self, found: Iterable[tuple[Any, Any, Any]], labels: Sequence[str]) -> Iterator[str]:
        """A sentence at a time, with a blank line after it."""
        del labels
        for sentence, said, _ in found:
            if self._objective == "ner" and not sentence.words:
                continue
            if self._objective == "ner":
                yield "".join(f"{word}\t{tag}\n" for word, tag in zip(sentence.words, said, strict=True)) + "\n"
            else:
                columns = [{3: tag} for tag in said] if self._objective == "pos" else list(map(_tree_columns, *said))
                yield "\n".join(_filled(sentence, columns)) + "\n\n"

    def objects(self, found: Iterable[tuple[Any, Any, Any]], labels: Sequence[str]) -> Iterator[dict[str, Any]]:
        """``words``, ``labels``, ``scores``; of trees ``heads``, too, and the scores are theirs."""
        del labels
        for sentence, said, scores in found:
            if sentence.lines and not sentence.words:
                continue
            if self._objective == "dep":
                heads, relations = said
                yield {"words": sentence.words, "heads": heads, "labels": relations, "scores": scores}
            else:
                yield {"words": sentence.words, "labels": said, "scores": scores}


def _tree_columns(head: int, relation: str) -> dict[int, str]:
    return {6: str(head), 7: relation, 8: "_"}


def _filled(sentence: Sentence, columns: Sequence[dict[int, str]]) -> Iterator[str]:
    """Lines of CoNLL-U with columns replaced."""
    lines = sentence.lines or tuple(
        "\t".join([str(i), word, *"_" * (COLUMNS - 2)]) for i, word in enumerate(sentence.words, start=1)
    )
    if not sentence.lines:
        yield f"# text = {' '.join(sentence.words)}"
    changes = iter(columns)
    for line in lines:
        cells = line.split("\t")
        if cells[0].isdecimal():
            for column, text in next(changes).items():
                cells[column] = text
        yield "\t".join(cells)
