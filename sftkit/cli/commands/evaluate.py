"""``sftkit evaluate``: scores a model, or a base and SFTs in memory; one set of data, or many languages and systems."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sftkit.cli.options import shared
from sftkit.cli.options.arguments import TERMINAL, check_plot
from sftkit.cli.options.declared import Given, takes
from sftkit.cli.run.bases import with_base
from sftkit.cli.run.request import TASK, Request, for_task
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

#: What may stand in names, and is something else in each file.
_MARKS = ("{}", "{lang}", "{system}", "{seed}", TASK)


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
            "{system} stand for runs: their means and intervals are told; {task} for pos, ner, …: data of several.",
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
      sftkit evaluate mmt-small/ '{task}.sft' --each 'lang/{}.sft' \\
          --pos 'ud/{}/test.conllu' --ner 'ner/{}.txt' --csv scores.csv
    """
    patterns = [model, *(sfts or ()), each or "", *(against or ())]
    from sftkit.evaluation.misspelt import check_marks

    shared.check_data_named([model, *(sfts or ())], given)
    check_marks([*patterns, *(file for files in given.of(FILES).values() for file in files)], _MARKS)
    asked = shared.objectives(given, several=any(TASK in text for text in patterns))
    if len(asked) > 1 and plot is not None:
        raise typer.BadParameter("--plot draws one task: name one kind of data, or --csv.")
    requests = [
        Request(objective, data, *_on_base(objective, model, sfts or [], quiet), *for_task(objective, each, against),
                predictions, csv, plot)
        for objective, data, _ in asked
    ]  # fmt: skip
    bases = [request.check(overwrite=overwrite, force=force, quiet=quiet) for request in requests]
    check_plot(plot, overwrite=overwrite, json=json)
    from sftkit.evaluation.report import write_csv
    from sftkit.evaluation.run import Scoring

    found: dict[str, Evaluation | Grid] = {}
    for request, base, (objective, _, options) in zip(requests, bases, asked, strict=True):
        computing = {"max_length": settings_for(objective).max_length} | given.of(Settings)
        scoring = Scoring(objective, options, batch_size, seed=seed, force=force, resamples=resamples, **computing)
        found[objective], notes = request.run(scoring, base, overwrite=overwrite, quiet=quiet)
        for text in () if quiet else notes:
            render.note(text)
    if csv is not None:
        write_csv(csv, found, overwrite=overwrite)
    if plot is not None and plot != TERMINAL:
        from sftkit.inspecting.pictures.bars import draw_scores

        draw_scores(*_bars(found[objective], objective), plot, overwrite=overwrite)
    _show(requests, found, ctx.obj, json=json, quiet=quiet)


def _on_base(objective: str, model: str, sfts: list[str], quiet: bool) -> tuple[str, list[str]]:
    names = [text.replace(TASK, objective) for text in (model, *sfts)]
    return with_base("evaluate", names[0], names[1:], quiet=quiet)


def _show(
    requests: Sequence[Request],
    found: Mapping[str, Evaluation | Grid],
    typed: Sequence[str],
    *,
    json: bool,
    quiet: bool,
) -> None:
    from sftkit.evaluation.report import as_document
    from sftkit.evaluation.run import Evaluation

    first = requests[0]
    if json:
        documents = {name: as_document(name, one) for name, one in found.items()}
        render.as_json(documents[first.objective] if len(found) == 1 else {"tasks": documents})
        return
    for request in requests:
        show([request.model, *request.sfts, *([request.each] if request.each else [])], found[request.objective])
    if first.plot == TERMINAL:
        from sftkit.cli.show.blocks import show_bars

        show_bars(*_bars(found[first.objective], first.objective))
    if not quiet:
        made(first.predictions, first.csv, first.plot if first.plot != TERMINAL else None)
        alone = isinstance(found[first.objective], Evaluation) and not first.against
        if len(requests) == 1:
            after_scores(typed, first.objective, first.model, first.sfts, alone=alone)


def _bars(found: Evaluation | Grid, objective: str) -> tuple[str, list[Bars]]:
    """The objective's main metric, and what there is to draw of it."""
    from sftkit.evaluation.report import bars_of
    from sftkit.tasks.registry import objective_of

    metric = objective_of(objective).best_metric
    return metric, bars_of(found, metric)
