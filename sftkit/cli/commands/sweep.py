"""``sftkit sweep``: a grid of training and scoring, done by Snakemake."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sftkit.cli.options import shared
from sftkit.cli.show import render


def _named(incomplete: str) -> list[tuple[str, str]]:
    from sftkit.sweeps.shipped import shipped

    return [each for each in shipped().items() if each[0].startswith(incomplete)]


def sweep(
    file: Annotated[
        str | None,
        typer.Argument(
            metavar="FILE.toml", help="What to cross, or the name of a sweep that comes along.", autocompletion=_named
        ),
    ] = None,
    extra: Annotated[
        list[str] | None, typer.Argument(metavar="[-- ARGUMENT…]", help="Arguments for snakemake, such as --executor.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="DIR", help="Where everything goes.  Default: FILE's name.")
    ] = None,
    jobs: Annotated[
        int | None, typer.Option("--jobs", "-j", metavar="N", min=1, help="Cells at a time.  Default: one a core.")
    ] = None,
    profile: Annotated[
        str | None, typer.Option("--profile", metavar="NAME", help="A Snakemake profile: for Slurm, Kubernetes, ….")
    ] = None,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run",
            help="Show cells, what exists already, and what is expected, by a few measured steps; write nothing.",
        ),
    ] = False,
    listing: Annotated[bool, typer.Option("--list", help="Show the sweeps that come with sftkit.")] = False,
    quiet: shared.Quiet = False,
    json: shared.Json = False,
) -> None:
    """Train and score a grid of languages, tasks, methods, densities and seeds; what is done already stays.

    \b
    Examples:
      sftkit sweep transfer.toml --dry-run
      sftkit sweep transfer.toml -j 2
      sftkit sweep paper --profile slurm/
      sftkit sweep transfer.toml -- --executor slurm \\
          --default-resources slurm_partition=gpu
      sftkit sweep --list
    """
    from sftkit.cli.run.grid import SweepRun
    from sftkit.sweeps.shipped import path_of, shipped

    if listing:
        found = shipped()
        if json:
            render.as_json(found)
        else:
            render.table("", [render.Column("sweep"), render.Column("what it is")], list(found.items()))
        return
    if file is None:
        raise typer.BadParameter("Name a sweep's file, or one of --list.")
    if extra and not extra[0].startswith("-"):
        raise typer.BadParameter(f"{extra[0]}: one sweep at a time; arguments for snakemake come after --.")
    more = [*(["--profile", profile] if profile else []), *(extra or ())]
    grid = SweepRun.read(path_of(file), output, quiet=quiet, json=json)
    if not (grid.rehearse(jobs) if dry_run else grid.run(jobs, more)):
        raise typer.Exit(1)
