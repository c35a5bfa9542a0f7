"""Score a model directory, or a base and SFTs composed in memory, on data of one objective.

No temporary model is written. Many languages in one call: :mod:`sftkit.evaluation.grid`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from datasets import Dataset
from transformers import PreTrainedModel

from sftkit.algebra.arithmetic import Weighted, paths
from sftkit.composing.bases import check_belongs
from sftkit.composing.heads import brings_task_head
from sftkit.composing.languages import notes_on
from sftkit.errors import MismatchError, SettingsError
from sftkit.evaluation.bootstrap import Draws, Interval, draws, intervals, p_values, percentiles
from sftkit.evaluation.stage import Stage
from sftkit.modeling.load import fit_tokenizer, load_tokenizer
from sftkit.modeling.longest import longest
from sftkit.storage.atomic import atomic_file, check_output
from sftkit.tasks.base import Objective
from sftkit.tasks.evaluator import Evaluator, Scores
from sftkit.tasks.options import NO_OPTIONS, TaskOptions
from sftkit.tasks.readers.local import HUB
from sftkit.tasks.readers.sources import Reading, nobody
from sftkit.tasks.registry import objective_of
from sftkit.tasks.sequences import SequenceLabels
from sftkit.tasks.unknown import unknown_pieces

#: Told how many of how many examples, or windows of them, were predicted.
Watch = Callable[[int, int], None]


@dataclass(frozen=True)
class Scoring:
    """How to score.

    Attributes:
        objective: "mlm", "pos", …
        options: what is said about the task's data.
        batch_size: windows a batch; the scores do not depend on it.
        max_length: tokens a window, special tokens included.
        seed: of the masks, for objectives that mask, and of the bootstrap.
        device: "auto", "cpu", "cuda" or "mps".
        force: add SFTs even to another base than theirs.
        resamples: draws of the bootstrap; 0 for none.
        trust_remote_code: run the Python code that comes with the model.
    """

    objective: str
    options: TaskOptions = NO_OPTIONS
    batch_size: int = 32
    max_length: int = 256
    seed: int = 42
    device: str = "auto"
    force: bool = False
    resamples: int = 1000
    trust_remote_code: bool = False


@dataclass(frozen=True)
class Comparison:
    """Another system on the same data.

    Attributes:
        metrics: its own.
        difference: the first system's less its.
        p: of each difference, by a paired bootstrap.
        intervals: the 95 % bootstrap interval of each difference.
    """

    metrics: dict[str, float]
    difference: dict[str, float]
    p: dict[str, float]
    intervals: dict[str, Interval] = field(default_factory=dict)


@dataclass(frozen=True)
class Evaluation:
    """The outcome.

    Attributes:
        data: the sources.
        examples: how many sentences, windows of text, pairs or questions.
        metrics: by name, in lower case; shares are between 0 and 1. Of several runs, their mean.
        seeds: the metrics of each run, by its seed, if there may be several.
        intervals: the 95 % bootstrap interval of each metric.
        details: more that the objective has to say, such as a confusion matrix.
        against: the other system, if there is one.
        drawn: the metrics in every draw of the bootstrap.
        notes: what the user may want to know.
    """

    data: tuple[str, ...]
    examples: int
    metrics: dict[str, float]
    intervals: dict[str, Interval] = field(default_factory=dict)
    seeds: dict[str, dict[str, float]] = field(default_factory=dict)
    details: dict[str, Any] = field(default_factory=dict)
    against: Comparison | None = None
    drawn: Draws = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def _repr_html_(self) -> str:
        """The metrics with their intervals, and the details, for notebooks."""
        from sftkit.evaluation.notebook import as_html

        return as_html(self)


def evaluate(
    scoring: Scoring,
    data: Sequence[str],
    base: Path,
    sfts: Sequence[Weighted] = (),
    *,
    against: Sequence[Weighted] = (),
    predictions: Path | None = None,
    overwrite: bool = False,
    watch: Watch | None = None,
    reading: Reading = nobody,
) -> Evaluation:
    """Score a model on labelled data.

    Args:
        scoring: how.
        data: sources, taken together.
        base: a model directory.
        sfts: what to add to it, in memory.
        against: what to add to it instead for another system to compare with; see :func:`opposing`.
        predictions: where to write what the model said, in the data's own format.
        overwrite: replace an existing file.
        watch: told how far it is.
        reading: told how far the reading of a long text is.

    Raises:
        SftkitError: of the kind that fits, if data, base and SFTs do not go together.
    """
    if predictions is not None:
        _check_predictions(predictions, data, [*sfts, *against], overwrite=overwrite)
    scorer = Scorer(scoring, base)
    objective = scorer.objective(sfts)
    objective.watch = reading
    rows = objective.read(data)
    belonging = check_belongs(base, [*sfts, *against], force=scoring.force)
    notes = dict.fromkeys((*notes_on(base, sfts), *notes_on(base, against), *belonging, *objective.reading_notes()))
    exam = scorer.exam(objective, rows, data)
    scored, predicted = exam.score(sfts, watch)
    if predictions is not None:
        with atomic_file(predictions, overwrite=overwrite) as part:
            objective.write_predictions(data[0], predicted, part)
    other = exam.score(opposing(sfts, against), watch)[0] if against else None
    return judged(scoring, data, scored, other, tuple(notes))


def for_head(objective: Objective, problem: str) -> Objective:
    """The objective for a head that is for something else than a choice of one label, if it is."""
    return objective.for_problem(problem) if isinstance(objective, SequenceLabels) else objective


def opposing(sfts: Sequence[Weighted], against: Sequence[Weighted]) -> list[Weighted]:
    """The SFTs of another system: those named, and, if no task's is among them, the first system's task SFT."""
    if any(brings_task_head(item.sft) for item in against):
        return list(against)
    return [*against, *(item for item in sfts if brings_task_head(item.sft))]


class Scorer:
    """Scores sets of SFTs on one base, which is loaded once."""

    def __init__(self, scoring: Scoring, base: Path) -> None:
        """Load the tokenizer; the model comes with the first set of SFTs.

        Raises:
            CheckpointError: if there is none.
        """
        self.scoring, self.base = scoring, base
        objective = objective_of(scoring.objective, scoring.options)
        trusted = scoring.trust_remote_code
        self.stage = Stage(objective, base, scoring.device, trust_remote_code=trusted)
        self.tokenizer = load_tokenizer(base, words=objective.takes_words, trust_remote_code=trusted)

    def objective(self, sfts: Sequence[Weighted]) -> Objective:
        """What reads the data and scores, by what the head under these SFTs is for.

        Raises:
            MismatchError: if two SFTs bring a task's head.
        """
        return for_head(objective_of(self.scoring.objective, self.scoring.options), self.stage.problem(sfts))

    def exam(self, objective: Objective, rows: Dataset, data: Sequence[str]) -> Exam:
        """What scores sets of SFTs on these rows."""
        return Exam(self, objective, rows, tuple(data))


class Exam:
    """One set of data; it is tokenised once for all sets of SFTs whose models have the same labels."""

    def __init__(self, scorer: Scorer, objective: Objective, rows: Dataset, data: tuple[str, ...]) -> None:
        self._scorer, self._objective, self._rows, self._data = scorer, objective, rows, data
        self._evaluators: dict[tuple[tuple[str, ...], int], Evaluator] = {}

    def score(self, sfts: Sequence[Weighted], watch: Watch | None = None) -> tuple[Scores, list[Any]]:
        """The scores of a set of SFTs, and its predictions.

        Raises:
            MismatchError: if their head is for something else than what the objective scores.
        """
        _check_problem(self._objective, self._scorer.objective(sfts))
        with self._scorer.stage.model(sfts) as model:
            evaluator, length = self._evaluator(model)
            evaluator.watch = watch
            predicted = evaluator.predict(model, self._scorer.scoring.batch_size)
        scores = evaluator.scores(predicted)
        told = () if self._objective.is_task else other_windows(sfts, length)
        return replace(scores, notes=(*scores.notes, *told)), predicted

    def _evaluator(self, model: PreTrainedModel) -> tuple[Evaluator, int]:
        """What scores on this model, and how many tokens its windows have."""
        scoring, tokenizer = self._scorer.scoring, self._scorer.tokenizer
        fit_tokenizer(tokenizer, model, self._scorer.base)
        objective = self._objective.for_model(model)
        length = min(scoring.max_length, longest(model, tokenizer))
        key = objective.labels, length
        if key not in self._evaluators:
            objective.check_labels(self._rows, self._data)
            made = self._evaluators[key] = objective.evaluator(self._rows, tokenizer, length, scoring.seed)
            if told := unknown_pieces(objective, self._rows, tokenizer):
                made.notes = (*made.notes, told)
        return self._evaluators[key], length


def other_windows(sfts: Sequence[Weighted], length: int) -> tuple[str, ...]:
    """A note for each language SFT that was learned in windows of another length: losses hang on it.

    Args:
        sfts: what is on the base.
        length: tokens a window that is scored.
    """
    learned = ((item.path, item.sft.metadata) for item in sfts)
    each = ((path, said.training.get("max_length")) for path, said in learned if not said.is_task)
    return tuple(
        f"{path} was learned in windows of {own} tokens; these have {length} (--max-length {own}): losses hang on it."
        for path, own in each
        if isinstance(own, int) and own != length
    )


def _check_problem(asked: Objective, found: Objective) -> None:
    """See that two systems' heads are for the same kind of problem."""
    if not isinstance(asked, SequenceLabels) or not isinstance(found, SequenceLabels):
        return
    if found.problem is not asked.problem:
        scored, own = (each.problem.name.replace("_", " ") for each in (asked, found))
        raise MismatchError(f"One system's head is for {scored}, the other's for {own}: no metric is of both.")


def judged(
    scoring: Scoring, data: Sequence[str], scores: Scores, other: Scores | None = None, notes: tuple[str, ...] = ()
) -> Evaluation:
    """Scores with their intervals and, if there is another system, the comparison with it."""
    drawn = drawn_of(scores, scoring)
    compared = None
    if other is not None:
        compared = comparison((scores.metrics, drawn), (other.metrics, drawn_of(other, scoring)))
    return Evaluation(
        tuple(data), scores.examples, scores.metrics, intervals(drawn), details=scores.details, against=compared,
        drawn=drawn, notes=(*notes, *scores.notes),
    )  # fmt: skip


def drawn_of(scores: Scores, scoring: Scoring) -> Draws:
    """The metrics in every draw of the bootstrap; none if there are to be no draws."""
    return draws(scores.tally, scoring.resamples, scoring.seed) if scoring.resamples else {}


def comparison(first: tuple[dict[str, float], Draws], other: tuple[dict[str, float], Draws]) -> Comparison:
    """Of two systems' metrics and what they are in the same draws."""
    (own, drawn), (theirs, drawn_theirs) = first, other
    difference = {name: value - theirs[name] for name, value in own.items()}
    p = p_values(drawn, drawn_theirs, difference) if drawn else {}
    spread = percentiles({name: values - drawn_theirs[name] for name, values in drawn.items()})
    return Comparison(theirs, difference, p, spread)


def _check_predictions(path: Path, data: Sequence[str], sfts: Sequence[Weighted], *, overwrite: bool) -> None:
    if len(data) > 1 or data[0].startswith(HUB):
        raise SettingsError("--predictions takes the format of the data file: name one local file.")
    check_output(path, overwrite=overwrite, inputs=[Path(data[0]), *paths(sfts)], directory=False)
