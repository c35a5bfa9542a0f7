"""``sftkit pull``: an SFT from the hub."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sftkit.cli.options import shared


def pull(
    repo: Annotated[
        str, typer.Argument(metavar="OWNER/NAME[@REVISION][/X.sft]", help="The repo; the file, if it has several.")
    ],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="X.sft", help="Where to; default: its name there, here.")
    ] = None,
    overwrite: shared.Overwrite = False,
    json: shared.Json = False,
    quiet: shared.Quiet = False,
) -> None:
    """Download an SFT from the hub, and check it; one that was published as pytorch_diff.bin is converted.

    \b
    Examples:
      sftkit pull me/mbert-sft-mt
      sftkit pull me/mbert-sft-mt@longer-training -o mt.sft
      sftkit pull cambridgeltl/mbert-lang-sft-mt-small -o mt.sft
    """
    from sftkit.cli.commands.convert import show
    from sftkit.sharing.publish import pull as download

    show(download(repo, output, overwrite=overwrite), json=json, quiet=quiet)
