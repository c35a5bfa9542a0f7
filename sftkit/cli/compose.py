"""``sftkit compose``: base + SFTs = model, SFT + SFTs = SFT."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sftkit.cli import _options, _render
from sftkit.cli._arguments import open_sft, parse_argument, size_of
from sftkit.errors import SftkitError

if TYPE_CHECKING:
    from sftkit.operations.compose import ArithmeticReport

Values = Annotated[str, typer.Option("--values", metavar="f32|bf16|f16", help="How an SFT's values are stored.")]
Force = Annotated[bool, typer.Option("--force", help="Go on where a fingerprint says that an SFT belongs to another base.")]
ShardSize = Annotated[str, typer.Option("--shard-size", metavar="SIZE", help="Most bytes a file of weights.")]


def compose(
    arguments: Annotated[
        list[str], typer.Argument(metavar="[BASE] X.sft[:WEIGHT]…", help="A base and SFTs, or SFTs alone.")
    ],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="OUT", help="A model directory; X.sft for a sum of SFTs.")
    ] = None,
    method: Annotated[str, typer.Option("--method", metavar="sum|ties|dare", help="How SFTs are added.")] = "sum",
    trim: Annotated[float, typer.Option("--trim", help="ties: share of each SFT's own K that is left out.")] = 0.2,
    drop: Annotated[float, typer.Option("--drop", help="dare: probability with which an entry is left out.")] = 0.5,
    seed: _options.Seed = 0,
    values: Values = "f32",
    shard_size: ShardSize = "50GB",
    force: Force = False,
    overwrite: _options.Overwrite = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Write nothing; say what composing would do.")] = False,
    json: _options.Json = False,
    quiet: _options.Quiet = False,
) -> None:
    """Add SFTs to a base model, or to each other.

    \b
    Examples:
      sftkit compose mmt-small/ mt.sft pos.sft -o mt-tagger/
      sftkit compose bert-base-multilingual-cased hf://owner/mt-sft pos.sft:0.5 -o model/
      sftkit compose mt.sft pos.sft -o mt-pos.sft
      sftkit compose mmt-small/ mt.sft pos.sft --dry-run
    """
    from sftkit.hub import resolve_model
    from sftkit.operations.arithmetic import Method
    from sftkit.operations.compose import compose as to_model

    chosen = Method(_method(method), trim, drop, seed)
    parsed = [parse_argument(argument) for argument in arguments]
    models = [argument.name for argument in parsed if argument.is_model]
    if len(models) > 1:
        raise SftkitError(f"{models[0]} and {models[1]} are both models. Add SFTs to one model, or SFTs to each other.")
    sfts = [open_sft(argument) for argument in parsed if not argument.is_model]
    if not sfts:
        raise SftkitError(f"{models[0]} alone is no sum. Name the SFTs to add: sftkit compose {models[0]} x.sft -o model/")
    if output is None:
        raise typer.BadParameter("Say where to: -o model/ or -o sum.sft.")
    result = to_model(
        resolve_model(models[0]), sfts, output,
        name=models[0], method=chosen, shard_size=size_of(shard_size), force=force, overwrite=overwrite,
    )  # fmt: skip
    show(result, json=json, quiet=quiet)


def _method(name: str) -> str:
    if name not in ("sum", "ties", "dare"):
        raise typer.BadParameter(f"--method {name}: known are sum, ties and dare.")
    return name


def show(result: ArithmeticReport, *, json: bool, quiet: bool) -> None:
    """Print what was done."""
    if json:
        _render.as_json(result.document())
    for note in result.notes if not quiet else ():
        _render.note(note)
    if not json and not quiet:
        _render.data(str(result.output))
