"""``sftkit predict``: labels for text that has none."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sftkit.cli import _options, _render
from sftkit.training.settings import RECIPES, Settings

if TYPE_CHECKING:
    from collections.abc import Iterator

STANDARD_INPUT = "-"


def predict(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="A model, or the base that the SFTs are added to.")],
    sfts: Annotated[
        list[str] | None, typer.Argument(metavar="[X.sft[:WEIGHT]]…", help="SFTs to add, in memory.")
    ] = None,
    mlm: _options.MlmFiles = None,
    pos: _options.PosFiles = None,
    ner: _options.NerFiles = None,
    dep: _options.DepFiles = None,
    nli: _options.NliFiles = None,
    classify: _options.ClassifyFiles = None,
    qa: _options.QaFiles = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="Default: standard output.")
    ] = None,
    words: Annotated[
        bool, typer.Option("--words", help="pos, ner, dep: a word a line, and a blank line after each sentence.")
    ] = False,
    jsonl: Annotated[
        bool, typer.Option("--jsonl", help="A JSON object a line, with probabilities: text or words, labels, scores.")
    ] = False,
    batch_size: Annotated[int, typer.Option("--batch-size", min=1, help="Windows a batch.")] = 32,
    max_length: Annotated[
        int | None, typer.Option("--max-length", min=8, help="Tokens a window.  Default: 256; qa 384.")
    ] = None,
    columns: _options.Columns = None,
    decode: _options.Decode = "tree",
    stride: _options.Stride = 128,
    device: _options.Device = "auto",
    trust_remote_code: _options.TrustRemoteCode = False,
    force: Annotated[bool, typer.Option("--force", help="Add SFTs to another base than theirs.")] = False,
    overwrite: _options.Overwrite = False,
    quiet: _options.Quiet = False,
) -> None:
    """Label text that has no labels: a sentence a line, or what the task's own files are, with blanks.

    \b
    Examples:
      sftkit predict model/ --pos text.txt
      sftkit predict mmt-small/ mt.sft ner.sft --ner text.txt -o tagged.txt
      sftkit predict model/ --dep blank.conllu -o parsed.conllu
      echo 'Paris is the [MASK] of France.' | sftkit predict mmt-small/ --mlm - --jsonl
    """
    objective, data = _options.one_objective(
        {"mlm": mlm, "pos": pos, "ner": ner, "dep": dep, "nli": nli, "classify": classify, "qa": qa}
    )
    if len(data) > 1:
        raise typer.BadParameter(f"--{objective}: one file at a time; of several, cat them and give - for the name.")
    if words and objective not in ("pos", "ner", "dep"):
        raise typer.BadParameter(f"--words is about --pos, --ner and --dep, not --{objective}.")
    if columns and objective in ("pos", "ner"):
        raise typer.BadParameter(f"--columns: what predict --{objective} reads has words alone; see --words.")
    options = _options.checked_options(
        objective, data, columns=tuple(columns.split(",")) if columns else (), decode=decode, stride=stride
    )
    _options.check_device(device)
    from sftkit.cli._arguments import parse_weighted
    from sftkit.format.atomic import atomic_file, check_output
    from sftkit.hub import resolve_model
    from sftkit.tasks.local import check_local

    check_local(source for source in data if source != STANDARD_INPUT)
    if output is not None:
        check_output(output, overwrite=overwrite, inputs=[Path(data[0])], directory=False)
    from sftkit.cli._bar import counting_bar
    from sftkit.evaluation.run import Scoring
    from sftkit.prediction.run import Predictor

    length = int(max_length or RECIPES[objective].get("max_length", Settings.max_length))
    scoring = Scoring(
        objective, options, batch_size, length, device=device, force=force, trust_remote_code=trust_remote_code
    )
    predictor = Predictor(scoring, resolve_model(model), [parse_weighted(text) for text in sfts or ()])
    for text in () if quiet else predictor.notes:
        _render.note(text)
    unlabelled = predictor.opened(data[0], sys.stdin.buffer if sys.stdin else None, words=words)
    with counting_bar(quiet=quiet or output is None) as bar:
        pieces = predictor.written(unlabelled, bar.reading, jsonl=jsonl)
        if output is None:
            _print(pieces)
            return
        with atomic_file(output, overwrite=overwrite) as part, part.open("w", encoding="utf-8", newline="") as file:
            file.writelines(pieces)


def _print(pieces: Iterator[str]) -> None:
    """As they come, so that what reads them need not wait for the end."""
    for piece in pieces:
        if sys.stdout is not None:
            sys.stdout.write(piece)
            sys.stdout.flush()
