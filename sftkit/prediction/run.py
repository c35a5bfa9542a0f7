"""Label text that has no labels, with a model or with a base and SFTs that are added in memory.

Text is read, labelled and written as it comes, so that memory does not grow with it; only SQuAD's JSON is read whole.
"""

from __future__ import annotations

import atexit
import json
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import IO, Any

from datasets import Dataset

from sftkit.errors import SettingsError
from sftkit.evaluation.run import Scoring
from sftkit.evaluation.stage import Stage
from sftkit.format.files import SftFile
from sftkit.format.sft import SFT
from sftkit.hub import resolve_model, resolve_sft
from sftkit.modeling.load import fit_tokenizer, load_tokenizer, longest
from sftkit.operations.arithmetic import Weighted
from sftkit.operations.bases import check_belongs
from sftkit.prediction.masks import Masked
from sftkit.prediction.questions import Questions
from sftkit.prediction.texts import Row, Texts, texts_of
from sftkit.prediction.unlabelled import STANDARD_INPUT, Labeller, Unlabelled, lines_of
from sftkit.prediction.words import Sentence, Words, sentences_of
from sftkit.tasks.options import TaskOptions
from sftkit.tasks.qa import QuestionAnswering
from sftkit.tasks.registry import OBJECTIVES, objective_of
from sftkit.tasks.sequences import SequenceLabels
from sftkit.tasks.sources import Reading, nobody
from sftkit.tasks.squad_files import FEATURES

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
        self._objective = objective_of(scoring.objective, scoring.options)
        trusted = scoring.trust_remote_code
        self._stage = Stage(self._objective, base, scoring.device, trust_remote_code=trusted)
        self._tokenizer = load_tokenizer(base, words=self._objective.takes_words, trust_remote_code=trusted)
        self.notes = check_belongs(base, self._sfts, force=scoring.force)

    def opened(self, source: str, stdin: IO[bytes] | None = None, *, words: bool = False) -> Unlabelled:
        """A source, as what it has to be for the objective.

        Args:
            source: a file, or "-".
            stdin: what "-" is.
            words: whether text has a word a line.

        Raises:
            DataError: if it cannot be read.
        """
        name, objective = self._scoring.objective, self._objective
        if isinstance(objective, QuestionAnswering):
            kept = _kept(stdin) if source == STANDARD_INPUT and stdin else source
            return Questions(objective.read_unlabelled([kept]), kept)
        lines = lines_of(source, stdin)
        if isinstance(objective, SequenceLabels):
            return texts_of(source, lines, objective.wanted())
        return Masked(lines, source) if name == "mlm" else Words(name, sentences_of(source, lines, words=words))

    def given(self, texts: Iterable[Any]) -> Unlabelled:
        """Texts in memory: strings, lists of words, pairs of texts, or pairs of question and passage."""
        name = self._scoring.objective
        if name == "qa":
            rows = [{"question": one, "context": two, "texts": None, "starts": []} for one, two in texts]
            return Questions(Dataset.from_list(rows, features=FEATURES))
        if name in ("nli", "classify"):
            return Texts(Row([text] if isinstance(text, str) else list(text)) for text in texts)
        if name == "mlm":
            return Masked(texts)
        return Words(name, (Sentence(text.split() if isinstance(text, str) else list(text)) for text in texts))

    def objects(self, unlabelled: Unlabelled, reading: Reading = nobody) -> Iterator[dict[str, Any]]:
        """An object an example: ``text`` or ``words``, ``labels``, ``scores``.

        Args:
            unlabelled: as :meth:`opened` or :meth:`given` gives it.
            reading: told how many examples are labelled.
        """
        with self._stage.model(self._sfts) as model:
            labeller = self._labeller(model)
            yield from unlabelled.objects(_told(unlabelled.labelled(labeller), reading), labeller.objective.labels)

    def written(self, unlabelled: Unlabelled, reading: Reading = nobody, *, jsonl: bool = False) -> Iterator[str]:
        """The task's own format, or a JSON object a line, piece by piece; as :meth:`objects`."""
        if jsonl:
            for each in self.objects(unlabelled, reading):
                yield json.dumps(each, ensure_ascii=False) + "\n"
            return
        with self._stage.model(self._sfts) as model:
            labeller = self._labeller(model)
            yield from unlabelled.written(_told(unlabelled.labelled(labeller), reading), labeller.objective.labels)

    def _labeller(self, model: Any) -> Labeller:
        fit_tokenizer(self._tokenizer, model, self._base)
        length = min(self._scoring.max_length, longest(model, self._tokenizer))
        return Labeller(self._objective.for_model(model), model, self._tokenizer, length, self._scoring.batch_size)


def predict_texts(
    model: str | Path,
    texts: Iterable[Any],
    objective: str,
    sfts: Sequence[str | Path | SFT],
    stride: int,
    settings: dict[str, Any],
) -> Iterator[dict[str, Any]]:
    """:func:`sftkit.predict`; ``settings`` are those of :class:`Scoring`."""
    if objective not in OBJECTIVES:
        raise SettingsError(f"There is no objective {objective!r}; known are {', '.join(OBJECTIVES)}.")
    opened = [
        Weighted(SftFile(resolve_sft(str(one))), 1.0, str(one))
        if isinstance(one, str | Path)
        else Weighted(one, 1.0, one.metadata.objective or "SFT")
        for one in sfts
    ]
    predictor = Predictor(Scoring(objective, TaskOptions(stride=stride), **settings), resolve_model(str(model)), opened)
    yield from predictor.objects(predictor.given(texts))


def _told(found: Iterator[tuple[Any, Any, Any]], reading: Reading) -> Iterator[tuple[Any, Any, Any]]:
    for count, each in enumerate(found):
        if count % _TOLD == 0:
            reading("labelling", count, None)
        yield each


def _kept(stdin: IO[bytes]) -> str:
    """Standard input as a file, which lasts as long as the program: its JSON is read more than once."""
    with tempfile.NamedTemporaryFile(prefix="sftkit-", suffix=".json", delete=False) as file:
        while piece := stdin.read(1 << 20):
            file.write(piece)
    atexit.register(Path(file.name).unlink, missing_ok=True)
    return file.name
