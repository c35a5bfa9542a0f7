"""A sweep's grid as cells, and the rows that its results will have. Each distinct cell is there once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sftkit.sweeps.cells import SweepCell, Work, cell, digest
from sftkit.sweeps.document import Sweep, Task
from sftkit.sweeps.external import external_cells, is_there
from sftkit.sweeps.learned import Training, bare, densities_for, learning_cells
from sftkit.sweeps.methods import SweepMethod
from sftkit.sweeps.options import ABOUT_DATA, Commands, arguments
from sftkit.sweeps.places import Names, files_of, worlds_of


@dataclass(frozen=True)
class PlannedScore:
    """Where one line of the results comes from.

    Attributes:
        labels: base, language, task, method, densities and seed.
        score: the record of the scoring.
        task, language: the record of what was learned and the SFT in it; "" for none.
    """

    labels: Mapping[str, Any]
    score: str
    task: tuple[str, str] = ("", "")
    language: tuple[str, str] = ("", "")


@dataclass
class SweepPlan:
    """All that a sweep consists of.

    Attributes:
        place: the folder of everything that is made.
        cells: by record, those that others need first.
        rows: of the results.
        notes: what is left out, and why.
    """

    place: Path
    cells: dict[str, SweepCell] = field(default_factory=dict)
    rows: list[PlannedScore] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def read(self) -> list[str]:
        """Files that cells read and that no cell makes."""
        made = {output for each in self.cells.values() for output in each.outputs}
        names = dict.fromkeys(name for each in self.cells.values() for name in each.inputs)
        return [name for name in names if name not in made]

    @property
    def missing(self) -> list[str]:
        """Those of them that are not there."""
        return [name for name in self.read if not Path(name).exists()]


def plan(sweep: Sweep, place: Path, commands: Commands) -> SweepPlan:
    """The cells and rows of a sweep.

    Args:
        sweep: as read.
        place: the folder of everything that is made.
        commands: their options.

    Raises:
        SettingsError: if the file leaves out what is needed, such as the languages of a task.
    """
    planner = _Planner(sweep, commands, SweepPlan(place))
    methods = [method for method in sweep.methods if planner.has(method)]
    worlds = worlds_of(sweep, place)
    for seed in sweep.seeds:
        names = Names(sweep, seed, worlds.get(seed))
        if names.world is not None:
            planner.plan.cells.setdefault(names.world.cell.record, names.world.cell)
        for method in methods:
            for task in (each for each in sweep.tasks if method.tasks is None or each.name in method.tasks):
                planner.cross(names, method, task)
    planner.finish()
    return planner.plan


@dataclass(frozen=True)
class _Scoring:
    """A scoring that was asked for, until it is known which cells learn what it adds up."""

    row: Mapping[str, Any]
    task: tuple[Training, float | None]
    language: tuple[Training, float | None] | None
    method: SweepMethod
    of: Task
    names: Names


@dataclass
class _Planner:
    sweep: Sweep
    commands: Commands
    plan: SweepPlan
    trainings: dict[str, tuple[Training, set[float | None]]] = field(default_factory=dict)
    scorings: list[_Scoring] = field(default_factory=list)

    def has(self, method: SweepMethod) -> bool:
        """Whether a method can be used here; if not, a note says so."""
        if method.external is None or is_there(method.external.program):
            return True
        self.plan.notes.append(f"{method.name} is left out: {method.external.program} is not here.")
        return False

    def cross(self, names: Names, method: SweepMethod, task: Task) -> None:
        """All of a method, a task and a seed: languages and densities."""
        if method.external is not None:
            cells, rows = external_cells(names, method, task, self.plan.place)
            self.plan.cells |= {each.record: each for each in cells}
            self.plan.rows += [PlannedScore(labels, score) for labels, score in rows]
            return
        base = names.filled(task.base)
        options = {**self.sweep.corpora.options, **method.language}
        needed = method.source_sft or method.language_sft
        for shared in densities_for(options) if needed else (None,):
            source = (self._language(names, names.source(task), base, options), shared) if method.source_sft else None
            learned = self._task(names, task, base, method, source)
            for density in densities_for({**task.options, **method.task}):
                self._want(learned, density)
                for language in names.languages(task):
                    own = (self._language(names, language, base, options), shared) if method.language_sft else None
                    self._score(names, method, task, (learned, density), own, language, shared)

    def _language(self, names: Names, language: str, base: str, options: Mapping[str, Any]) -> Training:
        corpora = self.sweep.corpora
        data, dev = names.filled(corpora.data, language), names.filled(corpora.dev, language)
        files = self._files(names, base, options, data, dev)
        own = names.made(base, data, dev)
        return Training(
            "language", language, corpora.objective, data, dev, base, "", bare(options), names.seed,
            self.sweep.device, files, files, own,
        )  # fmt: skip

    def _task(
        self, names: Names, task: Task, base: str, method: SweepMethod, source: tuple[Training, float | None] | None
    ) -> Training:
        language, options = names.source(task), {**task.options, **method.task}
        data, dev = names.filled(task.train, language), names.filled(task.dev, language)
        files = self._files(names, base, options, data, dev)
        made, leaves, sft = names.made(base, data, dev), files, ""
        if source is not None:
            self._want(*source)
            sft = source[0].file(self.plan.place, source[1])
            made, leaves = (*made, sft), (*files, *source[0].leaves)
        return Training(
            task.name, task.name, task.objective, data, dev, base, sft, bare(options), names.seed,
            self.sweep.device, files, leaves, made,
        )  # fmt: skip

    def _files(self, names: Names, base: str, options: Mapping[str, Any], *data: str) -> tuple[str, ...]:
        given = [options.get(name, ()) for name in ("mask-from", "avoid")]
        more = [
            str(each) for value in given for each in (value if isinstance(value, list) else [value] if value else [])
        ]
        return (*names.own(*data, *more), *(files_of(base) if names.own(base) else ()))

    def _want(self, training: Training, density: float | None) -> None:
        self.trainings.setdefault(training.folder(self.plan.place), (training, set()))[1].add(density)

    def _score(
        self,
        names: Names,
        method: SweepMethod,
        task: Task,
        learned: tuple[Training, float | None],
        own: tuple[Training, float | None] | None,
        language: str,
        shared: float | None,
    ) -> None:
        if own is not None:
            self._want(*own)
        row = {
            "base": learned[0].base, "language": language, "task": task.name, "method": method.name,
            "language_density": shared, "density": learned[1], "seed": names.seed,
        }  # fmt: skip
        self.scorings.append(_Scoring(row, learned, own, method, task, names))

    def finish(self) -> None:
        """Cells of all that was asked for."""
        place, records = self.plan.place, dict[str, str]()
        for training, wanted in self.trainings.values():
            ordered = sorted(wanted, key=lambda density: density or 0.0)
            for made, group in learning_cells(training, ordered, place, self.commands.train):
                self.plan.cells[made.record] = made
                records |= {training.file(place, density): made.record for density in group}
        for scoring in self.scorings:
            cells = list(_scored(scoring, place, self.commands))
            self.plan.cells |= {each.record: each for each in cells}
            files = [pair[0].file(place, pair[1]) if pair else "" for pair in (scoring.task, scoring.language)]
            pairs = [(records[file], file) if file else ("", "") for file in files]
            self.plan.rows.append(PlannedScore(scoring.row, cells[-1].record, pairs[0], pairs[1]))


def _scored(scoring: _Scoring, place: Path, commands: Commands) -> Iterator[SweepCell]:
    """The cell that scores; before it the one that adds up, if that is no plain sum."""
    method, task, names, row = scoring.method, scoring.of, scoring.names, scoring.row
    language, base = str(row["language"]), str(row["base"])
    added = [_weighted(scoring.task, method.task_weight, place)]
    files = [scoring.task[0].file(place, scoring.task[1])]
    if scoring.language is not None:
        added.append(_weighted(scoring.language, method.language_weight, place))
        files.append(scoring.language[0].file(place, scoring.language[1]))
    title = " ".join(f"{each}" for each in (task.name, language, method.name, row["density"]) if each is not None)
    if method.compose:
        summed = _summed(title, added, files, method, names.seed, place, commands)
        yield summed
        added, files = [summed.outputs[0]], [summed.outputs[0]]
    data = names.filled(task.test, language)
    about = {key: value for key, value in {**task.options, **method.task}.items() if key in ABOUT_DATA}
    options = {**about, **names.sweep.evaluate, **method.evaluate}
    words = [
        "evaluate", base, *added, f"--{task.objective}", data, *arguments(options, commands.evaluate),
        *(["--device", names.sweep.device] if names.sweep.device else []), "--json",
    ]  # fmt: skip
    name = f"{task.name}-{language}-{names.seed}-{digest(words)}"
    yield cell(
        f"score {title}, seed {names.seed}",
        [words],
        inputs=[*names.own(data), *names.made(base, data), *files],
        outputs=[f"{place}/scores/{name}.json"],
        log=f"{place}/logs/score-{name}.log",
        work=Work("score", base, task.name),
    )


def _weighted(learned: tuple[Training, float | None], weight: float, place: Path) -> str:
    file = learned[0].file(place, learned[1])
    return file if weight == 1 else f"{file}:{weight:g}"


def _summed(
    title: str, added: list[str], files: list[str], method: SweepMethod, seed: int, place: Path, commands: Commands
) -> SweepCell:
    words = ["compose", *added, *arguments(method.compose, commands.compose)]
    if method.compose.get("method") == "dare":
        words += ["--seed", str(seed)]
    output = f"{place}/sums/{digest(words)}.sft"
    words += ["--overwrite", "--output", output, "--json"]
    outputs = [output, f"{place}/sums/{digest(words)}.json"]
    log = f"{place}/logs/sum-{Path(output).stem}.log"
    return cell(f"add up {title}", [words], inputs=files, outputs=outputs, log=log, work=Work("sum"))
