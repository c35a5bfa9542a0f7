"""``sftkit report``: one page about SFTs, to be opened in a browser and sent to somebody else."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sftkit.cli.options import shared
from sftkit.cli.show import render
from sftkit.errors import CheckpointError, MismatchError, SettingsError
from sftkit.sharing.hub import local_sft
from sftkit.storage.places import at_home

if TYPE_CHECKING:
    from sftkit.inspecting.overlap import OverlapReport
    from sftkit.inspecting.summary import DiffSummary
    from sftkit.inspecting.tokens import TokenRow

#: Rows of the table of tokens.
_TOKENS = 20


def report(
    files: Annotated[list[str], typer.Argument(metavar="X.sft…", help="One SFT or several.")],
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="FILE", help="The page; its name ends in .html.")
    ] = Path("report.html"),
    scores: Annotated[
        list[Path] | None,
        typer.Option("--scores", metavar="FILE", help="Scores to show, too: what evaluate --json printed, or a CSV."),
    ] = None,
    tokenizer: Annotated[
        Path | None,
        typer.Option("--tokenizer", metavar="DIR", help="Where tokenizer.json is; default: the SFT's base."),
    ] = None,
    overwrite: shared.Overwrite = False,
    quiet: shared.Quiet = False,
    json: shared.Json = False,
) -> None:
    """Write one page about SFTs: what they are, where their entries sit, how they were learned and overlap.

    \b
    Examples:
      sftkit report mt.sft
      sftkit report *.sft -o report.html
      sftkit report mt.sft pos.sft --scores scores.json -o report.html
    """
    from sftkit.storage.atomic import check_output

    if output.suffix.lower() not in (".html", ".htm"):
        raise SettingsError(f"{output}: a page's name ends in .html.")
    for file in files:
        if (at_home(file) / "config.json").is_file():
            raise SettingsError(f"{file}: a model, no SFT. See what it is with sftkit inspect {file}")
    paths = [local_sft(file) for file in files]
    read = [at_home(path) for path in scores or ()]
    inputs = [*(Path(path) for path in paths if isinstance(path, str | Path)), *read]
    check_output(output, overwrite=overwrite, inputs=inputs, directory=False)
    from sftkit.evaluation.results.given import score_tables
    from sftkit.inspecting.page.report import write_report
    from sftkit.inspecting.summary import summarise

    tables = [table for path in read for table in score_tables(path)]
    summaries = [summarise(path, file) for path, file in zip(paths, files, strict=True)]
    overlap, notes = _overlap(paths, files)
    named = [_tokens(summary, tokenizer) for summary in summaries]
    if unnamed := [summary.label for summary, rows in zip(summaries, named, strict=True) if rows is None]:
        whose = unnamed[0] if len(unnamed) == 1 else f"{len(unnamed)} SFTs"
        notes.append(f"the tokens of {whose} are not named, for the base is not here; --tokenizer DIR names them.")
    write_report(output, summaries, overlap, [rows or () for rows in named], tables, overwrite=overwrite)
    for text in () if quiet else notes:
        render.note(text)
    if json:
        sfts = [{"path": summary.label, "k": summary.k, "density": summary.density} for summary in summaries]
        render.as_json({"output": str(output), "sfts": sfts, "notes": notes})
    else:
        render.data(str(output))


def _overlap(paths: Sequence[Path], called: Sequence[str]) -> tuple[OverlapReport | None, list[str]]:
    """How much they overlap, if there are several of one base; notes."""
    from sftkit.inspecting import overlap as operation

    if len(paths) < 2:
        return None, []
    try:
        return operation.overlap(paths, called=called), []
    except MismatchError as error:
        return None, [f"the page says nothing of overlap: {error}"]


def _tokens(summary: DiffSummary, tokenizer: Path | None) -> Sequence[TokenRow] | None:
    """The tokens that changed most; None where there is no tokenizer at hand."""
    from sftkit.inspecting.tokens import top_tokens

    if summary.token_embedding is None or not len(summary.token_embedding.touched):
        return ()
    try:
        return top_tokens(summary, tokenizer, _TOKENS)
    except CheckpointError:
        if tokenizer is not None:
            raise
        return None
