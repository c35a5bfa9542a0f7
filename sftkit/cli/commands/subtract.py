"""``sftkit subtract``: the inverse of compose."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sftkit.cli.commands.compose import Exclude, Only, ShardSize, show
from sftkit.cli.options import shared
from sftkit.cli.options.arguments import Opened, check_directory, opened, size_of
from sftkit.cli.run.bases import model_folder
from sftkit.cli.show.bar import bytes_bar
from sftkit.cli.show.then import after_model, after_sft
from sftkit.declared import ENTRIES, OUTPUT
from sftkit.errors import SftkitError
from sftkit.storage.places import same


def subtract(
    arguments: Annotated[
        list[str],
        typer.Argument(metavar="FROM WHAT…", help="Models or SFTs; WHAT is taken from FROM. x.sft:0.5 has a weight."),
    ],
    output: Annotated[
        Path,
        typer.Option(
            "--output",
            "-o",
            metavar="OUT",
            help="X.sft, or a model directory for a model minus SFTs.",
            rich_help_panel=OUTPUT,
        ),
    ],
    k: Annotated[
        int | None,
        typer.Option("--k", min=1, help="Two models: keep the K largest differences.", rich_help_panel=ENTRIES),
    ] = None,
    density: Annotated[
        float | None, typer.Option("--density", help="The same as a share of the parameters.", rich_help_panel=ENTRIES)
    ] = None,
    values: shared.Values = "f32",
    shard_size: ShardSize = None,
    only: Only = None,
    exclude: Exclude = None,
    force: shared.Force = False,
    overwrite: shared.Overwrite = False,
    json: shared.Json = False,
    quiet: shared.Quiet = False,
) -> None:
    """Take SFTs out of a model, an SFT from another, or the difference of two models.

    \b
    Examples:
      sftkit subtract mt-tagger/ pos.sft -o mt/
      sftkit subtract mt-pos.sft mt.sft -o pos.sft
      sftkit subtract tuned/ base/ --density 0.04 -o tuned.sft
    """
    shards = None if shard_size is None else size_of(shard_size)
    if k is not None and density is not None:
        raise typer.BadParameter("--k and --density say the same thing: give one.")
    if density is not None and not 0 < density <= 1:
        raise typer.BadParameter(f"--density {density:g}: a share above 0 and up to 1 is needed.")
    given = opened(arguments, only=only, exclude=exclude)
    _check_meaning(given, output, chosen=k is not None or density is not None)
    if len(given.models) == 2:
        from sftkit.composing.difference import difference

        tuned, base = (model_folder(name, quiet=quiet) for name in given.models)
        if same(tuned, base):
            raise SftkitError(f"{' and '.join(given.models)} are one and the same model: nothing differs.")
        result = difference(
            tuned, base, output, name=given.models[1], k=k, density=density, only=only, exclude=exclude,
            values=values, overwrite=overwrite,
        )  # fmt: skip
    elif given.models:
        from sftkit.composing.subtract import subtract_from_model

        model = model_folder(given.models[0], quiet=quiet)
        with bytes_bar("subtracting", quiet=quiet) as watch:
            result = subtract_from_model(
                model, given.sfts, output, shard_size=shards, force=force, overwrite=overwrite, watch=watch
            )
    else:
        from sftkit.composing.sums import add, negated

        result = add([given.sfts[0], *negated(given.sfts[1:])], output, values=values, overwrite=overwrite)
    show(result, json=json, quiet=quiet, subtracted=True)
    if json or quiet:
        return
    if len(given.models) == 1:
        after_model(output)
    else:
        after_sft(output, given.models[1] if given.models else None)


def _check_meaning(given: Opened, output: Path, *, chosen: bool) -> None:
    """One line on what would have a meaning where this has none."""
    models, sfts = given.models, given.sfts
    if len(models) + len(sfts) < 2:
        raise typer.BadParameter("Subtracting takes two: sftkit subtract FROM WHAT -o OUT")
    if models and sfts and not given.first_is_model:
        raise SftkitError(
            f"A model cannot be taken from an SFT. The other way round: sftkit subtract {models[0]} {sfts[0].path}"
        )
    if len(models) > 2 or (len(models) == 2 and sfts):
        raise SftkitError("From a model one takes SFTs, or one other model: sftkit subtract tuned/ base/ -o d.sft")
    makes_model = len(models) == 1
    if chosen and len(models) != 2:
        raise SftkitError(
            "--k and --density choose among the differences of two models: sftkit subtract tuned/ base/ --k K"
        )
    if makes_model and output.suffix == ".sft":
        raise SftkitError(f"A model minus SFTs is a model, and {output} is named as an SFT. Write -o {output.stem}/")
    if makes_model:
        check_directory(output)
    if not makes_model and output.suffix != ".sft":
        raise SftkitError(f"The result is an SFT, and {output} is not named as one. Write -o {output}.sft")
