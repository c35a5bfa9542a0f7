"""What ``sftkit sweep`` was asked for and how it is done: read and check all of it, then let Snakemake work."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import typer

from sftkit.cli.show import render
from sftkit.cli.show import sweep as show
from sftkit.cli.show.bar import cells_bar
from sftkit.errors import SettingsError
from sftkit.shown import brief
from sftkit.storage.atomic import check_folder
from sftkit.storage.documents import parse_json
from sftkit.sweeps import engine
from sftkit.sweeps.cells import SweepCell
from sftkit.sweeps.document import Sweep, read_sweep
from sftkit.sweeps.forecast import SweepForecast
from sftkit.sweeps.learned import densities_for
from sftkit.sweeps.options import CommandOption, Commands, arguments
from sftkit.sweeps.plan import SweepPlan, plan
from sftkit.sweeps.results import write_results
from sftkit.sweeps.snakefile import is_workflow, workflow, write_workflow
from sftkit.sweeps.states import DONE, states
from sftkit.sweeps.tables import without
from sftkit.training.settings import Settings, settings_for

RESULTS = "results.csv"
#: What ``settings_for`` takes besides the fields of ``Settings``, and those that are no options as they are.
_LENGTHS = ("steps", "epochs", "min_steps", "phase1_steps", "phase1_epochs")
_APART = (
    "objective", "data", "dev", "base", "base_name", "sources", "options", "rewind_to", "density", "freeze", "avoid",
    "report_to", "device",
)  # fmt: skip


def commands() -> Commands:
    """The options that the commands of cells have."""
    from sftkit.cli.app import built

    return Commands(*(_options(built(name)) for name in ("train", "evaluate", "compose")))


def _options(command: Any) -> dict[str, CommandOption]:
    params = [param for param in command.params if param.param_type_name == "option"]
    return {
        long.removeprefix("--"): CommandOption(
            bool(param.is_flag), next(iter(param.secondary_opts), ""), bool(getattr(param, "multiple", False))
        )
        for param in params
        for long in param.opts
        if long.startswith("--")
    }


@dataclass(frozen=True)
class SweepRun:
    """A sweep that was read and found to be right."""

    sweep: Sweep
    plan: SweepPlan
    quiet: bool
    json: bool
    refused: dict[str, str] = field(default_factory=dict)  # a cell's title -> why its rehearsal ended

    @staticmethod
    def read(file: Path, output: Path | None, *, quiet: bool, json: bool) -> SweepRun:
        """Read a file and plan it.

        Raises:
            SettingsError, typer.BadParameter: if something in it is wrong.
        """
        known = commands()
        sweep = read_sweep(file, known)
        _check_values(file, sweep, known)
        place = output or Path(sweep.name)
        _check_place(place)
        planned = plan(sweep, place, known)
        _check_braces(file, planned)
        return SweepRun(sweep, planned, quiet, json)

    @property
    def _results(self) -> Path:
        return self.plan.place / RESULTS

    def _tell(self) -> None:
        for note in () if self.quiet else self.plan.notes:
            render.note(note)

    def rehearse(self, jobs: int | None) -> bool:
        """Show cells, what is there, and what all takes; returns whether the sweep could be run."""
        self._tell()
        found = SweepForecast(self.plan.cells, self.sweep.costs, self._rehearsed)
        document = show.forecast(self.sweep, self.plan, found, _jobs(jobs, self.sweep))
        if self.json:
            render.as_json(document)
        else:
            show.show_forecast(document, self.sweep)
        for title, why in self.refused.items():
            render.error(f"{title} would fail: {why}")
        try:
            engine.check_engine()
        except SettingsError as error:
            render.note(str(error))
        if missing := self.plan.missing:
            render.error(show.missing(missing, self.plan.read), f"They are looked for from {Path.cwd()}.")
        return not (missing or self.refused)

    def run(self, jobs: int | None, extra: list[str]) -> bool:
        """Do what is missing; returns whether all went well."""
        engine.check_engine()
        self._tell()
        if missing := self.plan.missing:
            raise SettingsError(show.missing(missing, self.plan.read), f"They are looked for from {Path.cwd()}.")
        began, place = time.monotonic(), self.plan.place
        with engine.locked(place, self._waiting) as lock:
            write_workflow(place / engine.SNAKEFILE, workflow(self.plan, self.sweep.resources, self.sweep.name))
            outcome = self._worked(jobs, extra, lock)
            rows = write_results(self._results, self.plan.rows)
        document = show.summary(self.plan, outcome, self._results, rows, time.monotonic() - began)
        if self.json:
            render.as_json(document)
        else:
            show.show_summary(document)
        for failure in outcome.failures:
            render.error(f"{failure.title} failed: {failure.line or 'nothing was said'}", f"  see {failure.log}")
        if outcome.status != 0 and not outcome.failures and outcome.left:
            log = place / engine.LOG
            render.error(f"snakemake ended with status {outcome.status}: {engine.last_line(log)}", f"  see {log}")
        return outcome.status == 0

    def _worked(self, jobs: int | None, extra: list[str], lock: int) -> engine.WorkflowOutcome:
        """Let Snakemake work under a bar; on Ctrl-C say what becomes of what was done."""
        cells, place = self.plan.cells, self.plan.place
        seconds = show.expected(cells, SweepForecast(cells, self.sweep.costs))
        todo = {record: seconds[record] for record, state in states(cells).items() if state != DONE}
        words = engine.command(place, _jobs(jobs, self.sweep), self.sweep.resources, extra)
        try:
            with cells_bar(todo, quiet=self.quiet) as watch:
                return engine.run(words, place, lock, cells, watch)
        except KeyboardInterrupt as interrupt:
            write_results(self._results, self.plan.rows)
            interrupt.args = (f"{interrupt}; what was done is in {place}: the same command goes on",)
            raise

    def _waiting(self) -> None:
        if not self.quiet:
            render.note(f"waiting for the sweep in {self.plan.place} to end")

    def _rehearsed(self, cell: SweepCell) -> Any:
        """Measure a cell by ``train --dry-run``; None if what it needs is not there, or it is refused."""
        words = cell.rehearsal
        if words is None or not all(Path(name).exists() for name in cell.inputs if name not in self._made):
            return None
        if not self.quiet:
            render.stderr().print(f"measuring: {cell.title}", markup=False, soft_wrap=True)
        done = subprocess.run(
            [sys.executable, "-m", "sftkit", *words, "--dry-run", "--json", "--quiet"], capture_output=True, check=False
        )
        if done.returncode != 0:
            told = [line for line in done.stderr.decode(errors="replace").splitlines() if line.startswith("error: ")]
            self.refused[cell.title] = told[-1].removeprefix("error: ") if told else f"status {done.returncode}"
            return None
        return parse_json(done.stdout.decode())

    @property
    def _made(self) -> set[str]:
        return {output for each in self.plan.cells.values() for output in each.outputs}


def _jobs(jobs: int | None, sweep: Sweep) -> int:
    """Cells at a time: as asked, or as many as this process may use cores for."""
    if jobs is not None:
        return jobs
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, cores // sweep.resources.threads)


def _check_place(place: Path) -> None:
    check_folder(place)
    known = (place / engine.LOCK).exists() or is_workflow(place / engine.SNAKEFILE)  # a copy may lack the first
    if place.is_dir() and any(place.iterdir()) and not known:
        raise SettingsError(f"{place} holds other things than a sweep. Name another place with --output.")


def _check_braces(file: Path, planned: SweepPlan) -> None:
    for cell in planned.cells.values():
        for name in (*cell.inputs, *cell.outputs, cell.log):
            if "{" in name or "}" in name:
                raise SettingsError(
                    f"{file}: {cell.title}: {brief(repr(name), 80)} has a brace, which Snakemake takes for a mark. "
                    "Give the language, task, file or folder (--output) another name."
                )


def _check_values(file: Path, sweep: Sweep, known: Commands) -> None:
    """See that the commands take the values of their options, all of them, before anything is done.

    Raises:
        SettingsError: naming the file and the option.
    """
    for method in (each for each in sweep.methods if each.external is None):
        tables = [(sweep.corpora.objective, {**sweep.corpora.options, **method.language})]
        tables += [(task.objective, {**task.options, **method.task}) for task in sweep.tasks]
        for objective, options in tables:
            words = [f"--{objective}", "x", *arguments(without(options, "density"), known.train)]
            parsed = _parsed(file, "train", words, method.name)
            if 1.0 in densities_for(options) and not options.get("train-norms"):
                raise SettingsError(
                    f"{file}: method {method.name}, {objective}: density 1 is every entry, and layer norms are frozen. "
                    "Ask for less, or let them move, too: train-norms = true."
                )
            given = {name: value for name, value in parsed.items() if name in _known_settings() and value is not None}
            try:
                settings_for(objective, **given)
            except SettingsError as error:
                raise SettingsError(f"{file}: method {method.name}, {objective}: {error}") from None
        for task in sweep.tasks:
            words = [f"--{task.objective}", "x", *arguments({**sweep.evaluate, **method.evaluate}, known.evaluate)]
            _parsed(file, "evaluate", ["x", *words], method.name)
        _parsed(file, "compose", ["x", "-o", "y", *arguments(method.compose, known.compose)], method.name)


def _known_settings() -> set[str]:
    return {*(each.name for each in fields(Settings)), *_LENGTHS} - set(_APART)


def _parsed(file: Path, command: str, words: list[str], method: str) -> dict[str, Any]:
    from sftkit.cli.app import built

    try:
        return dict(built(command).make_context(command, words).params)
    except typer.TyperException as error:
        raise SettingsError(f"{file}: method {method}, {command}: {_said(error)}") from None


def _said(error: Any) -> str:
    """What a command says of its options, with the option's name."""
    return " ".join(str(error.format_message() if hasattr(error, "format_message") else error).split())
