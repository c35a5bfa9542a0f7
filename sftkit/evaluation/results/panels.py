"""What is compared with what: panels of a task and a metric, points of a method and a density, and common ground.

Points are compared on the languages and seeds that all of them have; what one lacks is left out of all, and told.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from sftkit.errors import SettingsError
from sftkit.evaluation.results.means import Mean, mean
from sftkit.evaluation.results.table import UNBOUNDED, ScoreRow, Setting
from sftkit.shown import meant

#: Correlations and these are no percentages.
_PLAIN = (*UNBOUNDED, "spearman", "pearson")
#: What a task is told by if nobody asks: the first of these that it has, all of its group.
_MAIN = (("uas", "las"), ("exact_match", "f1"), ("f1",), ("accuracy",), ("macro_f1",), ("spearman",), ("perplexity",))


@dataclass(frozen=True)
class Point:
    """The scores of a method with one setting.

    Attributes:
        method: its name.
        setting: how dense.
        k: entries of the task's SFT, on average over the scores; None if nobody says.
        values: (language, seed) -> value.
        intervals: the same -> interval over examples, where there is one.
    """

    method: str
    setting: Setting
    k: float | None
    values: dict[tuple[str, str], float]
    intervals: dict[tuple[str, str], tuple[float, float]]

    @property
    def title(self) -> str:
        """In words, for messages."""
        if self.setting.density is None:
            return self.method
        return f"{self.method} at density {self.setting.density:g}"


@dataclass(frozen=True)
class ScorePanel:
    """A task and a metric of it.

    Attributes:
        task, metric: as the table calls them.
        points: in the table's order.
        notes: what the user should know of it.
    """

    task: str
    metric: str
    points: tuple[Point, ...]
    notes: list[str] = field(default_factory=list)

    @property
    def scale(self) -> float:
        """What values are multiplied by to be shown: shares become per cent."""
        return 1.0 if self.metric in _PLAIN else 100.0

    @property
    def title(self) -> str:
        """Such as "dep: UAS (%)"; of a table that names no task, "UAS (%)"."""
        name = self.metric.upper() if self.metric in ("uas", "las", "f1") else self.metric.replace("_", " ")
        return f"{f'{self.task}: ' if self.task else ''}{name}{' (%)' if self.scale == 100 else ''}"

    @cached_property
    def methods(self) -> tuple[str, ...]:
        """In the table's order."""
        return tuple(dict.fromkeys(point.method for point in self.points))

    @cached_property
    def languages(self) -> tuple[str, ...]:
        """In the table's order."""
        return tuple(dict.fromkeys(language for point in self.points for language, _ in point.values))

    def of(self, method: str) -> tuple[Point, ...]:
        """The points of a method."""
        return tuple(point for point in self.points if point.method == method)

    def common(self, points: Sequence[Point]) -> tuple[tuple[str, str], ...]:
        """The languages and seeds that all of some points have; what is left out is noted.

        Raises:
            SettingsError: if there are none.
        """
        every = dict.fromkeys(unit for point in points for unit in point.values)
        shared = tuple(unit for unit in every if all(unit in point.values for point in points))
        if not shared:
            least = min(points, key=lambda point: len(point.values))
            raise SettingsError(
                f"{self.title}: no language and seed was scored with all of {', '.join(self.methods)} "
                f"({least.title} has {len(least.values)} of {len(every)}). Choose methods with --where method=…"
            )
        if len(shared) < len(every):
            lacking = next(point for point in points if len(point.values) < len(every))
            note = (
                f"{self.title}: compared on the {len(shared)} of {len(every)} languages and seeds that all have; "
                f"{lacking.title} has {len(lacking.values)}."
            )
            if note not in self.notes:
                self.notes.append(note)
        return shared

    def best(self) -> tuple[Point, ...]:
        """Each method with the setting whose mean is best, as the paper chooses: on what is reported."""
        return tuple(self._best_of(self.of(method)) for method in self.methods)

    def _best_of(self, points: Sequence[Point]) -> Point:
        units, sign = self.common(points), -1 if self.metric in UNBOUNDED else 1
        return max(points, key=lambda point: sign * mean(point.values, units).value)


def panels(scores: Sequence[ScoreRow], task: str | None, metric: str | None) -> list[ScorePanel]:
    """The panels of a table: of each task its main metric, or those asked for.

    Raises:
        SettingsError: if a task or a metric is not there.
    """
    tasks = tuple(dict.fromkeys(score.task for score in scores))
    if task is not None and task not in tasks:
        there = ", ".join(tasks)
        told = f"there is {there}.{meant(task, tasks)}" if there else "the table is of one, and does not name it."
        raise SettingsError(f"--task {task}: {told}")
    chosen = [each for each in tasks if task in (None, each)]
    made = [panel for each in chosen for panel in _of_task([score for score in scores if score.task == each], metric)]
    if not made:
        known = sorted({score.metric for score in scores if score.task in chosen})
        raise SettingsError(f"--metric {metric}: there is {', '.join(known)}.{meant(metric or '', known)}")
    return made


def _of_task(scores: Sequence[ScoreRow], metric: str | None) -> Iterator[ScorePanel]:
    there = dict.fromkeys(score.metric for score in scores)
    main = next((group for group in _MAIN if all(name in there for name in group)), tuple(there)[:1])
    for name in main if metric is None else (metric,):
        if name in there:
            yield ScorePanel(scores[0].task, name, tuple(_points(score for score in scores if score.metric == name)))


def _points(scores: Iterable[ScoreRow]) -> Iterator[Point]:
    groups: dict[tuple[str, Setting], list[ScoreRow]] = {}
    for score in scores:
        groups.setdefault((score.method, score.setting), []).append(score)
    for (method, setting), group in groups.items():
        sizes = [score.k for score in group if score.k is not None]
        yield Point(
            method, setting, sum(sizes) / len(sizes) if sizes else None,
            {(score.language, score.seed): score.value for score in group},
            {(score.language, score.seed): score.interval for score in group if score.interval is not None},
        )  # fmt: skip


def language_mean(point: Point, language: str) -> Mean | None:
    """A language's mean over seeds; of one seed, with the interval over examples that the table has; None: no score."""
    units = [unit for unit in point.values if unit[0] == language]
    if not units:
        return None
    if len(units) == 1:
        low, high = point.intervals.get(units[0], (None, None))
        return Mean(point.values[units[0]], low, high, "examples", 1)
    return mean(point.values, units)
