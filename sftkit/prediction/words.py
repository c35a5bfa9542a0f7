"""Sentences whose words are to be labelled: text, a word a line, or CoNLL-U.

Text has a sentence a line, and its words are what white space parts. Parts of speech and trees are written as CoNLL-U,
named entities as words and tags in two columns. Of CoNLL-U that is given, all that is not predicted stays as it is.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from typing import Any, Literal

from datasets import Dataset

from sftkit.errors import DataError
from sftkit.prediction.unlabelled import Labeller, Unlabelled, batched
from sftkit.tasks.conllu_files import COLUMNS
from sftkit.tasks.guess import FEWEST, kind_of

Layout = Literal["text", "words", "conllu"]
_LOOKED_AT = 50  # lines


@dataclass(frozen=True)
class Sentence:
    """Words, and the lines of CoNLL-U that they come from, if they do."""

    words: list[str]
    lines: tuple[str, ...] = ()


class Words(Unlabelled):
    """Sentences for ``pos``, ``ner`` or ``dep``."""

    def __init__(self, objective: str, sentences: Iterable[Sentence]) -> None:
        self._objective, self._sentences = objective, iter(sentences)

    def labelled(self, labeller: Labeller) -> Iterator[tuple[Sentence, Any, Any]]:
        """Sentences, their labels (or trees), and the labels' (or heads') probabilities."""
        for batch in batched(self._sentences):
            rows = [{"words": each.words} | self._blanks(len(each.words), labeller.objective.labels) for each in batch]
            said = labeller.said(Dataset.from_list(rows))
            yield from ((each, *found) for each, found in zip(batch, said, strict=True))

    def _blanks(self, count: int, labels: Sequence[str]) -> dict[str, list[Any]]:
        """What stands where data that is scored has what is right."""
        if self._objective == "dep":
            return {"heads": [0] * count, "relations": ["root"] * count}
        return {"tags": [labels[0]] * count}

    def written(self, found: Iterable[tuple[Any, Any, Any]], labels: Sequence[str]) -> Iterator[str]:
        """A sentence at a time, with a blank line after it."""
        del labels
        for sentence, said, _ in found:
            if self._objective == "ner":
                yield "".join(f"{word}\t{tag}\n" for word, tag in zip(sentence.words, said, strict=True)) + "\n"
            else:
                columns = [{3: tag} for tag in said] if self._objective == "pos" else list(map(_tree_columns, *said))
                yield "\n".join(_filled(sentence, columns)) + "\n\n"

    def objects(self, found: Iterable[tuple[Any, Any, Any]], labels: Sequence[str]) -> Iterator[dict[str, Any]]:
        """``words``, ``labels``, ``scores``; of trees ``heads``, too, and the scores are theirs."""
        del labels
        for sentence, said, scores in found:
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


def sentences_of(source: str, lines: Iterator[str], *, words: bool) -> Iterator[Sentence]:
    """The sentences of a source.

    Args:
        source: its name.
        lines: its lines.
        words: whether a line is a word, and a blank line the end of a sentence.

    Raises:
        DataError: if it is CoNLL-U with other columns than it should have, or has tags beside its words.
    """
    first = list(islice(lines, _LOOKED_AT))
    kind = kind_of("\n".join(first), least=FEWEST)
    lines = chain(first, lines)
    if kind in ("entities", "parts of speech"):
        raise DataError(
            f"{source}: has tags beside its words. evaluate --predictions writes predictions in their place; or take "
            "the words out (cut -f 1) for --words."
        )
    if kind == "conllu":
        return _conllu(source, lines)
    return _word_lines(lines) if words else (Sentence(line.split()) for line in lines if line.strip())


def _word_lines(lines: Iterator[str]) -> Iterator[Sentence]:
    words: list[str] = []
    for line in chain(lines, [""]):
        if line.strip():
            words.append(line.strip().split("\t")[0])
        elif words:
            yield Sentence(words)
            words = []


def _conllu(source: str, lines: Iterator[str]) -> Iterator[Sentence]:
    block: list[str] = []
    words: list[str] = []
    for number, line in enumerate(chain(lines, [""]), start=1):
        if not line.strip():
            if words:
                yield Sentence(words, tuple(block))
            block, words = [], []
            continue
        block.append(line)
        if line.startswith("#"):
            continue
        cells = line.split("\t")
        if len(cells) != COLUMNS or not cells[1]:
            raise DataError(f"{source}, line {number}: {len(cells)} tab-separated columns; CoNLL-U has {COLUMNS}.")
        if cells[0].isdecimal():
            words.append(cells[1])
