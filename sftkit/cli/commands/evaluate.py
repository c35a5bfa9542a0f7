"""``sftkit evaluate``: scores a model, or a base and SFTs in memory; one set of data, or many languages and systems."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sftkit.cli.options import shared
from sftkit.cli.run.bases import with_base
from sftkit.cli.run.request import Request
from sftkit.cli.show import render
from sftkit.cli.show.scores import show
from sftkit.training.recipes import RECIPES
from sftkit.training.settings import Settings


def evaluate(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="A model, or the base that the SFTs are added to.")],
    sfts: Annotated[
        list[str] | None, typer.Argument(metavar="[X.sft[:WEIGHT]]…", help="SFTs to add, in memory.")
    ] = None,
    mlm: shared.MlmFiles = None,
    clm: shared.ClmFiles = None,
    pos: shared.PosFiles = None,
    ner: shared.NerFiles = None,
    dep: shared.DepFiles = None,
    nli: shared.NliFiles = None,
    classify: shared.ClassifyFiles = None,
    qa: shared.QaFiles = None,
    each: Annotated[
        str | None,
        typer.Option(
            "--each",
            metavar="'lang/{}.sft'",
            help="An SFT more for each language; the data's name has {} in it, too. In the names of SFTs {seed} and "
            "{system} stand for runs: their means and intervals are told.",
        ),
    ] = None,
    against: Annotated[
        list[str] | None,
        typer.Option(
            "--against",
            metavar="X.sft[:WEIGHT]",
            help="Compare with the base under these SFTs instead (and the same task SFT, if none of them is a task's).",
        ),
    ] = None,
    predictions: Annotated[
        Path | None,
        typer.Option("--predictions", metavar="FILE", help="Write what the model said, in the data's own format."),
    ] = None,
    csv: Annotated[Path | None, typer.Option("--csv", metavar="FILE", help="Write the scores as a table.")] = None,
    plot: Annotated[
        Path | None,
        typer.Option("--plot", metavar="FILE", help="Draw the scores by language and system (.png, .svg, .pdf)."),
    ] = None,
    resamples: Annotated[
        int, typer.Option("--resamples", min=0, help="Draws of the bootstrap for intervals and p; 0: none.")
    ] = 1000,
    batch_size: Annotated[
        int, typer.Option("--batch-size", min=1, help="Windows a batch; the scores do not depend on it.")
    ] = 32,
    max_length: Annotated[
        int | None, typer.Option("--max-length", min=8, help="Tokens a window.  Default: 256; qa 384.")
    ] = None,
    seed: Annotated[
        int, typer.Option("--seed", min=0, max=2**32 - 1, help="Of the masks of --mlm, and of the bootstrap.")
    ] = 42,
    map_label: shared.MapLabel = None,
    columns: shared.Columns = None,
    where: shared.Where = None,
    scheme_in: shared.SchemeIn = "",
    strict_answers: shared.StrictAnswers = False,
    language: shared.Language = "",
    subtypes: shared.Subtypes = False,
    decode: shared.Decode = "tree",
    paper_compat: shared.PaperCompat = False,
    scheme: shared.Scheme = None,
    stride: shared.Stride = 128,
    max_lines: shared.MaxLines = None,
    pack: shared.Pack = True,
    streaming: shared.Streaming = False,
    device: shared.Device = "auto",
    trust_remote_code: shared.TrustRemoteCode = False,
    force: Annotated[bool, typer.Option("--force", help="Add SFTs to another base than theirs.")] = False,
    overwrite: shared.Overwrite = False,
    quiet: shared.Quiet = False,
    json: shared.Json = False,
) -> None:
    """Score a model on labelled data, or a base with SFTs that are added in memory.

    \b
    Examples:
      sftkit evaluate model/ --pos test.conllu
      sftkit evaluate mmt-small/ mt.sft pos.sft --pos test.conllu --predictions said.conllu
      sftkit evaluate mmt-small/ pos.sft --each 'lang/{}.sft' --pos 'ud/{}/test.conllu'
      sftkit evaluate mmt-small/ '{system}/pos-{seed}.sft' --each '{system}/{}.sft' --pos 'ud/{}.conllu' --plot x.pdf
      sftkit evaluate mmt-small/ mt.sft pos.sft --pos test.conllu --against mt-random.sft
    """
    objective, data = shared.one_objective(
        {"mlm": mlm, "clm": clm, "pos": pos, "ner": ner, "dep": dep, "nli": nli, "classify": classify, "qa": qa}
    )
    options = shared.task_options(
        map_label, columns, subtypes=subtypes, decode=decode, paper_compat=paper_compat, scheme=scheme,
        stride=stride, max_lines=max_lines, pack=pack, streaming=streaming, where=where, scheme_in=scheme_in,
        strict_answers=strict_answers,
        language=language, objective=objective, data=data,
    )  # fmt: skip
    shared.check_device(device)
    model, sfts = with_base("evaluate", model, sfts or [], quiet=quiet)
    request = Request(objective, data, model, sfts or [], each, against or [], predictions, csv, plot)
    base = request.check(overwrite=overwrite, force=force, quiet=quiet)
    from sftkit.evaluation.report import as_document, bars_of, write_csv
    from sftkit.evaluation.run import Scoring

    length = max_length or RECIPES[objective].get("max_length", Settings.max_length)
    scoring = Scoring(objective, options, batch_size, length, seed, device, force, resamples, trust_remote_code)
    found, notes = request.run(scoring, base, overwrite=overwrite, quiet=quiet)
    for text in () if quiet else notes:
        render.note(text)
    if csv is not None:
        write_csv(csv, found, overwrite=overwrite)
    if plot is not None:
        from sftkit.evaluation.picture import draw_scores
        from sftkit.tasks.registry import objective_of

        metric = objective_of(objective).best_metric
        draw_scores(metric, bars_of(found, metric), plot, overwrite=overwrite)
    if json:
        render.as_json(as_document(objective, found))
    else:
        show(" + ".join([model, *(sfts or ()), *([each] if each else [])]), found)
