"""``sftkit compose``: base + SFTs = model, SFT + SFTs = SFT."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, cast

import typer

from sftkit.cli.options import shared
from sftkit.cli.options.arguments import Opened, check_directory, opened, output_meant, size_of
from sftkit.cli.options.declared import choice
from sftkit.cli.run.bases import model_folder
from sftkit.cli.show import render
from sftkit.cli.show.bar import bytes_bar
from sftkit.cli.show.render import Column
from sftkit.cli.show.then import after_model, after_sft
from sftkit.declared import BASE, ENTRIES, OUTPUT
from sftkit.errors import SftkitError

if TYPE_CHECKING:
    from sftkit.algebra.arithmetic import Method
    from sftkit.composing.preview import Preview
    from sftkit.composing.report import ArithmeticReport

Only = Annotated[
    str | None,
    typer.Option(
        "--only", metavar="REGEX", help="Only parameters in whose names this is found.", rich_help_panel=ENTRIES
    ),
]
Exclude = Annotated[
    str | None,
    typer.Option("--exclude", metavar="REGEX", help="And in whose names this is not.", rich_help_panel=ENTRIES),
]
ShardSize = Annotated[
    str | None,
    typer.Option(
        "--shard-size",
        metavar="SIZE",
        help="Most bytes a file of weights.  Default: as it was.",
        rich_help_panel=OUTPUT,
    ),
]


def compose(
    arguments: Annotated[
        list[str], typer.Argument(metavar="[BASE] X.sft[:WEIGHT]…", help="A base and SFTs, or SFTs alone.")
    ],
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", metavar="OUT", help="A model directory; X.sft for a sum of SFTs.", rich_help_panel=OUTPUT
        ),
    ] = None,
    method: Annotated[
        str, choice("--method", known=("sum", "ties", "dare"), help="How SFTs are added.", rich_help_panel=BASE)
    ] = "sum",
    trim: Annotated[
        float | None,
        typer.Option(
            "--trim", help="ties: share of each SFT's own K that is left out.  Default: 0.2.", rich_help_panel=BASE
        ),
    ] = None,
    drop: Annotated[
        float | None,
        typer.Option(
            "--drop", help="dare: probability with which an entry is left out.  Default: 0.5.", rich_help_panel=BASE
        ),
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option(
            "--seed", min=0, max=2**32 - 1, help="dare: which entries are left out.  Default: 0.", rich_help_panel=BASE
        ),
    ] = None,
    head: Annotated[
        str | None,
        typer.Option(
            "--head", metavar="X.sft", help="Whose head it is, if several SFTs bring one.", rich_help_panel=BASE
        ),
    ] = None,
    no_head: Annotated[
        bool, typer.Option("--no-head", help="The backbone alone, without any head.", rich_help_panel=BASE)
    ] = False,
    values: Annotated[
        str | None,
        choice(
            "--values",
            known=("f32", "bf16", "f16"),
            help="SFTs alone: how values are stored.  Default: f32.",
            rich_help_panel=OUTPUT,
        ),
    ] = None,
    shard_size: ShardSize = None,
    only: Only = None,
    exclude: Exclude = None,
    force: shared.Force = False,
    overwrite: shared.Overwrite = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Write nothing; say what composing would do.", rich_help_panel=OUTPUT)
    ] = False,
    json: shared.Json = False,
    quiet: shared.Quiet = False,
) -> None:
    """Add SFTs to a base model, or to each other.

    \b
    Examples:
      sftkit compose mmt-small/ mt.sft pos.sft -o mt-tagger/
      sftkit compose bert-base-multilingual-cased hf://owner/mt-sft -o model/
      sftkit compose mt.sft pos.sft -o mt-pos.sft
      sftkit compose mmt-small/ mt.sft pos.sft --dry-run
      sftkit compose mmt-small/ mt.sft:0.5@embeddings ner.sft pos.sft \\
          --head pos.sft -o mt-tagger/
    """
    from sftkit.algebra.arithmetic import Method

    for option, value, of in (("--trim", trim, "ties"), ("--drop", drop, "dare"), ("--seed", seed, "dare")):
        if value is not None and method != of:
            raise typer.BadParameter(f"{option} is about --method {of}; this is {method}.")
    shares = _share("--trim", 0.2 if trim is None else trim), _share("--drop", 0.5 if drop is None else drop)
    chosen = Method(cast("Literal['sum', 'ties', 'dare']", method), *shares, seed or 0)
    shards = None if shard_size is None else size_of(shard_size)
    if output is None and not dry_run and (meant := output_meant(arguments)):
        raise typer.BadParameter(f"Say where to: -o model/ or -o sum.sft (or --dry-run, to look only).{meant}")
    given = opened(arguments, only=only, exclude=exclude)
    wish = _head_wish(given, head, no_head=no_head)
    if given.models and values is not None:
        raise typer.BadParameter("--values is about SFTs alone: a model keeps its base's dtype.")
    if not given.models and shard_size is not None:
        raise typer.BadParameter("--shard-size is about models: SFTs alone make one file.")
    if output is None and not dry_run:
        raise typer.BadParameter("Say where to: -o model/ or -o sum.sft (or --dry-run, to look only).")
    _check_meaning(given, output)
    if dry_run:
        _preview(given, chosen, wish, force=force, json=json, quiet=quiet)
        return
    assert output is not None
    if given.models:
        from sftkit.composing.compose import compose as to_model

        base = model_folder(given.models[0], quiet=quiet)
        with bytes_bar("composing", quiet=quiet) as watch:
            result = to_model(
                base, given.sfts, output, name=given.models[0],
                method=chosen, head=wish, shard_size=shards, force=force, overwrite=overwrite, watch=watch,
            )  # fmt: skip
    else:
        from sftkit.composing.sums import add

        result = add(given.sfts, output, method=chosen, values=values or "f32", overwrite=overwrite)
    show(result, json=json, quiet=quiet)
    if not json and not quiet:
        _tell_next(given, output, str((result.head or {}).get("from")))


def _tell_next(given: Opened, output: Path, head: str) -> None:
    """What to do with the model or SFT that was made; the head is that of the SFT of this name."""
    if given.models:
        after_model(output, next((item.sft.metadata.objective for item in given.sfts if item.path == head), ""))
    else:
        after_sft(output)


def _head_wish(given: Opened, head: str | None, *, no_head: bool) -> str:
    """What compose is told of the head: a digest, NO_HEAD or ""."""
    from sftkit.composing.heads import NO_HEAD

    if not no_head and head is None:
        return ""
    if no_head and head is not None:
        raise typer.BadParameter("--head and --no-head contradict each other.")
    if not given.models:
        raise typer.BadParameter("--head and --no-head are about a model: name a base first.")
    if head is None:
        return NO_HEAD
    found = next((item.sft.digest for item in given.sfts if item.path == head), None)
    if found is None:
        added = ", ".join(item.path for item in given.sfts)
        raise typer.BadParameter(f"--head {head}: is not among the SFTs that are added: {added}.")
    return found


def _share(option: str, value: float) -> float:
    if not 0 <= value < 1:
        raise typer.BadParameter(f"{option} {value:g}: a share from 0 up to, but not including, 1 is needed.")
    return value


def _check_meaning(given: Opened, output: Path | None) -> None:
    """One line on what would have a meaning where this has none."""
    models, to_sft = given.models, output is not None and output.suffix == ".sft"
    if len(models) > 1:
        raise SftkitError(
            f"{models[0]} and {models[1]} are both models. Add SFTs to one model; "
            f"what sets the two apart is an SFT: sftkit subtract {models[0]} {models[1]} -o d.sft"
        )
    if not given.sfts:
        raise typer.BadParameter(
            f"{models[0]} alone is no sum. Name what to add: sftkit compose {models[0]} x.sft -o model/"
        )
    if models and to_sft:
        raise SftkitError(
            f"A model and SFTs make a model, and {output} is named as an SFT. Write -o {output and output.stem}/, "
            f"or leave {models[0]} out to add the SFTs to each other."
        )
    if models and output is not None:
        check_directory(output)
    if not models and output is not None and not to_sft:
        raise SftkitError(
            f"SFTs alone make an SFT, and {output} is not named as one. Write -o {output}.sft, or name the base first."
        )


def _preview(given: Opened, method: Method, head: str, *, force: bool, json: bool, quiet: bool) -> None:
    from sftkit.composing.preview import preview_model, preview_sum

    if given.models:
        result = preview_model(
            model_folder(given.models[0], quiet=quiet), given.sfts, method=method, head=head, force=force
        )
    else:
        result = preview_sum(given.sfts, method=method)
    if json:
        render.as_json(result.document())
    else:
        _show_preview(result)
    for note in result.report.notes if not quiet else ():
        render.note(note)
    if result.problems:
        for line in result.problems:
            render.error(line)
        raise typer.Exit(1)


def _show_preview(result: Preview) -> None:
    made = result.report
    render.table(
        "What would be added",
        [Column("SFT"), Column("weight", number=True), Column("entries", number=True)],
        [(use["path"], f"{use['weight']:g}", f"{use['k']:,}") for use in made.sfts],
    )
    if result.problems:
        return
    head = made.head or {}
    untied = ", output matrix untied from the embedding" if head.get("untied") else ""
    render.table(
        "What would come of it",
        [Column(""), Column("")],
        [
            ("entries changed", f"{made.entries:,}"),
            ("changed by more than one SFT", f"{made.overlap:,}{_of(made.overlap, made.entries)}"),
            ("of these with both signs", f"{made.sign_conflicts:,}{_of(made.sign_conflicts, made.overlap)}"),
            (f"lost in rounding to {result.dtype}", f"{made.lost:,}{_of(made.lost, made.entries)}"),
            ("rounding error, of Σ|φ|", render.share(result.rounding)),
            ("head", f"{_HEADS[str(head.get('kind', 'base'))]} ({head.get('from', 'base')}){untied}"),
        ],
    )


_HEADS = {"task": "a task's", "language": "a language model's", "base": "the base's own"}


def _of(part: int, whole: int) -> str:
    return f" ({render.share(part / whole)})" if whole else ""


def show(result: ArithmeticReport, *, json: bool, quiet: bool, subtracted: bool = False) -> None:
    """Print what was done: the document; or the output's name, with a line about it on standard error."""
    if json:
        render.as_json(result.document())
    for note in result.notes if not quiet else ():
        render.note(note)
    if json or quiet:
        return
    counts = render.counted(result.entries, "entry", "entries")
    if result.overlap and subtracted:  # which signs are opposite then is of no meaning: one of them was turned round
        counts += f"; {result.overlap:,} of them are in more than one SFT"
    elif result.overlap:
        counts += (
            f"; {result.overlap:,} of them are in more than one SFT: there it is the sum of their values, "
            f"{result.sign_conflicts:,} times of opposite signs"
        )
    render.said(counts)
    render.data(str(result.output))
