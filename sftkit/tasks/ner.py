"""``--ner``: named entity recognition, a tag of IOB2 a word.

Only a whole entity of the right type is right. What an entity is says the scheme: by "strict" it begins with B- and
goes on with I- of the same type, so that an I- that continues nothing is none, be it a model's or a slip in the data;
by "conlleval" such an I- begins one, as in the CoNLL shared tasks' program (Tjong Kim Sang and De Meulder 2003). The
strict scheme is seqeval's for IOB2 in strict mode, the other what it does by default, and so the paper's code.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from datasets import Dataset
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from sftkit.errors import DataError, MismatchError
from sftkit.shown import quoted
from sftkit.tasks.base import shortened
from sftkit.tasks.evaluator import Evaluator
from sftkit.tasks.options import SCHEMES
from sftkit.tasks.readers.conll import Tagged, as_iob2, tagged_sentences, write_tags
from sftkit.tasks.readers.local import HUB
from sftkit.tasks.readers.sources import hub_table, joined
from sftkit.tasks.readers.tag_schemes import OUTSIDE, is_tag
from sftkit.tasks.tally import Tally, by_name, precision_recall_f1
from sftkit.tasks.token_labels import TokenEvaluator, TokenLabels

if TYPE_CHECKING:
    from typing_extensions import Self

#: Type, first word, and the word after the last.
Entity = tuple[str, int, int]


class NamedEntities(TokenLabels):
    """Named entity recognition; precision, recall and F1 over entities.

    ``map_label`` is about entity types. The labels are "O", and B- and I- of every type in the training data.
    """

    name: ClassVar[str] = "ner"
    title: ClassVar[str] = "named entity recognition"
    best_metric: ClassVar[str] = "f1"
    greater_is_better: ClassVar[bool] = True

    def read(self, sources: Sequence[str]) -> Dataset:
        """One row a sentence: ``words`` and ``tags``."""
        return joined([self._rows(source) for source in sources])

    def _rows(self, source: str) -> Dataset:
        types, columns, scheme = self.options.labels, self.options.columns, self.options.scheme_in
        read = _from_hub if source.startswith(HUB) else tagged_sentences
        found, notes = read(source, columns, scheme)
        self.told.update(dict.fromkeys(notes))
        self.labels_read |= {tag[2:] for _, tags in found for tag in tags if tag != OUTSIDE}
        return Dataset.from_list(
            [{"words": words, "tags": [_mapped(tag, types) for tag in tags]} for words, tags in found]
        )

    def labels_in(self, rows: Dataset) -> tuple[str, ...]:
        """O, then B- and I- of each entity type, in the order of the alphabet."""
        types = sorted({tag[2:] for tags in rows["tags"][:] for tag in tags if tag != OUTSIDE})
        return (OUTSIDE, *(f"{prefix}-{kind}" for kind in types for prefix in "BI"))

    def features(self, rows: Dataset, tokenizer: PreTrainedTokenizerBase, max_length: int) -> Dataset:
        """As for all token labels.

        Raises:
            DataError: if there are no entities to learn.
        """
        if len(self.labels) < 2:
            raise DataError("The training data hold no entity: all tags are O.")
        return super().features(rows, tokenizer, max_length)

    def remarks(self, rows: Dataset, features: Dataset) -> tuple[str, ...]:
        """How many slips there are."""
        del features
        return _slips(rows["tags"][:], self.options.entities)

    def for_model(self, model: PreTrainedModel) -> Self:
        """The same objective with a model's own tags.

        Raises:
            MismatchError: if the model's labels are no IOB2 tags.
        """
        made = super().for_model(model)
        if OUTSIDE not in made.labels or any(label[:2] not in (OUTSIDE, "B-", "I-") for label in made.labels):
            raise MismatchError(
                f"The model's head has the labels {shortened(made.labels)}, which are no IOB2 tags. "
                f"Was it trained with --{self.name}?"
            )
        return made

    def mending(self, label: str) -> str:
        """What to do about an entity type that was not learned."""
        return f"Leave it out with --map-label {label[2:]}=O, or take it for another type with {label[2:]}=TYPE."

    def evaluator(self, rows: Dataset, tokenizer: PreTrainedTokenizerBase, max_length: int, seed: int) -> Evaluator:
        """Scores entities."""
        del seed
        return EntityEvaluator(rows, self.labels, tokenizer, max_length, self.options.entities)

    def write_predictions(self, source: str, predicted: Sequence[Any], path: Path) -> None:
        """The file with the predicted tags, IOB2, in its last column."""
        write_tags(source, path, predicted, self.options.columns)


class EntityEvaluator(TokenEvaluator):
    """Precision, recall and F1 over all entities of all sentences."""

    def __init__(
        self,
        rows: Dataset,
        labels: Sequence[str],
        tokenizer: PreTrainedTokenizerBase,
        max_length: int,
        scheme: str = "strict",
    ) -> None:
        super().__init__(rows, labels, tokenizer, max_length)
        self._scheme = scheme
        self._entities = [entities(tags, scheme) for tags in self.gold]
        self.notes = _slips(self.gold, scheme)

    def tally(self, predicted: Sequence[Any]) -> Tally:
        """(right, predicted, gold) entities of each sentence."""
        return self._tally(predicted, self._entities, self._scheme)

    def details(self, predicted: Sequence[Any]) -> dict[str, Any]:
        """``types``: precision, recall, F1 and support (gold entities), a row a type.

        ``schemes``: precision, recall and F1 over all types, a row a scheme; the first is the one in force.
        """
        right, found, gold = Counter[str](), Counter[str](), Counter[str]()
        for tags, own in zip(predicted, self._entities, strict=True):
            said = entities(tags, self._scheme)
            right.update(kind for kind, _, _ in said & own)
            found.update(kind for kind, _, _ in said)
            gold.update(kind for kind, _, _ in own)
        types = sorted(found | gold)
        sums = np.array([(right[kind], found[kind], gold[kind]) for kind in types], np.float64).reshape(-1, 3)
        schemes = sorted(SCHEMES, key=lambda scheme: scheme != self._scheme)
        gold_by = {scheme: [entities(tags, scheme) for tags in self.gold] for scheme in schemes}
        return {
            "types": by_name("type", types, sums),
            "schemes": [
                {"scheme": scheme} | self._tally(predicted, own, scheme).scores() for scheme, own in gold_by.items()
            ],
        }

    def _tally(self, predicted: Sequence[Any], gold: Sequence[set[Entity]], scheme: str) -> Tally:
        found = [entities(tags, scheme) for tags in predicted]
        counts = [(len(p & g), len(p), len(g)) for p, g in zip(found, gold, strict=True)]
        return Tally(np.array(counts, np.float64).reshape(-1, 3), precision_recall_f1)


def entities(tags: Sequence[str], scheme: str) -> set[Entity]:
    """The entities of a sentence.

    Args:
        tags: O, or B- or I- and a type.
        scheme: one of ``SCHEMES``.
    """
    found: set[Entity] = set()
    begun: tuple[str, int] | None = None
    for i, tag in enumerate([*tags, OUTSIDE]):
        prefix, kind = tag[0], tag[2:]
        if begun is not None and (prefix, kind) == ("I", begun[0]):
            continue
        if begun is not None:
            found.add((*begun, i))
        begun = (kind, i) if prefix == "B" or (prefix == "I" and scheme == "conlleval") else None
    return found


def _slips(sentences: Sequence[Sequence[str]], scheme: str) -> tuple[str, ...]:
    """How many entities begin with I-, so that by the strict scheme they are none."""
    count = sum(
        tag[0] == "I" and before[1:] != tag[1:]
        for tags in sentences
        for before, tag in zip([OUTSIDE, *tags], tags, strict=False)
    )
    if not count or scheme == "conlleval":
        return ()
    return (f"begun with I- where B- is due, and so no entities when scored (see --scheme): {count:,}.",)


def _mapped(tag: str, types: dict[str, str]) -> str:
    kind = types.get(tag[2:], tag[2:])
    return tag if tag == OUTSIDE else OUTSIDE if kind == OUTSIDE else tag[:2] + kind


def _from_hub(source: str, columns: Sequence[str], scheme: str) -> Tagged:
    named = {"words": columns[:1], "tags": columns[1:]}
    rows = hub_table(
        source, named if columns else {"words": ("tokens", "words"), "tags": ("ner_tags", "tags", "labels")}
    )
    words, tags = rows["words"][:], rows["tags"][:]
    for number, (own, marks) in enumerate(zip(words, tags, strict=True), start=1):
        wrong = [mark for mark in marks if not isinstance(mark, str) or not is_tag(mark)]
        if wrong or len(own) != len(marks):
            problem = f"{quoted(wrong[0])} is no BIO tag" if wrong else f"{len(own)} words and {len(marks)} tags"
            raise DataError(f"{source}, row {number}: {problem}.")
    found, notes = as_iob2(source, tags, scheme)
    return Tagged(list(zip(words, found, strict=True)), notes)
