"""``sftkit convert``: the reference implementation's ``pytorch_diff.bin`` to ``.sft``, and back."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sftkit.cli.options import shared
from sftkit.cli.options.declared import choice
from sftkit.cli.run.bases import model_folder
from sftkit.cli.show import render
from sftkit.errors import FormatError
from sftkit.sharing.hub import SCHEME, parse_address, resolve_sft
from sftkit.storage.nearby import no_such
from sftkit.storage.places import at_home
from sftkit.tasks.options import FILES

if TYPE_CHECKING:
    from sftkit.sharing.convert import ConvertReport


def convert(
    source: Annotated[
        str, typer.Argument(metavar="SOURCE", help="A directory with pytorch_diff.bin, hf://owner/name, or X.sft.")
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="OUT", help="X.sft; or a directory, for an SFT to convert back.")
    ],
    base: Annotated[
        str | None,
        typer.Option("--base", metavar="DIR", help="The base it was learned on, for its fingerprint."),
    ] = None,
    objective: Annotated[
        str,
        choice(
            "--objective",
            known=tuple(FILES),
            metavar="NAME",
            empty=True,
            help="What it was trained for; default: told from its head.",
        ),
    ] = "",
    labels: Annotated[
        str, typer.Option("--labels", metavar="A,B,…", help="A task's labels, in the order of the head's rows.")
    ] = "",
    values: shared.Values = "f32",
    overwrite: shared.Overwrite = False,
    json: shared.Json = False,
    quiet: shared.Quiet = False,
) -> None:
    """Convert an SFT published as pytorch_diff.bin to .sft, or an .sft file back to that layout.

    \b
    Examples:
      sftkit convert published-sft/ -o mt.sft --base bert-base-multilingual-cased
      sftkit convert hf://cambridgeltl/mbert-lang-sft-mt-small -o mt.sft
      sftkit convert mt.sft -o mt-for-composable-sft/
    """
    from sftkit.errors import SettingsError
    from sftkit.sharing.convert import to_directory, to_sft

    path, back = _resolve(source)
    if back == (output.suffix == ".sft"):
        wanted = "a directory, so its name does not end in .sft" if back else "an SFT, so its name ends in .sft"
        raise SettingsError(f"{output}: what comes out of {source} is {wanted}.")
    if back and (labels or objective):
        raise typer.BadParameter(
            f"--labels and --objective are about what becomes an SFT, and {source} is one already."
        )
    folder = model_folder(base, quiet=quiet) if base else None
    if back:
        from sftkit.checkpoints.checkpoint import Checkpoint

        model_type = Checkpoint(folder).model_type if folder else ""
        report = to_directory(path, output, model_type=model_type, overwrite=overwrite)
    else:
        report = to_sft(
            path,
            output,
            base=folder,
            base_name=base or "",
            objective=objective,
            labels=[label.strip() for label in labels.split(",")] if labels else (),
            values=values,
            overwrite=overwrite,
        )
    show(report, json=json, quiet=quiet)


def show(report: ConvertReport, *, json: bool, quiet: bool) -> None:
    """Print what was written: the document, or a line; notes to standard error."""
    if json:
        render.as_json(report.document())
    elif not quiet:
        density = render.share(report.density)
        render.paragraph(
            f"{report.output}: K = {report.k:,}, density {density}, head: {', '.join(report.head) or 'none'}"
        )
    if not quiet:
        for note in report.notes:
            render.note(note)


def _resolve(source: str) -> tuple[Path, bool]:
    """The file or directory that is meant, and whether it is an SFT to be converted back."""
    if source.startswith(SCHEME):
        address = parse_address(source)
        path = resolve_sft(source if address.file else f"{source}/pytorch_diff.bin")
        return path, (address.file or "").endswith(".sft")
    path = at_home(source)
    if not path.exists():
        raise FormatError(no_such(source, "file or directory"))
    return path, path.suffix == ".sft" and not path.is_dir()
