"""What ``sftkit evaluate`` was asked for and how it is done: one set of data, or a grid of languages and systems."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from sftkit.cli.options.arguments import check_apart, parse_weighted, split_pattern, split_weight
from sftkit.cli.run.bases import model_folder
from sftkit.errors import SettingsError

if TYPE_CHECKING:
    from sftkit.algebra.arithmetic import Weighted
    from sftkit.evaluation.grid import Case, Grid
    from sftkit.evaluation.patterns import Cell
    from sftkit.evaluation.run import Evaluation, Scoring


#: Stands in the names of SFTs for the objective that their data is of.
TASK = "{task}"


def for_task(objective: str, each: str | None, against: Sequence[str] | None) -> tuple[str | None, list[str]]:
    """The SFT of each language, and those to compare with, for one task."""
    return each and each.replace(TASK, objective), [text.replace(TASK, objective) for text in against or ()]


@dataclass(frozen=True)
class Request:
    """What the user asked for, as it was typed."""

    objective: str
    data: tuple[str, ...]
    model: str
    sfts: list[str]
    each: str | None
    against: list[str]
    predictions: Path | None
    csv: Path | None
    plot: Path | None = None

    @property
    def _added(self) -> list[str]:
        return [*self.sfts, *([self.each] if self.each else [])]

    @property
    def _many(self) -> bool:
        """Whether names stand for several files."""
        from sftkit.evaluation.marks import has_named_marks

        return self.each is not None or has_named_marks([*self.sfts, *self.against, *self.data])

    def check(self, *, overwrite: bool, force: bool = False, quiet: bool = False) -> Path:
        """See to what is cheap to see to; returns the model's directory.

        Raises:
            SftkitError, typer.BadParameter: if it cannot be done.
        """
        self._check_outputs(overwrite=overwrite)
        if self._many:
            self._check_marks()
            self._cells()
            return model_folder(self.model, quiet=quiet)
        for text in (text for text in (*self.sfts, *self.against) if "{}" in text and not Path(_file(text)).exists()):
            raise typer.BadParameter(
                f"{text}: {{}} stands for languages. Write --each '{text}', and {{}} in the data's name."
            )
        from sftkit.tasks.readers.local import check_local

        check_local(self.data)
        from sftkit.composing.early import check_head, check_soon, check_task

        added, others = _opened(self.sfts), _opened(self.against)
        base = model_folder(self.model, quiet=quiet)
        check_task(added, self.objective)
        check_soon(base, [*added, *others], force=force)
        check_head(base, self.model, added, self.objective)
        return base

    def _check_outputs(self, *, overwrite: bool) -> None:
        from sftkit.storage.atomic import check_output

        check_apart({"--csv": self.csv, "--plot": self.plot, "--predictions": self.predictions})
        for output in (self.csv, self.predictions):
            if output is not None:
                check_output(output, overwrite=overwrite, inputs=self._inputs(), directory=False)

    def _check_marks(self) -> None:
        """See that the marks are where they say something."""
        from sftkit.evaluation.marks import has_named_marks, marks

        if self.predictions is not None:
            raise SettingsError("--predictions is for one set of data at a time: leave --each out, and {…} in names.")
        if self.each is not None and not marks(self.each):
            raise typer.BadParameter(
                f"--each {self.each}: has no {{}} in the place of a name, nor {{seed}}, {{system}}."
            )
        added, data = marks(*self._added, *self.against), marks(*self.data)
        if "lang" in added and "lang" not in data:
            raise typer.BadParameter(
                f"--{self.objective} {self.data[0]}: has no {{}} in the place of the language's name."
            )
        if data - {"lang"}:
            raise typer.BadParameter(f"--{self.objective}: all seeds and systems have the same data; write {{}} alone.")
        if has_named_marks([self.model]):
            raise typer.BadParameter(f"{self.model}: the model is the same for all; {{…}} is for SFTs and data.")
        if self.against and "system" in added:
            raise typer.BadParameter(
                "--against names a second system, and {system} has several: leave one of them out."
            )

    def _inputs(self) -> list[Path]:
        """The files, on this machine or not, from which scores are made."""
        from sftkit.evaluation.marks import marks, matching

        names = [*self.data, *map(_file, [*self._added, *self.against])]
        found = [matching(name) if self._many and marks(name) else [name] for name in names]
        return [Path(self.model), *(Path(name) for several in found for name in several)]

    def run(
        self, scoring: Scoring, base: Path, *, overwrite: bool, quiet: bool
    ) -> tuple[Evaluation | Grid, tuple[str, ...]]:
        """Score on a base; returns what was found, and notes."""
        from sftkit.cli.show.bar import counting_bar
        from sftkit.evaluation.grid import evaluate_each
        from sftkit.evaluation.run import evaluate

        if not self._many:
            added, others = _opened(self.sfts), _opened(self.against)
            with counting_bar(quiet=quiet) as bar:
                found = evaluate(
                    scoring, self.data, base, added, against=others,
                    predictions=self.predictions, overwrite=overwrite, watch=bar.watch, reading=bar.reading,
                )  # fmt: skip
            return found, found.notes
        cases, notes = self._cases()
        with counting_bar(quiet=quiet) as bar:
            grid = evaluate_each(scoring, base, cases, begin=bar.begin, watch=bar.watch, reading=bar.reading)
        return grid, (*notes, *grid.notes)

    def _cells(self) -> tuple[list[Cell], list[str]]:
        """The languages, systems and seeds whose files are all there, and notes."""
        from sftkit.evaluation.patterns import cells_of

        return cells_of([*self.data, *map(_file, [*self._added, *self.against])])

    def _cases(self) -> tuple[dict[str, Case], list[str]]:
        """What to score for every language, system and seed, and notes. A file is opened once."""
        from sftkit.evaluation.grid import Case
        from sftkit.evaluation.patterns import Cell, filled
        from sftkit.evaluation.report import AGAINST, AVERAGE
        from sftkit.evaluation.run import opposing

        texts = [*self._added, *self.against]
        cells, notes = self._cells()
        _allow_open_files(len(cells) * len(texts))
        opened: dict[str, Weighted] = {}

        def weighted(texts: list[str], cell: Cell) -> list[Weighted]:
            names = [filled(text, cell) for text in texts]
            opened.update({name: parse_weighted(name) for name in names if name not in opened})
            return [opened[name] for name in names]

        runs: dict[str, dict[str, dict[str, list[Weighted]]]] = {}
        for cell in cells:
            systems = runs.setdefault(cell.lang, {})
            own = weighted(self._added, cell)
            systems.setdefault(cell.system, {})[cell.seed] = own
            if self.against:
                systems.setdefault(AGAINST, {})[cell.seed] = opposing(own, weighted(self.against, cell))
        if AVERAGE in runs:
            raise SettingsError(
                f"A language is called {AVERAGE}, as the row of the means is. Give its files another name."
            )
        data = {name: tuple(filled(text, Cell(lang=name)) for text in self.data) for name in runs}
        return {name or ", ".join(data[name]): Case(data[name], systems) for name, systems in runs.items()}, notes


def _allow_open_files(count: int) -> None:
    """Let this process have as many files open at once, if the system lets it: macOS begins with 256."""
    try:
        import resource
    except ImportError:  # Windows, which has no such limit
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = count + 256
    if soft != resource.RLIM_INFINITY and soft < wanted:
        wanted = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _file(text: str) -> str:
    """An SFT argument without its weight and what is picked of it."""
    return split_weight(split_pattern(text)[0])[0]


def _opened(texts: list[str]) -> list[Weighted]:
    return [parse_weighted(text) for text in texts]
