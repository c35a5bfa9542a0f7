"""``sftkit push``: an SFT to the hub, with a model card."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sftkit.cli.options import shared
from sftkit.cli.show import render


def push(
    sft: Annotated[Path, typer.Argument(metavar="X.sft", help="The SFT.")],
    repo: Annotated[str, typer.Argument(metavar="OWNER/NAME", help="The repo; made if there is none.")],
    revision: Annotated[
        str | None, typer.Option("--revision", metavar="BRANCH", help="A branch; made if there is none.")
    ] = None,
    private: Annotated[bool, typer.Option("--private", help="Make the repo a private one.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Upload nothing; print the model card.")] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace a file of that name, and the README, in the repo.")
    ] = False,
    json: shared.Json = False,
    quiet: shared.Quiet = False,
) -> None:
    """Upload an SFT to the hub, with a model card made from what it says of itself.

    \b
    Examples:
      sftkit push mt.sft me/mbert-sft-mt --dry-run
      sftkit push mt.sft me/mbert-sft-mt --private
      sftkit push mt.sft me/mbert-sft-mt --revision longer-training
    """
    from sftkit.sharing.publish import prepare
    from sftkit.sharing.publish import push as upload

    made = prepare(sft, repo, revision)
    if not dry_run:
        made = upload(sft, made, private=private, overwrite=overwrite)
    if json:
        render.as_json(made.document())
    for note in made.notes if not quiet else ():
        render.note(note)
    if not json and (dry_run or not quiet):
        render.data(made.card if made.url is None else made.url)
