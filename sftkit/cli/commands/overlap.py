"""``sftkit overlap``: how much SFTs of the same base overlap, pair by pair."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sftkit.cli.options import shared
from sftkit.cli.options.arguments import TERMINAL, check_apart, check_plot
from sftkit.cli.options.declared import choice
from sftkit.cli.show import render
from sftkit.cli.show.render import Column
from sftkit.cli.show.then import after_overlap, made
from sftkit.sharing.hub import local_sft

if TYPE_CHECKING:
    from sftkit.inspecting.overlap import Matrix, OverlapReport

# With more pairs than this, a layer's row shows their range instead of each of them.
_MOST_PAIRS = 6


#: What is measured; kept in step with ``sftkit.inspecting.overlap.METRICS`` by a test.
METRICS = ("share", "jaccard", "lift", "sign", "cosine")


def overlap(
    ctx: typer.Context,
    files: Annotated[list[str], typer.Argument(metavar="*.sft", help="Two or more SFTs of the same base.")],
    metric: Annotated[
        str,
        choice(
            "--metric",
            known=METRICS,
            metavar="METRIC",
            help="share: |A∩B| / min(|A|, |B|); jaccard; lift: observed over expected; sign: share of the common "
            "entries with the same sign; cosine: of the difference vectors.",
        ),
    ] = METRICS[0],
    per_layer: Annotated[bool, typer.Option("--per-layer", help="Show every layer, too.")] = False,
    csv: Annotated[Path | None, typer.Option("--csv", metavar="F", help="Write the matrix as CSV.")] = None,
    plot: Annotated[
        Path | None,
        typer.Option("--plot", metavar="F", help="Draw a heat map (.png, .svg, .pdf); -: here in the terminal."),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an existing CSV file or picture.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
    quiet: shared.Quiet = False,
) -> None:
    """Show how much SFTs overlap, for every pair of them, and what chance would give.

    \b
    Examples:
      sftkit overlap mt.sft ha.sft
      sftkit overlap lang/*.sft --plot overlap.pdf --csv overlap.csv
      sftkit overlap lang/*.sft --metric sign --per-layer
    """
    if len(files) < 2:
        raise typer.BadParameter(f"{files[0]} alone overlaps nothing: name two SFTs or more.")
    from sftkit.inspecting import overlap as operation
    from sftkit.storage.atomic import check_output

    check_apart({"--csv": csv, "--plot": plot})
    if csv:
        check_output(csv, overwrite=overwrite, inputs=[Path(file) for file in files], directory=False)
    check_plot(plot, overwrite=overwrite, json=json)
    report = operation.overlap([local_sft(file) for file in files], metric, per_layer=per_layer, called=files)
    if csv:
        operation.write_csv(report, csv, overwrite=overwrite)
    if plot is not None and plot != TERMINAL:
        from sftkit.inspecting.pictures.heat import plot_overlap

        plot_overlap(report, plot, overwrite=overwrite)
    if json:
        render.as_json(report.document())
    else:
        _show(report)
    if plot == TERMINAL:
        from sftkit.cli.show.blocks import show_heat
        from sftkit.inspecting.pictures.data import overlap_map

        show_heat(overlap_map(report))
    if not json and not quiet:
        made(csv, plot if plot != TERMINAL else None)
        after_overlap(ctx.obj)


def _show(report: OverlapReport) -> None:
    from sftkit.inspecting.overlap import METRICS

    percent = _is_share(report.metric)
    title = f"{report.metric}{', %' if percent else ''}: {METRICS[report.metric]}"
    columns = [Column(""), *(Column(name, number=True) for name in report.names), Column("K", number=True)]
    rows = [
        [name, *(cell(value, percent) for value in row), f"{k:,}"]
        for name, row, k in zip(report.names, report.whole.matrix, report.k, strict=True)
    ]
    render.table(title, columns, rows, caption=_caption(report))
    if report.layers:
        _show_layers(report, percent)


def _caption(report: OverlapReport) -> str:
    percent = _is_share(report.metric)
    expected = [value for _, value in _pairs(report, report.whole.expected)]
    low, high = cell(min(expected), percent), cell(max(expected), percent)
    span = low if low == high else f"{low} to {high}"
    return f"random positions within each parameter would give {span}{' %' if percent else ''}"


def _show_layers(report: OverlapReport, percent: bool) -> None:
    """Every pair's value and, beside it, its own chance; for many pairs their range, and the mean of the chances."""
    few = len(report.names) * (len(report.names) - 1) // 2 <= _MOST_PAIRS
    names = [name for name, _ in _pairs(report, report.whole.matrix)] if few else ["lowest", "mean", "highest"]
    rows = []
    for layer, pairwise in report.layers.items():
        values = [value for _, value in _pairs(report, pairwise.matrix)]
        chances = [value for _, value in _pairs(report, pairwise.expected)]
        if few:
            pairs = zip(values, chances, strict=True)
            rows.append([layer, *(f"{cell(value, percent)} | {cell(chance, percent)}" for value, chance in pairs)])
        else:
            rows.append([layer, *(cell(value, percent) for value in (*_range(values), _range(chances)[1]))])
    columns = [Column("layer"), *(Column(name, number=True) for name in names)]
    title = f"{report.metric}{', %' if percent else ''} by layer"
    render.table(f"{title}: found | at random", columns, rows) if few else render.table(
        title, [*columns, Column("mean at random", number=True)], rows
    )


def _range(values: Sequence[float]) -> list[float]:
    defined = [value for value in values if value == value]
    if not defined:
        return [float("nan")] * 3
    return [min(defined), sum(defined) / len(defined), max(defined)]


def _pairs(report: OverlapReport, matrix: Matrix) -> list[tuple[str, float]]:
    names = report.names
    return [
        (f"{names[a]}, {names[b]}", float(matrix[a][b])) for a in range(len(names)) for b in range(a + 1, len(names))
    ]


def _is_share(metric: str) -> bool:
    return metric in ("share", "jaccard", "sign")


def cell(value: float, percent: bool) -> str:
    """A number for a table: three digits, a dash where it is undefined."""
    if value != value:
        return "–"
    return f"{100 * value:.1f}" if percent else f"{value:.3g}"
