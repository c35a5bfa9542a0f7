"""``--dep``: dependency parsing of CoNLL-U words, with the biaffine parser of :mod:`sftkit.modeling.parser`.

The labels are the 37 universal relations, whatever the file holds, so a parser fits every treebank; with ``--subtypes``
also the subtypes in the training data. Scored as in the CoNLL 2018 shared task, on gold words: all of them, punctuation
and the root's included; subtypes count only with ``--subtypes``, and one that was not learned is then an error of the
parser. ``--paper-compat`` leaves words that hang from the root out of the scores, as the paper's code does; they are
trained all the same, so that trees have a root.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, NamedTuple, cast

import numpy as np
import torch
from datasets import Dataset
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from sftkit.modeling.parser import AutoModelForDependencyParsing, DependencyParser
from sftkit.tasks.base import Collator, Objective, to_device
from sftkit.tasks.evaluator import Evaluator
from sftkit.tasks.parsing.features import ParserCollator, parser_features
from sftkit.tasks.parsing.trees import greedy_heads, maximum_tree
from sftkit.tasks.readers.conllu import RELATIONS, check_tree, parsed_sentences, universal, without_text, write_columns
from sftkit.tasks.readers.local import HUB
from sftkit.tasks.readers.sources import hub_table, joined
from sftkit.tasks.tally import Counts, Tally, ratio

ROOT = "root"


class Parse(NamedTuple):
    """A sentence's tree: each word's head, from 1 (0: the root), and its relation to it."""

    heads: list[int]
    relations: list[str]


class DependencyParsing(Objective):
    """Dependency parsing; unlabelled and labelled attachment scores over words.

    Rows have the columns ``words``, ``heads`` and ``relations``, the latter as they stand in the data.
    """

    name: ClassVar[str] = "dep"
    title: ClassVar[str] = "dependency parsing"
    best_metric: ClassVar[str] = "las"
    greater_is_better: ClassVar[bool] = True
    is_task: ClassVar[bool] = True
    takes_words: ClassVar[bool] = True
    labelled: ClassVar[bool] = True
    fixed_labels: ClassVar[tuple[str, ...]] = RELATIONS
    new_labels: ClassVar[bool] = True  # subtypes
    loss: ClassVar[None] = None
    auto_class: ClassVar[Any] = AutoModelForDependencyParsing

    def read(self, sources: Sequence[str]) -> Dataset:
        """One row a sentence."""
        parts = [_rows(source) for source in sources]
        for source, part in zip(sources, parts, strict=True):
            self.told.update(dict.fromkeys(without_text(source, part["words"])))
        return joined(parts)

    def features(self, rows: Dataset, tokenizer: PreTrainedTokenizerBase, max_length: int) -> Dataset:
        """The windows of each sentence, heads, and the numbers of relations."""
        numbers = {label: i for i, label in enumerate(self.labels)}
        sentences = parser_features(rows["words"][:], tokenizer, max_length)
        trees = zip(sentences, rows["heads"][:], rows["relations"][:], strict=True)
        return Dataset.from_list(
            [
                {**sentence, "heads": heads, "labels": [numbers[self._label(name)] for name in relations]}
                for sentence, heads, relations in trees
            ]
        )

    def collator(self, tokenizer: PreTrainedTokenizerBase, seed: int) -> Collator:
        """Pads windows and sentences."""
        del seed
        return ParserCollator(tokenizer.pad_token_id or 0)

    def evaluator(self, rows: Dataset, tokenizer: PreTrainedTokenizerBase, max_length: int, seed: int) -> Evaluator:
        """Scores UAS and LAS."""
        del seed
        return ParserEvaluator(self, rows, tokenizer, max_length)

    def labels_in(self, rows: Dataset) -> tuple[str, ...]:
        """The universal relations, and with ``--subtypes`` the subtypes in the rows."""
        found = {self._label(name) for relations in rows["relations"][:] for name in relations}
        return RELATIONS + tuple(sorted(found - set(RELATIONS)))

    def write_predictions(self, source: str, predicted: Sequence[Any], path: Path) -> None:
        """The CoNLL-U file with the predicted trees in HEAD and DEPREL, and no enhanced graph in DEPS."""
        write_columns(source, path, [list(map(_columns, *parse)) for parse in predicted])

    def _label(self, relation: str) -> str:
        return relation if self.options.subtypes else universal(relation)


class ParserEvaluator(Evaluator):
    """Attachment scores over all words of all sentences."""

    def __init__(
        self, objective: DependencyParsing, rows: Dataset, tokenizer: PreTrainedTokenizerBase, max_length: int
    ) -> None:
        self.examples, self.labels, self.options = len(rows), objective.labels, objective.options
        self.gold = [Parse(*tree) for tree in zip(rows["heads"][:], rows["relations"][:], strict=True)]
        self._collate = objective.collator(tokenizer, 0)
        self._sentences = parser_features(rows["words"][:], tokenizer, max_length)

    def predict(self, model: PreTrainedModel, batch_size: int) -> list[Parse]:
        """The model's tree for every sentence."""
        return [parse for parse, _ in self.scored(model, batch_size)]

    def scored(self, model: PreTrainedModel, batch_size: int) -> list[tuple[Parse, list[float]]]:
        """The same, each with the probability of every word's head among all words and the root."""
        parser = cast(DependencyParser, model)
        lengths = [sum(map(len, sentence["input_ids"])) for sentence in self._sentences]

        def look(together: list[int]) -> list[tuple[Parse, list[float]]]:
            result: dict[int, tuple[Parse, list[float]]] = {}
            for indices in self._apart(together):
                batch = to_device(self._collate([self._sentences[i] for i in indices]), model)
                with torch.no_grad():
                    result.update(zip(indices, self._parses(parser, batch), strict=True))
            return [result[i] for i in together]

        return self.by_batch(lengths, batch_size, look)

    def tally(self, predicted: Sequence[Any]) -> Tally:
        """(words with the right head, with the right head and relation, words) of each sentence."""
        counts = [self._count(*pair) for pair in zip(predicted, self.gold, strict=True)]
        return Tally(np.array(counts, np.float64).reshape(-1, 3), attachment)

    def _count(self, found: Parse, gold: Parse) -> tuple[int, int, int]:
        simple = str if self.options.subtypes else universal
        counted = [i for i, head in enumerate(gold.heads) if head or not self.options.paper_compat]
        attached = [i for i in counted if found.heads[i] == gold.heads[i]]
        labelled = [i for i in attached if simple(found.relations[i]) == simple(gold.relations[i])]
        return len(attached), len(labelled), len(counted)

    def _apart(self, batch: Sequence[int]) -> Iterator[list[int]]:
        """A sentence of several windows by itself, as scores grow with the square of its words; all others together."""
        long = [i for i in batch if len(self._sentences[i]["input_ids"]) > 1]
        yield from ([i] for i in long)
        if len(long) < len(batch):
            yield [i for i in batch if i not in long]

    def _parses(
        self, parser: DependencyParser, batch: Mapping[str, torch.Tensor]
    ) -> Iterator[tuple[Parse, list[float]]]:
        output = parser(**batch)
        assert output.arc_scores is not None
        assert output.vectors is not None
        counts, scores = batch["word_mask"].sum(1).tolist(), output.arc_scores.cpu().numpy()
        decode = maximum_tree if self.options.decode == "tree" else greedy_heads
        trees = [decode(each[:words, : words + 1]) for each, words in zip(scores, counts, strict=True)]
        heads = torch.from_numpy(np.concatenate(trees)).to(batch["words"].device)
        relations = parser.relation_scores(output.vectors, batch["words"], heads)
        if self.options.decode == "tree":  # in a tree the relation is "root" at the root and nowhere else
            root = self.labels.index(ROOT)
            relations[:, root] = torch.where(heads == 0, torch.inf, -torch.inf)
        names = iter(relations.argmax(1).tolist())
        for tree, each in zip(trees, scores, strict=True):
            sure = torch.from_numpy(each[: len(tree), : len(tree) + 1]).softmax(1).numpy()
            parse = Parse(tree.tolist(), [self.labels[next(names)] for _ in tree])
            yield parse, sure[np.arange(len(tree)), tree].tolist()


def attachment(sums: Counts) -> dict[str, Counts]:
    """Of sums (words with the right head, with the right head and relation, words)."""
    return {"uas": ratio(sums[..., 0], sums[..., 2]), "las": ratio(sums[..., 1], sums[..., 2])}


def _columns(head: int, relation: str) -> dict[int, str]:
    return {6: str(head), 7: relation, 8: "_"}


def _rows(source: str) -> Dataset:
    trees = _hub_trees(source) if source.startswith(HUB) else parsed_sentences(source)
    return Dataset.from_list(
        [{"words": words, "heads": heads, "relations": relations} for words, heads, relations in trees]
    )


def _hub_trees(source: str) -> Iterator[tuple[list[str], list[int], list[str]]]:
    """As of a file; tokens without a head ("None" in Universal Dependencies' own table) are multi-word tokens."""
    table = hub_table(
        source, {"words": ("tokens", "words"), "heads": ("head", "heads"), "relations": ("deprel", "deprels")}
    )
    for number, row in enumerate(table, start=1):
        tokens = list(zip(row["words"], row["heads"], row["relations"], strict=True))
        kept = [token for token in tokens if token[1] not in (None, "None", "_", "")]
        if kept:
            words, texts, relations = map(list, zip(*kept, strict=True))
            heads = [int(text) if str(text).isdecimal() else None for text in texts]
            yield words, check_tree([f"{source}, row {number}"] * len(kept), heads, relations), relations
