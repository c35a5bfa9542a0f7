"""``sftkit train``: learns one SFT. Its options are those of its settings; here stands what is not a setting."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sftkit.cli.options import shared
from sftkit.cli.options.declared import Given, takes
from sftkit.cli.run.job import Job
from sftkit.cli.show import render
from sftkit.cli.show.then import after_train
from sftkit.cli.show.training import document, show_results
from sftkit.declared import BASE, OUTPUT
from sftkit.sharing.hub import DEFAULT_BASE
from sftkit.tasks.options import FILES, TaskOptions
from sftkit.training.engine.ranks import is_first
from sftkit.training.length import Lengths
from sftkit.training.settings import Settings

_Base = typer.Option(
    "--base", metavar="MODEL", envvar="SFTKIT_BASE", rich_help_panel=BASE,
    help=f"Directory or hub id.  Default: $SFTKIT_BASE, else {DEFAULT_BASE}.",
)  # fmt: skip
_With = typer.Option(
    "--with", metavar="LANG.sft[:WEIGHT]", help="Source-language SFT, applied while training, not part of the result.",
    rich_help_panel=BASE,
)  # fmt: skip
_Output = typer.Option(
    "--output",
    "-o",
    metavar="X.sft",
    help="Where the SFT goes.  Default: the first data file's name with .sft.",
    rich_help_panel=OUTPUT,
)
_RunDir = typer.Option(
    "--run-dir", metavar="DIR", help="Keep checkpoints and learning curves here.", rich_help_panel=OUTPUT
)
_Resume = typer.Option("--resume", help="Go on with the run in --run-dir, if it has begun.", rich_help_panel=OUTPUT)
_DryRun = typer.Option(
    "--dry-run", help="Say what the run would do, and how long it would take; learn and write nothing.",
    rich_help_panel=OUTPUT,
)  # fmt: skip


@takes(FILES, Settings, Lengths, TaskOptions)
def train(
    given: Given,
    base: Annotated[str | None, _Base] = None,
    with_: Annotated[str | None, _With] = None,
    source: shared.Sources = None,
    objective_name: shared.ObjectiveName = None,
    output: Annotated[Path | None, _Output] = None,
    values: shared.Values = "f32",
    run_dir: Annotated[Path | None, _RunDir] = None,
    resume: Annotated[bool, _Resume] = False,
    dry_run: Annotated[bool, _DryRun] = False,
    config: shared.Config = None,
    overwrite: shared.Overwrite = False,
    quiet: shared.Quiet = False,
    json: shared.Json = False,
) -> None:
    """Learn one SFT: tune all, keep the K entries that moved most, rewind, tune only those.

    \b
    Examples:
      sftkit train --mlm corpus.txt
      sftkit train --mlm mt.txt --base mmt-small/ --steps 2000 --lr 5e-4 -o mt.sft
      sftkit train --pos train.conllu --dev dev.conllu --with en.sft -o pos.sft
      sftkit train --objective pos --source en=en.sft:en.conllu \\
          --source de=de.sft:de.conllu -o pos.sft
    """
    del config  # its values came in as defaults
    sources = shared.parse_sources(source)
    objective, data = shared.one_objective(given, objective_name, sources=sources)
    asked = given.of(Settings) | given.of(Lengths)
    asked["options"] = shared.task_options(given.of(TaskOptions), objective)
    densities, rewind_to = asked.pop("density", []), asked.pop("rewind_to", 0)
    outputs = _outputs(output or shared.default_output([*data, *(each[2] for each in sources)][0]), densities)
    if "mask_from" in asked:
        asked.setdefault("method", "mask")
    if len(densities) > 1 and "k" in asked:
        raise typer.BadParameter("--k is one size and --density names several: give one of them.")
    if densities and asked.get("method") in ("bitfit", "mask"):
        raise typer.BadParameter(f"--density: --method {asked['method']} says itself which entries φ has.")
    if densities:
        asked["density"] = densities[0]
    job = Job(
        objective, data, base or DEFAULT_BASE, with_, outputs, densities if "k" not in asked else [], run_dir, resume,
        rewind_to, asked, sources,
    )  # fmt: skip
    if dry_run:
        job.rehearse(quiet=quiet, json=json)
        return
    results, places = job.learn(overwrite=overwrite, quiet=quiet, values=values)
    if not is_first():
        return
    if json:
        documents = [document(result, path) for result, path in zip(results, places, strict=True)]
        render.as_json(documents if len(densities) > 1 else documents[0])
    else:
        show_results(results, places)
        after_train(job.base, job.with_, [] if quiet else places)
    if places != outputs:
        raise typer.Exit(1)


def _outputs(path: Path, densities: list[float]) -> list[Path]:
    """``x.sft``; for several densities ``x-0.01.sft``, ``x-0.02.sft``."""
    if len(densities) < 2:
        return [path]
    paths = [path.with_name(f"{path.stem}-{density:g}{path.suffix}") for density in densities]
    for twice in (path for path in paths if paths.count(path) > 1):
        raise typer.BadParameter(f"--density: two shares would both be written to {twice}. Leave one of them out.")
    return paths
