"""Label text that has no labels, with a model or with a base and SFTs that are added in memory.

Text is read, labelled and written as it comes, so that memory does not grow with it; only SQuAD's JSON is read whole.
"""

from __future__ import annotations

import atexit
import json
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import IO, Any

from datasets import Dataset

from sftkit.algebra.arithmetic import Weighted
from sftkit.composing.bases import check_belongs
from sftkit.composing.languages import notes_on
from sftkit.errors import SettingsError
from sftkit.evaluation.run import Scoring, for_head
from sftkit.evaluation.stage import Stage
from sftkit.modeling.load import fit_tokenizer, load_tokenizer
from sftkit.modeling.longest import longest
from sftkit.prediction.masks import Masked
from sftkit.prediction.questions import Questions
from sftkit.prediction.sentences import Sentence, sentences_of
from sftkit.prediction.texts import Row, Texts, texts_of
from sftkit.prediction.unlabelled import STANDARD_INPUT, Labeller, Unlabelled, lines_of
from sftkit.prediction.words import Words
from sftkit.tasks.qa import QuestionAnswering
from sftkit.tasks.readers.sources import Reading, nobody
from sftkit.tasks.readers.squad import FEATURES
from sftkit.tasks.registry import objective_of
from sftkit.tasks.sequences import SequenceLabels
from sftkit.tasks.unknown import told_unknown

_TOLD = 100  # examples


class Predictor:
    """A base and SFTs that label text.

    Attributes:
        notes: what the user may want to know of how they go together.
    """

    def __init__(self, scoring: Scoring, base: Path, sfts: Sequence[Weighted] = ()) -> None:
        """Load the tokenizer; the model comes with the first text.

        Args:
            scoring: for what, and how.
            base: a model directory.
            sfts: what to add to it, in memory.

        Raises:
            SftkitError: of the kind that fits, if base and SFTs do not go together, or the objective labels nothing.
        """
        if scoring.objective == "clm":
            raise SettingsError("predict labels text and fills masks; to write text, compose a model for transformers.")
        self._scoring, self._base, self._sfts = scoring, base, list(sfts)
        objective = objective_of(scoring.objective, scoring.options)
        trusted = scoring.trust_remote_code
        self._stage = Stage(objective, base, scoring.device, trust_remote_code=trusted)
        self._objective = for_head(objective, self._stage.problem(self._sfts))
        self._tokenizer = load_tokenizer(base, words=self._objective.takes_words, trust_remote_code=trusted)
        self.notes = (*notes_on(base, self._sfts), *check_belongs(base, self._sfts, force=scoring.force))

    def opened(self, source: str, stdin: IO[bytes] | None = None, *, words: bool | None = None) -> Unlabelled:
        """A source, as what it has to be for the objective.

        Args:
            source: a file, or "-".
            stdin: what "-" is.
            words: whether text has a word a line; None: seen from its first lines.

        Raises:
            DataError: if it cannot be read.
        """
        name, objective = self._scoring.objective, self._objective
        if isinstance(objective, QuestionAnswering):
            kept = _kept(stdin) if source == STANDARD_INPUT and stdin else source
            return Questions(objective.read_unlabelled([kept]), kept)
        lines = lines_of(source, stdin)
        source = "standard input" if source == STANDARD_INPUT else source
        if isinstance(objective, SequenceLabels):
            return texts_of(source, lines, objective.wanted())
        if name == "mlm":
            return Masked(lines, source)
        return Words(name, *sentences_of(source, lines, words=words, trees=name == "dep"))

    def given(self, texts: Iterable[Any]) -> Unlabelled:
        """Texts in memory: strings, lists of words, pairs of texts, or pairs of question and passage."""
        name = self._scoring.objective
        if name == "qa":
            pairs = [_texts_of(text, "pair") for text in texts]
            rows: list[dict[str, Any]] = [
                {"question": one, "context": two, "texts": None, "starts": []} for one, two in pairs
            ]
            return Questions(Dataset.from_list(rows, features=FEATURES))
        if name in ("nli", "classify"):
            return Texts(Row(_texts_of(text, "pair" if name == "nli" else "text")) for text in texts)
        if name == "mlm":
            return Masked(line for text in texts for line in _texts_of(text, "text"))
        return Words(name, (Sentence(_texts_of(text, "words")) for text in texts))

    def objects(self, unlabelled: Unlabelled, reading: Reading = nobody) -> Iterator[dict[str, Any]]:
        """An object an example: ``text`` or ``words``, ``labels``, ``scores``.

        Args:
            unlabelled: as :meth:`opened` or :meth:`given` gives it.
            reading: told how many examples are labelled.
        """
        with self._stage.model(self._sfts) as model:
            labeller = self._labeller(model)
            yield from unlabelled.objects(_told(unlabelled, labeller, reading), labeller.objective.labels)

    def written(self, unlabelled: Unlabelled, reading: Reading = nobody, *, jsonl: bool = False) -> Iterator[str]:
        """The task's own format, or a JSON object a line, piece by piece; as :meth:`objects`."""
        if jsonl:
            for each in self.objects(unlabelled, reading):
                yield json.dumps(each, ensure_ascii=False) + "\n"
            return
        with self._stage.model(self._sfts) as model:
            labeller = self._labeller(model)
            yield from unlabelled.written(_told(unlabelled, labeller, reading), labeller.objective.labels)

    def _labeller(self, model: Any) -> Labeller:
        fit_tokenizer(self._tokenizer, model, self._base)
        length = min(self._scoring.max_length, longest(model, self._tokenizer))
        return Labeller(self._objective.for_model(model), model, self._tokenizer, length, self._scoring.batch_size)


def _texts_of(given: Any, kind: str) -> list[str]:
    """One text in memory, as what is said of it in the docstring of :func:`sftkit.predict`.

    Args:
        given: a string, or several.
        kind: "words", "pair" or "text".

    Raises:
        SettingsError: if it is something else.
    """
    found = given
    if isinstance(given, str):
        found = given.split() if kind == "words" else [given]
    count = {"pair": 2, "text": 1}.get(kind)
    if not isinstance(found, list | tuple) or not all(isinstance(each, str) for each in found) or (
        count is not None and len(found) != count
    ):  # fmt: skip
        wanted = {"words": "a string or a list of words", "pair": "a pair of strings", "text": "a string"}[kind]
        raise SettingsError(f"{given!r:.60}: each of the texts must be {wanted}.")
    return list(found)


def _told(unlabelled: Unlabelled, labeller: Labeller, reading: Reading) -> Iterator[tuple[Any, Any, Any]]:
    """What is labelled, while the reader is told how far it is, and at the end what was cut."""
    for count, each in enumerate(unlabelled.labelled(labeller)):
        if count and count % _TOLD == 0:
            reading("labelling", count, None)
        unlabelled.examples = count + 1
        yield each
    cut, examples = labeller.counts["cut"], labeller.counts["examples"]
    if cut:
        unlabelled.notes.append(f"longer than the window and cut: {cut:,} of {examples:,} examples (--max-length).")
    if told := told_unknown(labeller.counts["unknown"], labeller.counts["pieces"]):
        unlabelled.notes.append(told)


def _kept(stdin: IO[bytes]) -> str:
    """Standard input as a file, which lasts as long as the program: its JSON is read more than once."""
    with tempfile.NamedTemporaryFile(prefix="sftkit-", suffix=".json", delete=False) as file:
        atexit.register(Path(file.name).unlink, missing_ok=True)
        try:
            shutil.copyfileobj(stdin, file, 1 << 20)
            file.flush()
        except OSError as error:
            error.filename = file.name  # what the system says of a descriptor names no file
            raise
    return file.name
