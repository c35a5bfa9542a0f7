"""Many languages, systems and seeds in one call, as the paper's Table 5.

The base is loaded once, each test set read and tokenised once, and each run costs its K writes. The mean over seeds is
of the runs' scores, the mean over languages of the languages'; the languages themselves are not drawn: an interval says
how sure the mean over these languages is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from pathlib import Path

import numpy as np

from sftkit.algebra.arithmetic import Weighted
from sftkit.composing.bases import check_belongs
from sftkit.composing.languages import notes_on
from sftkit.errors import SettingsError
from sftkit.evaluation.bootstrap import Draws, Interval, intervals, over_seeds
from sftkit.evaluation.run import Comparison, Evaluation, Exam, Scorer, Scoring, Watch, comparison, drawn_of
from sftkit.tasks.evaluator import Scores
from sftkit.tasks.readers.sources import Reading, nobody

#: A system's runs: seed -> what is added to the base.
Runs = Mapping[str, Sequence[Weighted]]


@dataclass(frozen=True)
class Case:
    """One language: its data, and the runs of each system, by its name."""

    data: tuple[str, ...]
    systems: Mapping[str, Runs]


@dataclass(frozen=True)
class System:
    """What was found of one system.

    Attributes:
        languages: name -> what was found.
        average: mean of each metric over the languages.
        seeds: the same of each run, by its seed, if there may be several.
        intervals: the 95 % bootstrap interval of the average: examples drawn anew in each language, and runs.
        drawn: the average in every draw.
    """

    languages: Mapping[str, Evaluation]
    average: dict[str, float]
    seeds: dict[str, dict[str, float]]
    intervals: dict[str, Interval]
    drawn: Draws


@dataclass(frozen=True)
class Pair:
    """Two systems in each language, and on the average; differences are the first's less the second's."""

    first: str
    second: str
    languages: Mapping[str, Comparison]
    average: Comparison


@dataclass(frozen=True)
class Grid:
    """The outcome.

    Attributes:
        best_metric: the objective's main one.
        systems: by name.
        pairs: every two of them.
        loads: how many times the model was loaded.
        notes: what the user may want to know.
    """

    best_metric: str
    systems: Mapping[str, System]
    pairs: tuple[Pair, ...]
    loads: int
    notes: tuple[str, ...] = ()

    @property
    def languages(self) -> tuple[str, ...]:
        """The names of the languages."""
        return tuple(next(iter(self.systems.values())).languages)


@dataclass
class _Found:
    """The scores of one language's runs: system -> seed -> scores."""

    data: tuple[str, ...]
    notes: dict[str, None] = field(default_factory=dict)
    scores: dict[str, dict[str, Scores]] = field(default_factory=dict)


def evaluate_each(
    scoring: Scoring,
    base: Path,
    cases: Mapping[str, Case],
    *,
    begin: Callable[[str], None] | None = None,
    watch: Watch | None = None,
    reading: Reading = nobody,
) -> Grid:
    """Score every language.

    Args:
        scoring: how.
        base: a model directory.
        cases: name -> what to score; all have the same systems, and each system the same seeds in all of them.
        begin: told the name of each run when its turn comes.
        watch: told how far it is with it.
        reading: told how far the reading of a long text is.

    Raises:
        SftkitError: of the kind that fits, if data, base and SFTs do not go together.
    """
    runs = [{name: list(seeds) for name, seeds in case.systems.items()} for case in cases.values()]
    if any(each != runs[0] for each in runs):
        raise SettingsError("Every language needs the same systems, and each system the same seeds in all languages.")
    scorer = Scorer(scoring, base)
    every = {id(item.sft): item for case in cases.values() for item in _all(case)}
    notes = dict.fromkeys(check_belongs(base, list(every.values()), force=scoring.force))
    found: dict[str, _Found] = {}
    for name, case in cases.items():
        sets = [sfts for several in case.systems.values() for sfts in several.values()]
        objective = scorer.objective(sets[0])
        objective.watch = reading
        exam = scorer.exam(objective, objective.read(case.data), case.data)
        found[name] = _Found(case.data, dict.fromkeys(objective.reading_notes()))
        found[name].notes.update(dict.fromkeys(note for sfts in sets for note in notes_on(base, sfts)))
        _score(exam, name, case, found[name], begin, watch)
    systems = {name: _system(name, found, scoring) for name in runs[0]}
    told = [f"{name}: {note}" if name else note for name, one in found.items() for note in one.notes]
    return Grid(
        objective.best_metric, systems, _pairs(systems), scorer.stage.loads, (*notes, *told, *_remarks(found, scoring))
    )


def _all(case: Case) -> list[Weighted]:
    return [item for runs in case.systems.values() for sfts in runs.values() for item in sfts]


def _score(
    exam: Exam, language: str, case: Case, found: _Found, begin: Callable[[str], None] | None, watch: Watch | None
) -> None:
    for system, runs in case.systems.items():
        for seed, sfts in runs.items():
            if begin is not None:
                begin(", ".join(part for part in (language, system, seed and f"seed {seed}") if part))
            scores, _ = exam.score(sfts, watch)
            found.scores.setdefault(system, {})[seed] = scores
            found.notes.update(dict.fromkeys(scores.notes))


def _system(name: str, found: Mapping[str, _Found], scoring: Scoring) -> System:
    languages = {language: _evaluation(one, name, scoring) for language, one in found.items()}
    # as the same runs are drawn in every language, what all languages owe to a good seed does not average out
    drawn = _mean_draws([one.drawn for one in languages.values()])
    first = next(iter(languages.values()))
    seeds = {seed: _mean([one.seeds[seed] for one in languages.values()]) for seed in first.seeds}
    return System(languages, _mean([one.metrics for one in languages.values()]), seeds, intervals(drawn), drawn)


def _evaluation(found: _Found, system: str, scoring: Scoring) -> Evaluation:
    runs = found.scores[system]
    first = next(iter(runs.values()))
    metrics = {seed: scores.metrics for seed, scores in runs.items()}
    drawn = over_seeds([drawn_of(each, scoring) for each in runs.values()], list(metrics.values()), scoring.seed)
    alone = list(runs) == [""]
    details = first.details if alone else {seed: each.details for seed, each in runs.items() if each.details}
    return Evaluation(
        found.data, first.examples, _mean(list(metrics.values())), intervals(drawn), {} if alone else metrics,
        details, drawn=drawn, notes=tuple(found.notes),
    )  # fmt: skip


def _pairs(systems: Mapping[str, System]) -> tuple[Pair, ...]:
    return tuple(
        Pair(
            first,
            second,
            {
                language: comparison((own.metrics, own.drawn), (theirs.metrics, theirs.drawn))
                for (language, own), theirs in zip(one.languages.items(), other.languages.values(), strict=True)
            },
            comparison((one.average, one.drawn), (other.average, other.drawn)),
        )
        for (first, one), (second, other) in combinations(systems.items(), 2)
    )


def _remarks(found: Mapping[str, _Found], scoring: Scoring) -> list[str]:
    """On seeds that say nothing of others: a single one, and two whose counts are the same on every example."""
    notes = []
    for system, runs in next(iter(found.values())).scores.items():
        of = f"{system}: " if system else ""
        if list(runs) != [""] and len(runs) == 1 and scoring.resamples:
            notes.append(f"{of}one seed only ({next(iter(runs))}): the intervals say nothing of other seeds.")
        for one, other in combinations(runs, 2):
            pairs = [(each.scores[system][one].tally, each.scores[system][other].tally) for each in found.values()]
            if all(np.array_equal(a.counts, b.counts) for a, b in pairs):
                notes.append(
                    f"{of}seeds {one} and {other} score the same on every example. Is one a copy of the other?"
                )
    return notes


def _mean(each: Sequence[Mapping[str, float]]) -> dict[str, float]:
    return {name: float(np.mean([one[name] for one in each])) for name in each[0]}


def _mean_draws(each: Sequence[Draws]) -> Draws:
    return {name: np.mean([one[name] for one in each], axis=0) for name in each[0]}
