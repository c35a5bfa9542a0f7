"""``sftkit predict``: labels for text that has none."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sftkit.cli.options import shared
from sftkit.cli.options.declared import Given, takes
from sftkit.cli.run.purpose import check_purpose
from sftkit.cli.show import render
from sftkit.cli.show.then import after_predict
from sftkit.declared import MACHINE, OUTPUT, READING
from sftkit.tasks.options import COLUMNS, TaskOptions, parse_columns
from sftkit.training.settings import Settings, settings_for

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

STANDARD_INPUT = "-"
#: What an example is called; else a sentence.
_EXAMPLES = {"mlm": "line", "nli": "pair", "classify": "text", "qa": "question"}
_SENTENCES = "text, a sentence a line; or a word a line (--words); or CoNLL-U with blanks."
_FILES = {
    "mlm": "Text whose [MASK]s are filled, a line at a time.",
    "pos": f"Parts of speech of {_SENTENCES}  Writes CoNLL-U.",
    "ner": f"Named entities in {_SENTENCES}  Writes words and tags.",
    "dep": f"Dependency trees of {_SENTENCES}  Writes CoNLL-U.",
    "nli": "Premises and hypotheses in a table.  Writes that with labels.",
    "classify": "Texts, a line each or in a table.  Writes a table with labels.",
    "qa": "Questions in SQuAD JSON, answers missing or blank.  Writes that.",
}


@takes(_FILES, (TaskOptions, "decode", "stride"), (Settings, "max_length", "device", "trust_remote_code"))
def predict(
    given: Given,
    ctx: typer.Context,
    model: shared.Model,
    sfts: shared.Sfts = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", metavar="FILE", help="Where to.  Default: standard output.", rich_help_panel=OUTPUT
        ),
    ] = None,
    words: Annotated[
        bool | None,
        typer.Option(
            "--words/--no-words",
            show_default=False,
            help="pos, ner, dep: a word a line, and a blank line after each sentence.  Default: seen from the data.",
            rich_help_panel=READING,
        ),
    ] = None,
    jsonl: Annotated[
        bool,
        typer.Option(
            "--jsonl",
            help="A JSON object a line, with probabilities: text or words, labels, scores.",
            rich_help_panel=OUTPUT,
        ),
    ] = False,
    batch_size: Annotated[
        int, typer.Option("--batch-size", min=1, help="Windows a batch.", rich_help_panel=MACHINE)
    ] = 32,
    columns: Annotated[
        str | None,
        typer.Option(
            "--columns",
            metavar="A,B,…",
            help="nli, classify: the columns of the texts, and of the label.",
            rich_help_panel=READING,
        ),
    ] = None,
    force: shared.Force = False,
    overwrite: shared.Overwrite = False,
    quiet: shared.Quiet = False,
) -> None:
    """Label text that has no labels: a sentence a line, or what the task's own files are, with blanks.

    \b
    Examples:
      sftkit predict model/ --pos text.txt
      sftkit predict mmt-small/ mt.sft ner.sft --ner text.txt -o tagged.txt
      sftkit predict model/ --dep blank.conllu -o parsed.conllu
      echo 'Paris is the [MASK] of France.' | \\
          sftkit predict mmt-small/ --mlm - --jsonl
    """
    check_purpose(given, [model, *(sfts or ())], _FILES)
    objective, data = shared.one_objective(given, known=_FILES)
    _check_given(objective, data, columns=columns, words=words is not None)
    asked = {"columns": _with_label(objective, parse_columns(columns or ""))} | given.of(TaskOptions)
    options = shared.task_options(asked, objective, data)
    from sftkit.cli.options.arguments import parse_weighted, split_weight
    from sftkit.cli.run.bases import model_folder, with_base
    from sftkit.composing.early import check_head, check_soon, check_task
    from sftkit.storage.atomic import atomic_file, check_output
    from sftkit.tasks.readers.local import check_local

    check_local(source for source in data if source != STANDARD_INPUT)
    model, sfts = with_base("predict", model, sfts or [], quiet=quiet)
    if output is not None:
        inputs = [data[0], model, *(split_weight(text)[0] for text in sfts or ())]
        check_output(output, overwrite=overwrite, inputs=[Path(name) for name in inputs], directory=False)
    added, base = [parse_weighted(text) for text in sfts], model_folder(model, quiet=quiet)
    check_task(added, objective)
    check_soon(base, added, force=force)
    check_head(base, model, added, objective)
    from sftkit.cli.show.bar import counting_bar
    from sftkit.evaluation.run import Scoring
    from sftkit.prediction.run import Predictor

    computing = {"max_length": settings_for(objective).max_length} | given.of(Settings)
    scoring = Scoring(objective, options, batch_size, force=force, **computing)
    predictor = Predictor(scoring, base, added)
    unlabelled = predictor.opened(data[0], sys.stdin.buffer if sys.stdin else None, words=words)
    before = [*predictor.notes, *unlabelled.notes]
    _tell(before, quiet=quiet)
    with counting_bar(quiet=quiet or output is None) as bar:
        pieces = predictor.written(unlabelled, bar.reading, jsonl=jsonl)
        if output is None:
            _print(pieces)
        else:
            with atomic_file(output, overwrite=overwrite) as part, part.open("w", encoding="utf-8", newline="") as file:
                file.writelines(pieces)
    _tell([text for text in unlabelled.notes if text not in before], quiet=quiet)
    if output is not None and not quiet:
        render.said(f"wrote {output}: {render.counted(unlabelled.examples, _EXAMPLES.get(objective, 'sentence'))}")
    if not quiet and (output is not None or (render.stdout().is_terminal and data[0] != STANDARD_INPUT)):
        after_predict(ctx.obj, output, objective, jsonl=jsonl)


def _check_given(objective: str, data: Sequence[str], *, columns: str | None, words: bool) -> None:
    """Refuse several files, and options that are about other objectives."""
    if len(data) > 1:
        raise typer.BadParameter(f"--{objective}: one file at a time; of several, cat them and give - for the name.")
    if words and objective not in ("pos", "ner", "dep"):
        raise typer.BadParameter(f"--words is about --pos, --ner and --dep, not --{objective}.")
    if columns and objective in ("pos", "ner"):
        raise typer.BadParameter(f"--columns: what predict --{objective} reads has words alone; see --words.")


def _with_label(objective: str, given: tuple[str, ...]) -> tuple[str, ...]:
    """The columns that were named; if they are those of the texts alone, labels go into a new one."""
    if not given or len(given) != len(COLUMNS.get(objective, ())) - 1:
        return given
    return (*given, "0" if all(name.isdecimal() for name in given) else "label")  # there is no column 0


def _tell(notes: list[str], *, quiet: bool) -> None:
    for text in () if quiet else notes:
        render.note(text)


def _print(pieces: Iterator[str]) -> None:
    """As they come, so that what reads them need not wait for the end."""
    for piece in pieces:
        render.raw(piece)
