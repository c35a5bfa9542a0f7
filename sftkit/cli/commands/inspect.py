"""``sftkit inspect``: what one SFT holds, or several side by side."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sftkit.cli.options import shared
from sftkit.cli.options.arguments import TERMINAL, check_apart, check_plot
from sftkit.cli.show import render
from sftkit.cli.show.render import Column
from sftkit.cli.show.then import made
from sftkit.cli.show.training import show_training
from sftkit.errors import SftkitError
from sftkit.inspecting.facts import brief_facts, facts, shown_shape
from sftkit.sharing.hub import local_sft

if TYPE_CHECKING:
    from sftkit.inspecting.stats import Stats
    from sftkit.inspecting.summary import DiffSummary
    from sftkit.inspecting.tokens import TokenRow


def inspect(
    files: Annotated[
        list[str], typer.Argument(metavar="X.sft…", help="One SFT, or several to see side by side; or models.")
    ],
    layers: Annotated[bool, typer.Option("--layers", help="Show every parameter, layer by layer.")] = False,
    tokens: Annotated[
        bool, typer.Option("--tokens", help="Name the rows of the token embedding that changed most.")
    ] = False,
    top: Annotated[int, typer.Option("--top", min=1, help="How many tokens --tokens names.")] = 20,
    tokenizer: Annotated[
        Path | None,
        typer.Option("--tokenizer", metavar="DIR", help="Where tokenizer.json is; default: the SFT's base."),
    ] = None,
    plot: Annotated[
        Path | None,
        typer.Option(
            "--plot",
            metavar="F",
            help="Draw density and |φ| by layer and kind of module (.png, .svg, .pdf); -: here in the terminal.",
        ),
    ] = None,
    curves: Annotated[
        Path | None, typer.Option("--curves", metavar="F", help="Draw the learning curves of the training record.")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an existing picture.")] = False,
    json: Annotated[
        bool, typer.Option("--json", help="Print one JSON document (a list of them for several files).")
    ] = False,
    quiet: shared.Quiet = False,
) -> None:
    """Show what an SFT holds: K, density, where in the model, how large, which tokens, where it comes from.

    \b
    Examples:
      sftkit inspect mt.sft
      sftkit inspect mt.sft --layers --tokens --plot mt.png
      sftkit inspect mt.sft ha.sft --curves curves.png
      sftkit inspect mt.sft --json
      sftkit inspect mt-tagger/
    """
    from sftkit.composing.composed import is_model

    if any(is_model(Path(file)) for file in files):
        about_sfts = {"--layers": layers, "--tokens": tokens, "--plot": plot, "--curves": curves}
        _models(files, [option for option, given in about_sfts.items() if given], json=json, quiet=quiet)
        return
    from sftkit.inspecting.summary import summarise
    from sftkit.inspecting.tokens import top_tokens

    _check_pictures(plot, curves, overwrite=overwrite, json=json)
    summaries = [summarise(local_sft(file), file) for file in files]
    named = [top_tokens(summary, tokenizer, top) for summary in summaries] if tokens else [()] * len(summaries)
    _draw(summaries, plot, curves, overwrite=overwrite)
    if json:
        documents = [
            _document(summary, rows if tokens else None) for summary, rows in zip(summaries, named, strict=True)
        ]
        render.as_json(documents[0] if len(documents) == 1 else documents)
    elif len(summaries) == 1:
        _show(summaries[0], layers)
        _show_tokens(summaries[0], named[0])
    else:
        _compare(summaries, layers)
        for summary, rows in zip(summaries, named, strict=True):
            _show_tokens(summary, rows)
    if plot == TERMINAL:
        _show_picture(summaries)
    if quiet:
        return
    if not json:
        made(plot if plot != TERMINAL else None, curves)
    for summary in summaries:
        if summary.metadata.base is None:
            render.note(f"{summary.label} does not say its base: the density is of the parameters that it names.")


def _show_picture(summaries: Sequence[DiffSummary]) -> None:
    from sftkit.cli.show.blocks import show_heat, show_histograms
    from sftkit.inspecting.pictures.data import density_maps, short_names

    names = short_names(summaries)
    for name, heat in zip(names, density_maps(summaries), strict=True):
        show_heat(heat, name)
    show_histograms(names, [summary.histogram for summary in summaries])


def _models(files: Sequence[str], options: Sequence[str], *, json: bool, quiet: bool) -> None:
    """What models were composed of."""
    from sftkit.cli.show.composed import show_model
    from sftkit.composing.composed import composed_model, is_model

    model = next(file for file in files if is_model(Path(file)))
    for other in (file for file in files if not is_model(Path(file))):
        raise SftkitError(f"{model} is a model and {other} is none: inspect one kind at a time.")
    for option in options:
        raise typer.BadParameter(f"{option} is about SFTs, and {model} is a model.")
    found = [composed_model(Path(file), file) for file in files]
    if json:
        documents = [each.document() for each in found]
        render.as_json(documents[0] if len(documents) == 1 else documents)
    for each in found if not json else ():
        show_model(each)
    for note in (note for each in found for note in each.notes if not quiet):
        render.note(note)


def _check_pictures(plot: Path | None, curves: Path | None, *, overwrite: bool, json: bool) -> None:
    check_apart({"--plot": plot, "--curves": curves})
    check_plot(plot, overwrite=overwrite, json=json)
    if curves:
        from sftkit.inspecting.pictures.style import check_picture

        check_picture(curves, overwrite=overwrite)


def _draw(summaries: Sequence[DiffSummary], plot: Path | None, curves: Path | None, *, overwrite: bool) -> None:
    if plot is not None and plot != TERMINAL:
        from sftkit.inspecting.pictures.layers import plot_summaries

        plot_summaries(summaries, plot, overwrite=overwrite)
    if curves:
        from sftkit.inspecting.pictures.curves import learning_curves
        from sftkit.inspecting.pictures.data import short_names

        records = [summary.metadata.training for summary in summaries]
        learning_curves(dict(zip(short_names(summaries), records, strict=True)), curves, overwrite=overwrite)


def _document(summary: DiffSummary, rows: Sequence[TokenRow] | None) -> dict[str, Any]:
    return summary.document() | ({} if rows is None else {"tokens": [row.document() for row in rows]})


def _show(summary: DiffSummary, every_parameter: bool) -> None:
    render.table(summary.label, [Column(""), Column("")], [(name, value) for name, value in facts(summary) if value])
    _stats_table("By kind of module", "kind", summary.kinds, summary.k)
    _stats_table("By layer", "layer", summary.layers, summary.k)
    if every_parameter:
        _stats_table("By parameter", "parameter", summary.parameters, summary.k)
    show_training(summary.metadata.training, summary.metadata.method)


def _stats_table(title: str, what: str, groups: Sequence[Stats], k: int) -> None:
    columns = [
        Column(what), Column("shape" if what == "parameter" else "elements", number=True),
        Column("entries", number=True), Column("of K", number=True), Column("density", number=True),
        Column("mean |φ|", number=True), Column("max |φ|", number=True), Column("l2", number=True),
    ]  # fmt: skip
    render.table(title, columns, [_stats_row(stats, k) for stats in groups])


def _stats_row(stats: Stats, k: int) -> tuple[str, ...]:
    size, entries = shown_shape(stats.shape), f"{stats.nnz:,}"
    if not stats.nnz:
        return (stats.name, size, entries, "–", "–", "–", "–", "–")
    share, density = render.share(stats.nnz / k), render.share(stats.density)
    return (
        stats.name,
        size,
        entries,
        share,
        density,
        f"{stats.mean_abs:.3g}",
        f"{stats.max_abs:.3g}",
        f"{stats.l2:.3g}",
    )


def _show_tokens(summary: DiffSummary, rows: Sequence[TokenRow]) -> None:
    if rows:
        columns = [
            Column("row", number=True),
            Column("token"),
            Column("entries", number=True),
            Column("l2", number=True),
        ]
        cells = [(f"{row.row:,}", row.token, f"{row.nnz:,}", f"{row.l2:.3g}") for row in rows]
        render.table(f"Tokens changed most by {summary.label}", columns, cells)


def _compare(summaries: Sequence[DiffSummary], every_parameter: bool) -> None:
    from sftkit.inspecting.overlap import unique_names

    names = unique_names([Path(summary.label) for summary in summaries])
    columns = [Column(""), *(Column(name, number=True) for name in names)]
    columns_of = [dict(brief_facts(summary)) for summary in summaries]
    rows = [
        [name, *(column.get(name, "") for column in columns_of)]
        for name in dict.fromkeys(name for column in columns_of for name in column)
    ]
    rows = [row for row in rows if any(row[1:])]
    render.table("", columns, rows, caption="heads, labels and more: inspect one alone")
    _compare_groups("Density by kind of module", columns, [summary.kinds for summary in summaries])
    _compare_groups("Density by layer", columns, [summary.layers for summary in summaries])
    if every_parameter:
        _compare_groups("Density by parameter", columns, [summary.parameters for summary in summaries])


def _compare_groups(title: str, columns: Sequence[Column], groups: Sequence[Sequence[Stats]]) -> None:
    by_name = [{stats.name: stats for stats in group} for group in groups]
    names = dict.fromkeys(name for group in by_name for name in group)
    rows = [
        [name, *(render.share(group[name].density) if name in group else "–" for group in by_name)] for name in names
    ]
    render.table(title, columns, rows)
