"""``--pos``: part-of-speech tagging of CoNLL-U words.

The labels are the 17 universal tags, whatever the file happens to hold, so a tagger fits every treebank.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from datasets import Dataset
from transformers import PreTrainedTokenizerBase

from sftkit.tasks.evaluator import Evaluator
from sftkit.tasks.readers.conllu import checked_tag, is_conllu, tagged_sentences, without_text, write_columns
from sftkit.tasks.readers.local import HUB
from sftkit.tasks.readers.sources import hub_table, joined
from sftkit.tasks.readers.tag_sets import UPOS
from sftkit.tasks.readers.tagged import Wanted, read_word_file, write_tags
from sftkit.tasks.tally import Tally, accuracy
from sftkit.tasks.token_labels import TokenEvaluator, TokenLabels

TAGS = Wanted(
    "--pos",
    UPOS.__contains__,
    f"universal part-of-speech tag ({' '.join(UPOS)})",
    "CoNLL-U, or a word and its tag, parted by a space or a tab",
)


class PartOfSpeech(TokenLabels):
    """Universal part-of-speech tagging; accuracy over words."""

    name: ClassVar[str] = "pos"
    title: ClassVar[str] = "part-of-speech tagging"
    best_metric: ClassVar[str] = "accuracy"
    greater_is_better: ClassVar[bool] = True
    fixed_labels: ClassVar[tuple[str, ...]] = UPOS

    def read(self, sources: Sequence[str]) -> Dataset:
        """One row a sentence: ``words`` and ``tags``."""
        return joined([self._rows(source) for source in sources])

    def _rows(self, source: str) -> Dataset:
        columns = self.options.columns
        if source.startswith(HUB):
            return _hub_rows(source, columns)
        if columns or not is_conllu(source):
            file = read_word_file(source, TAGS, columns)
            self.told.update(dict.fromkeys(file.notes))
            return Dataset.from_dict({"words": file.words, "tags": file.tags})
        rows = [{"words": words, "tags": tags} for words, tags in tagged_sentences(source)]
        self.told.update(dict.fromkeys(without_text(source, [row["words"] for row in rows])))
        return Dataset.from_list(rows)

    def evaluator(self, rows: Dataset, tokenizer: PreTrainedTokenizerBase, max_length: int, seed: int) -> Evaluator:
        """Scores the share of words that get their tag."""
        del seed
        return TagEvaluator(rows, self.labels, tokenizer, max_length)

    def write_predictions(self, source: str, predicted: Sequence[Any], path: Path) -> None:
        """The file with the predicted tags in the place of its own; of CoNLL-U that is the UPOS column."""
        if self.options.columns or not is_conllu(source):
            write_tags(source, read_word_file(source, TAGS, self.options.columns), path, predicted)
            return
        write_columns(source, path, [[{3: tag} for tag in tags] for tags in predicted])


class TagEvaluator(TokenEvaluator):
    """Accuracy over all words of all sentences."""

    def tally(self, predicted: Sequence[Any]) -> Tally:
        """(right, all) words of each sentence."""
        counts = [
            (sum(p == g for p, g in zip(ps, gs, strict=True)), len(gs))
            for ps, gs in zip(predicted, self.gold, strict=True)
        ]
        return Tally(np.array(counts, np.float64).reshape(-1, 2), accuracy)


def _hub_rows(source: str, columns: Sequence[str]) -> Dataset:
    named = {"words": columns[:1], "tags": columns[1:]}
    table = hub_table(
        source, named if columns else {"words": ("tokens", "words"), "tags": ("upos", "upos_tags", "pos_tags")}
    )
    return Dataset.from_list([_syntactic(f"{source}, row {number}", row) for number, row in enumerate(table)])


def _syntactic(place: str, row: Mapping[str, Any]) -> dict[str, list[str]]:
    """A row without the tokens that have no tag: in Universal Dependencies' own table those are multi-word tokens."""
    kept = [(word, tag) for word, tag in zip(row["words"], row["tags"], strict=True) if tag not in (None, "", "_")]
    return {"words": [word for word, _ in kept], "tags": [checked_tag(place, tag) for _, tag in kept]}
