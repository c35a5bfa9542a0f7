"""Many languages in one call, as the paper's Table 5: the base is loaded once, and each language costs its K writes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sftkit.evaluation.bootstrap import Draws, Interval, intervals, p_values
from sftkit.evaluation.run import Comparison, Evaluation, Judge, Scoring, Watch, judged, opposing
from sftkit.operations.arithmetic import Weighted, repeats
from sftkit.operations.bases import check_belongs
from sftkit.tasks.sources import Reading, nobody


@dataclass(frozen=True)
class Case:
    """One language: its data, and the two systems' SFTs."""

    data: tuple[str, ...]
    sfts: tuple[Weighted, ...]
    against: tuple[Weighted, ...] = ()


@dataclass(frozen=True)
class Grid:
    """The outcome.

    Attributes:
        languages: name -> what was found.
        average: mean of each metric over the languages.
        intervals: its 95 % bootstrap interval, examples drawn anew in each language.
        against: the averages of the other systems, if there are any.
        loads: how many times the model was loaded.
    """

    languages: Mapping[str, Evaluation]
    average: dict[str, float]
    intervals: dict[str, Interval]
    against: Comparison | None
    loads: int


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
        cases: name -> what to score.
        begin: told the name of each when its turn comes.
        watch: told how far it is with it.
        reading: told how far the reading of a long text is.

    Raises:
        SftkitError: of the kind that fits, if data, base and SFTs do not go together.
    """
    judge = Judge(scoring, base)
    every = {id(item.sft): item for case in cases.values() for item in (*case.sfts, *case.against)}
    notes = check_belongs(base, list(every.values()), force=scoring.force)
    found: dict[str, Evaluation] = {}
    for name, case in cases.items():
        if begin is not None:
            begin(name)
        objective = judge.objective(case.sfts)
        objective.watch = reading
        rows = objective.read(case.data)
        scored, _ = judge.score(objective, rows, case.data, case.sfts, watch)
        other = None
        if case.against:
            other, _ = judge.score(objective, rows, case.data, opposing(case.sfts, case.against), watch)
        often = (*repeats(case.sfts), *repeats(case.against))
        told = (*(() if found else notes), *often, *objective.reading_notes())
        found[name] = judged(scoring, case.data, scored, other, told)
    drawn = _mean_draws([one.drawn for one in found.values()])
    average = _mean([one.metrics for one in found.values()])
    return Grid(found, average, intervals(drawn), _against(list(found.values()), drawn, average), judge.stage.loads)


def _against(found: Sequence[Evaluation], drawn: Draws, average: dict[str, float]) -> Comparison | None:
    others = [one.against for one in found if one.against is not None]
    if len(others) < len(found):
        return None
    theirs = _mean([other.metrics for other in others])
    difference = {name: average[name] - theirs[name] for name in average}
    drawn_theirs = _mean_draws([other.drawn for other in others])
    return Comparison(theirs, difference, p_values(drawn, drawn_theirs, difference) if drawn else {}, drawn_theirs)


def _mean(each: Sequence[Mapping[str, float]]) -> dict[str, float]:
    return {name: float(np.mean([one[name] for one in each])) for name in each[0]}


def _mean_draws(each: Sequence[Draws]) -> Draws:
    return {name: np.mean([one[name] for one in each], axis=0) for name in each[0]}
