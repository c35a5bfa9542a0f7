"""What ``sftkit evaluate`` was asked for and how it is done: one set of data, or the languages of ``--each``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from sftkit.cli._arguments import check_apart, parse_weighted, split_weight
from sftkit.errors import SettingsError

if TYPE_CHECKING:
    from sftkit.evaluation.grid import Case, Grid
    from sftkit.evaluation.run import Evaluation, Scoring
    from sftkit.operations.arithmetic import Weighted


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

    def check(self, *, overwrite: bool) -> None:
        """See to what is cheap to see to.

        Raises:
            SettingsError, OutputExistsError, typer.BadParameter: if it cannot be done.
        """
        from sftkit.format.atomic import check_output
        from sftkit.tasks.local import check_local

        if self.csv is not None:
            check_output(self.csv, overwrite=overwrite, inputs=self._inputs(), directory=False)
            check_apart({"--csv": self.csv, "--predictions": self.predictions})
        if self.each is None:
            check_local(self.data)
            return
        if self.predictions is not None:
            raise SettingsError("--predictions is for one set of data at a time: leave --each out.")
        for what, texts in (("--each", [self.each]), (f"--{self.objective}", self.data)):
            if not any("{}" in text for text in texts):
                raise typer.BadParameter(f"{what} {texts[0]}: has no {{}} in the place of the language's name.")

    def _inputs(self) -> list[Path]:
        """The files, on this machine or not, from which scores are made."""
        from sftkit.evaluation.patterns import MARK, filled, names_of

        sfts = [*self.sfts, *([self.each] if self.each else []), *self.against]
        names = [*self.data, *(split_weight(text)[0] for text in sfts)]
        found = [
            [filled(name, each) for each in names_of(name)] if self.each and MARK in name else [name] for name in names
        ]
        return [Path(self.model), *(Path(name) for several in found for name in several)]

    def run(self, scoring: Scoring, *, overwrite: bool, quiet: bool) -> tuple[Evaluation | Grid, tuple[str, ...]]:
        """Score; returns what was found, and notes."""
        from sftkit.cli._bar import counting_bar
        from sftkit.evaluation.grid import evaluate_each
        from sftkit.evaluation.run import evaluate
        from sftkit.hub import resolve_model

        if self.each is None:
            added, others = _opened(self.sfts), _opened(self.against)
            with counting_bar(quiet=quiet) as bar:
                found = evaluate(
                    scoring, self.data, resolve_model(self.model), added, against=others,
                    predictions=self.predictions, overwrite=overwrite, watch=bar.watch, reading=bar.reading,
                )  # fmt: skip
            return found, found.notes
        cases, notes = self._cases(self.each)
        with counting_bar(quiet=quiet) as bar:
            grid = evaluate_each(
                scoring, resolve_model(self.model), cases, begin=bar.begin, watch=bar.watch, reading=bar.reading
            )
        more = [f"{name}: {note}" for name, one in grid.languages.items() for note in one.notes]
        return grid, (*notes, *more)

    def _cases(self, each: str) -> tuple[dict[str, Case], list[str]]:
        """What to score for every name that stands in the place of {}, and notes. A file is opened once."""
        from sftkit.evaluation.grid import Case
        from sftkit.evaluation.patterns import MARK, filled, names_in_all

        texts = [*self.sfts, each, *self.against]
        names, notes = names_in_all([*self.data, *(split_weight(text)[0] for text in texts)])
        shared = {text: parse_weighted(text) for text in dict.fromkeys(texts) if MARK not in text}

        def weighted(texts: list[str], name: str) -> tuple[Weighted, ...]:
            return tuple(shared[text] if text in shared else parse_weighted(filled(text, name)) for text in texts)

        cases = {
            name: Case(
                tuple(filled(text, name) for text in self.data),
                weighted([*self.sfts, each], name),
                weighted(self.against, name),
            )
            for name in names
        }
        return cases, notes


def _opened(texts: list[str]) -> list[Weighted]:
    return [parse_weighted(text) for text in texts]
