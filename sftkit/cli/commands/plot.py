"""``sftkit plot``: the paper's figures and tables from a sweep's results."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sftkit.cli.options import shared
from sftkit.cli.options.declared import choice
from sftkit.cli.show import render
from sftkit.errors import SettingsError
from sftkit.tasks.options import parse_where

if TYPE_CHECKING:
    from sftkit.evaluation.results.panels import ScorePanel as Panel


#: What is drawn.
FIGURES = ("sweep", "contour", "overlap", "languages")


def plot(
    results: Annotated[
        list[Path],
        typer.Argument(metavar="RESULTS.csv", help="Results of a sweep; for overlap: .sft files or CSV."),
    ],
    output: Annotated[
        Path,
        typer.Option("--output", "-o", metavar="F", help="The picture (.png, .pdf, .svg), or the tables (.md, .tex)."),
    ],
    figure: Annotated[
        str,
        choice(
            "--figure",
            known=FIGURES,
            metavar="FIGURE",
            help="sweep: score against K; contour: language density × task density; overlap: the matrix, relatives "
            "side by side; languages: bars by language. Tables are of languages.",
        ),
    ] = "languages",
    task: Annotated[str | None, typer.Option("--task", metavar="TASK", help="Only this task.")] = None,
    metric: Annotated[
        str | None, typer.Option("--metric", metavar="METRIC", help="This metric, not each task's main one.")
    ] = None,
    where: Annotated[
        list[str] | None,
        typer.Option("--where", metavar="COLUMN=VALUE", help="Only the rows with this value, such as base=mbert."),
    ] = None,
    relatedness: Annotated[
        Path | None,
        typer.Option(
            "--relatedness", metavar="WORLD.json", help="overlap: how related the languages are, from a world's file."
        ),
    ] = None,
    overwrite: shared.Overwrite = False,
    quiet: shared.Quiet = False,
    json: shared.Json = False,
) -> None:
    """Draw the paper's figures from a sweep's results, or write its tables.

    \b
    Examples:
      sftkit plot results.csv --figure sweep -o sweep.pdf
      sftkit plot results.csv --figure languages --task pos -o languages.png
      sftkit plot results.csv -o tables.tex
      sftkit plot sft/*.sft --figure overlap \\
          --relatedness world/world.json -o overlap.png
    """
    from sftkit.evaluation.results.written import FORMATS, check_tables
    from sftkit.inspecting.pictures.style import check_picture

    tables = output.suffix.lower() in FORMATS
    if tables and figure != "languages":
        raise SettingsError(f"--figure {figure} is a picture: name it .png, .pdf or .svg, not {output.suffix}.")
    check_tables(output, overwrite=overwrite) if tables else check_picture(output, overwrite=overwrite)
    if figure == "overlap":
        if task is not None or where:
            raise SettingsError("--task and --where choose scores: --figure overlap has none.")
        drawn, notes = _overlap(results, metric, relatedness, output, overwrite), list[str]()
    else:
        if relatedness is not None:
            raise SettingsError(f"--relatedness is for --figure overlap, not {figure}.")
        drawn, notes = _scores(results, figure, tables, (task, metric, where or []), output, overwrite)
    if not quiet:
        for note in notes:
            render.note(note)
    if json:
        render.as_json({"output": str(output), "figure": "tables" if tables else figure, **drawn, "notes": notes})
    else:
        render.data(str(output))


def _overlap(
    files: Sequence[Path], metric: str | None, relatedness: Path | None, output: Path, overwrite: bool
) -> dict[str, Any]:
    from sftkit.evaluation.results.related import draw_overlap, read_pairs, read_relatedness

    pairs = read_pairs(files, metric)
    related = None if relatedness is None else read_relatedness(relatedness, pairs.names)
    return draw_overlap(pairs, related, output, overwrite=overwrite)


def _scores(
    results: Sequence[Path],
    figure: str,
    tables: bool,
    asked: tuple[str | None, str | None, list[str]],
    output: Path,
    overwrite: bool,
) -> tuple[dict[str, Any], list[str]]:
    from sftkit.evaluation.results import figures
    from sftkit.evaluation.results.panels import panels
    from sftkit.evaluation.results.table import read_scores
    from sftkit.evaluation.results.written import write_tables

    if len(results) > 1:
        raise SettingsError(f"--figure {figure} is of one table of results: {results[1]} is too many.")
    task, metric, where = asked
    chosen: list[Panel] = panels(read_scores(results[0], list(map(parse_where, where))), task, metric)
    draw = {"sweep": figures.draw_sweep, "contour": figures.draw_contour}.get(figure, figures.draw_languages)
    made = (write_tables if tables else draw)(chosen, output, overwrite=overwrite)
    return {"panels": made}, [note for panel in chosen for note in panel.notes]
