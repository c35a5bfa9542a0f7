"""Score a model directory, or a base and SFTs composed in memory, on data of one objective.

No temporary model is written. Many languages in one call: :mod:`sftkit.evaluation.grid`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from datasets import Dataset
from transformers import PreTrainedModel

from sftkit.errors import SettingsError
from sftkit.evaluation.bootstrap import Draws, Interval, draws, intervals, p_values
from sftkit.evaluation.stage import Stage
from sftkit.format.atomic import atomic_file, check_output
from sftkit.modeling.load import fit_tokenizer, load_tokenizer, longest
from sftkit.operations.arithmetic import Weighted, paths
from sftkit.operations.bases import check_belongs
from sftkit.operations.heads import brings_task_head
from sftkit.tasks.base import Evaluator, Objective, Scores
from sftkit.tasks.local import HUB
from sftkit.tasks.options import NO_OPTIONS, TaskOptions
from sftkit.tasks.registry import objective_of
from sftkit.tasks.sources import Reading, nobody

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
        drawn: the other system's metrics in every draw.
    """

    metrics: dict[str, float]
    difference: dict[str, float]
    p: dict[str, float]
    drawn: Draws = field(default_factory=dict)


@dataclass(frozen=True)
class Evaluation:
    """The outcome.

    Attributes:
        data: the sources.
        examples: how many sentences, windows of text, pairs or questions.
        metrics: by name, in lower case; shares are between 0 and 1.
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
    details: dict[str, Any] = field(default_factory=dict)
    against: Comparison | None = None
    drawn: Draws = field(default_factory=dict)
    notes: tuple[str, ...] = ()


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
    objective = objective_of(scoring.objective, scoring.options)
    objective.watch = reading
    rows = objective.read(data)
    judge = Judge(scoring, base)
    notes = dict.fromkeys((*check_belongs(base, [*sfts, *against], force=scoring.force), *objective.reading_notes()))
    scored, predicted = judge.score(objective, rows, data, sfts, watch)
    if predictions is not None:
        with atomic_file(predictions, overwrite=overwrite) as part:
            objective.write_predictions(data[0], predicted, part)
    other = judge.score(objective, rows, data, opposing(sfts, against), watch)[0] if against else None
    return judged(scoring, data, scored, other, tuple(notes))


def opposing(sfts: Sequence[Weighted], against: Sequence[Weighted]) -> list[Weighted]:
    """The SFTs of another system: those named, and, if no task's is among them, the first system's task SFT."""
    if any(brings_task_head(item.sft) for item in against):
        return list(against)
    return [*against, *(item for item in sfts if brings_task_head(item.sft))]


class Judge:
    """Scores sets of SFTs on one base, which is loaded once."""

    def __init__(self, scoring: Scoring, base: Path) -> None:
        """Load the tokenizer; the model comes with the first set of SFTs.

        Raises:
            CheckpointError: if there is none.
        """
        self._scoring, self._base = scoring, base
        objective = objective_of(scoring.objective, scoring.options)
        trusted = scoring.trust_remote_code
        self.stage = Stage(objective, base, scoring.device, trust_remote_code=trusted)
        self._tokenizer = load_tokenizer(base, words=objective.takes_words, trust_remote_code=trusted)

    def score(
        self,
        objective: Objective,
        rows: Dataset,
        data: Sequence[str],
        sfts: Sequence[Weighted],
        watch: Watch | None = None,
    ) -> tuple[Scores, list[Any]]:
        """The scores of a set of SFTs, and its predictions."""
        with self.stage.model(sfts) as model:
            evaluator = self._evaluator(objective, rows, data, model)
            evaluator.watch = watch
            predicted = evaluator.predict(model, self._scoring.batch_size)
        return evaluator.scores(predicted), predicted

    def _evaluator(self, objective: Objective, rows: Dataset, data: Sequence[str], model: PreTrainedModel) -> Evaluator:
        fit_tokenizer(self._tokenizer, model, self._base)
        objective = objective.for_model(model)
        objective.check_labels(rows, data)
        length = min(self._scoring.max_length, longest(model, self._tokenizer))
        return objective.evaluator(rows, self._tokenizer, length, self._scoring.seed)


def judged(
    scoring: Scoring, data: Sequence[str], scores: Scores, other: Scores | None = None, notes: tuple[str, ...] = ()
) -> Evaluation:
    """Scores with their intervals and, if there is another system, the comparison with it."""
    drawn = draws(scores.tally, scoring.resamples, scoring.seed) if scoring.resamples else {}
    compared = None
    if other is not None:
        difference = {name: value - other.metrics[name] for name, value in scores.metrics.items()}
        theirs = draws(other.tally, scoring.resamples, scoring.seed) if scoring.resamples else {}
        p = p_values(drawn, theirs, difference) if drawn else {}
        compared = Comparison(other.metrics, difference, p, theirs)
    return Evaluation(
        tuple(data), scores.examples, scores.metrics, intervals(drawn), scores.details, compared, drawn,
        (*notes, *scores.notes),
    )  # fmt: skip


def _check_predictions(path: Path, data: Sequence[str], sfts: Sequence[Weighted], *, overwrite: bool) -> None:
    if len(data) > 1 or data[0].startswith(HUB):
        raise SettingsError("--predictions takes the format of the data file: name one local file.")
    check_output(path, overwrite=overwrite, inputs=[Path(data[0]), *paths(sfts)], directory=False)
