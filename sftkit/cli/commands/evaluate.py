"""``sftkit evaluate``: scores a model, or a base and SFTs in memory; one set of data, or many languages and systems."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sftkit.cli.options import shared
from sftkit.cli.options.arguments import TERMINAL, check_plot
from sftkit.cli.options.declared import Given, takes
from sftkit.cli.run.bases import with_base
from sftkit.cli.run.request import Request
from sftkit.cli.show import render
from sftkit.cli.show.scores import show
from sftkit.cli.show.then import after_scores, made
from sftkit.declared import BASE, MACHINE, OUTPUT, READING
from sftkit.tasks.options import FILES, TaskOptions
from sftkit.training.settings import Settings, settings_for

if TYPE_CHECKING:
    from sftkit.evaluation.grid import Grid
    from sftkit.evaluation.run import Evaluation
    from sftkit.inspecting.pictures.data import Bars


@takes(FILES, TaskOptions, (Settings, "max_length", "device", "trust_remote_code"))
def evaluate(
    given: Given,
    ctx: typer.Context,
    model: shared.Model,
    sfts: shared.Sfts = None,
    each: Annotated[
        str | None,
        typer.Option(
            "--each",
            metavar="'lang/{}.sft'",
            help="An SFT more for each language; the data's name has {} in it, too. In the names of SFTs {seed} and "
            "{system} stand for runs: their means and intervals are told.",
            rich_help_panel=BASE,
        ),
    ] = None,
    against: Annotated[
        list[str] | None,
        typer.Option(
            "--against",
            metavar="X.sft[:WEIGHT]",
            help="Compare with the base under these SFTs instead (and the same task SFT, if none of them is a task's).",
            rich_help_panel=BASE,
        ),
    ] = None,
    predictions: Annotated[
        Path | None,
        typer.Option(
            "--predictions",
            metavar="FILE",
            help="Write what the model said, in the data's own format.",
            rich_help_panel=OUTPUT,
        ),
    ] = None,
    csv: Annotated[
        Path | None, typer.Option("--csv", metavar="FILE", help="Write the scores as a table.", rich_help_panel=OUTPUT)
    ] = None,
    plot: Annotated[
        Path | None,
        typer.Option(
            "--plot",
            metavar="FILE",
            help="Draw the scores by language and system (.png, .svg, .pdf); -: here in the terminal.",
            rich_help_panel=OUTPUT,
        ),
    ] = None,
    resamples: Annotated[
        int,
        typer.Option(
            "--resamples", min=0, help="Draws of the bootstrap for intervals and p; 0: none.", rich_help_panel=READING
        ),
    ] = 1000,
    batch_size: Annotated[
        int,
        typer.Option(
            "--batch-size", min=1, help="Windows a batch; the scores do not depend on it.", rich_help_panel=MACHINE
        ),
    ] = 32,
    seed: Annotated[
        int,
        typer.Option(
            "--seed", min=0, max=2**32 - 1, help="Of the masks of --mlm, and of the bootstrap.", rich_help_panel=READING
        ),
    ] = 42,
    force: shared.Force = False,
    overwrite: shared.Overwrite = False,
    quiet: shared.Quiet = False,
    json: shared.Json = False,
) -> None:
    """Score a model on labelled data, or a base with SFTs that are added in memory.

    \b
    Examples:
      sftkit evaluate model/ --pos test.conllu
      sftkit evaluate mmt-small/ mt.sft pos.sft --pos test.conllu \\
          --predictions said.conllu
      sftkit evaluate mmt-small/ pos.sft --each 'lang/{}.sft' \\
          --pos 'ud/{}/test.conllu'
      sftkit evaluate mmt-small/ '{system}/pos-{seed}.sft' \\
          --each '{system}/{}.sft' --pos 'ud/{}.conllu' --plot x.pdf
      sftkit evaluate mmt-small/ mt.sft pos.sft --pos test.conllu \\
          --against mt-random.sft
    """
    objective, data = shared.one_objective(given)
    options = shared.task_options(given.of(TaskOptions), objective, data)
    model, sfts = with_base("evaluate", model, sfts or [], quiet=quiet)
    request = Request(objective, data, model, sfts, each, against or [], predictions, csv, plot)
    base = request.check(overwrite=overwrite, force=force, quiet=quiet)
    check_plot(plot, overwrite=overwrite, json=json)
    from sftkit.evaluation.report import as_document, write_csv
    from sftkit.evaluation.run import Evaluation, Scoring

    computing = {"max_length": settings_for(objective).max_length} | given.of(Settings)
    scoring = Scoring(objective, options, batch_size, seed=seed, force=force, resamples=resamples, **computing)
    found, notes = request.run(scoring, base, overwrite=overwrite, quiet=quiet)
    for text in () if quiet else notes:
        render.note(text)
    if csv is not None:
        write_csv(csv, found, overwrite=overwrite)
    if plot is not None and plot != TERMINAL:
        from sftkit.inspecting.pictures.bars import draw_scores

        draw_scores(*_bars(found, objective), plot, overwrite=overwrite)
    if json:
        render.as_json(as_document(objective, found))
    else:
        show([model, *(sfts or ()), *([each] if each else [])], found)
    if plot == TERMINAL:
        from sftkit.cli.show.blocks import show_bars

        show_bars(*_bars(found, objective))
    if not json and not quiet:
        made(predictions, csv, plot if plot != TERMINAL else None)
        after_scores(ctx.obj, objective, model, sfts or (), alone=isinstance(found, Evaluation) and not against)


def _bars(found: Evaluation | Grid, objective: str) -> tuple[str, list[Bars]]:
    """The objective's main metric, and what there is to draw of it."""
    from sftkit.evaluation.report import bars_of
    from sftkit.tasks.registry import objective_of

    metric = objective_of(objective).best_metric
    return metric, bars_of(found, metric)
