"""``sftkit train``: learns one SFT."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sftkit.cli import _options, _render
from sftkit.cli._arguments import local_sft

if TYPE_CHECKING:
    from sftkit.training.lottery import Result

DEFAULT_BASE = "bert-base-multilingual-cased"


def train(
    mlm: _options.MlmFiles = None,
    clm: _options.ClmFiles = None,
    pos: _options.PosFiles = None,
    base: Annotated[
        str | None,
        typer.Option(
            "--base", metavar="MODEL", envvar="SFTKIT_BASE", help=f"Directory or hub id.  Default: {DEFAULT_BASE}."
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="X.sft", help="Default: the first data file's name with .sft."),
    ] = None,
    dev: Annotated[
        list[str] | None,
        typer.Option("--dev", metavar="FILE", help="Data to choose the best step on; else 5 % are held out."),
    ] = None,
    with_: Annotated[
        str | None,
        typer.Option(
            "--with", metavar="LANG.sft", help="Source-language SFT, applied while training, not part of the result."
        ),
    ] = None,
    method: Annotated[
        str, typer.Option("--method", metavar="lottery|random", help="How the entries are chosen.")
    ] = "lottery",
    k: Annotated[int | None, typer.Option("--k", help="Entries of φ; wins over --density.")] = None,
    density: Annotated[
        float | None,
        typer.Option("--density", help="The same as a share of the backbone.  Default: 0.043 language, 0.08 task."),
    ] = None,
    steps: Annotated[
        int | None, typer.Option("--steps", help="Most steps of each phase.  Default: mlm 100,000; pos none.")
    ] = None,
    epochs: Annotated[
        float | None,
        typer.Option("--epochs", help="Most epochs of each phase.  Default: mlm 100; pos 10, phase 1 of it 3."),
    ] = None,
    min_steps: Annotated[
        int | None,
        typer.Option(
            "--min-steps",
            help="Fewest steps, whatever --epochs says.  Default: mlm 30,000; 0 once --steps or --epochs is given.",
        ),
    ] = None,
    phase1_steps: Annotated[int | None, typer.Option("--phase1-steps", help="Most steps of phase 1.")] = None,
    phase1_epochs: Annotated[float | None, typer.Option("--phase1-epochs", help="Most epochs of phase 1.")] = None,
    batch_size: Annotated[int | None, typer.Option("--batch-size", help="Sequences a step.  Default: 8.")] = None,
    max_length: Annotated[int | None, typer.Option("--max-length", help="Tokens a sequence.  Default: 256.")] = None,
    lr: Annotated[float | None, typer.Option("--lr", help="Learning rate, linear to 0.  Default: 5e-05.")] = None,
    l1: Annotated[
        float | None, typer.Option("--l1", help="λ of the pull towards θ.  Default: 0.1 language, 0 task.")
    ] = None,
    eval_every: Annotated[
        int | None, typer.Option("--eval-every", help="Steps between evaluations.  Default: 1000 language, 250 task.")
    ] = None,
    freeze: Annotated[
        list[str] | None,
        typer.Option("--freeze", metavar="REGEX", help="Parameters that must not move, by canonical name."),
    ] = None,
    accumulate: Annotated[int | None, typer.Option("--accumulate", help="Batches a step.  Default: 1.")] = None,
    precision: Annotated[str, typer.Option("--precision", metavar="f32|bf16|f16", help="Of the computation.")] = "f32",
    values: Annotated[str, typer.Option("--values", metavar="f32|bf16|f16", help="How φ is stored.")] = "f32",
    seed: _options.Seed = 42,
    device: _options.Device = "auto",
    overwrite: _options.Overwrite = False,
    quiet: _options.Quiet = False,
    json: _options.Json = False,
) -> None:
    """Learn one SFT: tune all, keep the K entries that moved most, rewind, tune only those.

    \b
    Examples:
      sftkit train --mlm corpus.txt
      sftkit train --mlm mt.txt --base mmt-small/ --steps 2000 --lr 5e-4 -o mt.sft
      sftkit train --pos train.conllu --dev dev.conllu --with en.sft -o pos.sft
    """
    objective, data = _options.one_objective({"mlm": mlm, "clm": clm, "pos": pos})
    for option, value in (("--precision", precision), ("--values", values)):
        if value not in ("f32", "bf16", "f16"):
            raise typer.BadParameter(f"{option} {value}: known are f32, bf16, f16.")
    result_path = output or _options.default_output(data[0])
    given = {
        "method": method, "k": k, "density": density, "steps": steps, "epochs": epochs, "min_steps": min_steps,
        "phase1_steps": phase1_steps, "phase1_epochs": phase1_epochs, "batch_size": batch_size,
        "max_length": max_length, "lr": lr, "l1": l1, "eval_every": eval_every, "accumulate": accumulate,
        "precision": precision, "seed": seed, "device": _options.check_device(device),
        "dev": tuple(dev) if dev else None, "freeze": tuple(freeze) if freeze else None,
    }  # fmt: skip
    result = _learn(objective, data, base or DEFAULT_BASE, with_, result_path, overwrite, quiet, values, given)
    if json:
        _render.as_json(_document(result, result_path))
    else:
        _show(result, result_path)


def _learn(
    objective: str, data: tuple[str, ...], base: str, with_: str | None, output: Path, overwrite: bool, quiet: bool,
    values: str, given: dict[str, Any],
) -> Result:  # fmt: skip
    from dataclasses import replace

    from sftkit.cli._progress import TrainingDisplay
    from sftkit.errors import SettingsError
    from sftkit.format.atomic import check_output
    from sftkit.format.files import write
    from sftkit.hub import resolve_model
    from sftkit.training.settings import settings_for

    local = [Path(name) for name in (*data, *(given["dev"] or ()), *([with_] if with_ else [])) if "://" not in name]
    check_output(output, overwrite=overwrite, inputs=local, directory=False)
    source = local_sft(with_) if with_ else None
    try:
        settings = settings_for(objective, data=data, base=Path(base), base_name=base, source_sft=source, **given)
    except SettingsError as error:  # what settings_for refuses is an option's value
        raise typer.BadParameter(str(error)) from None
    settings = replace(settings, base=resolve_model(base))
    from sftkit.training.lottery import learn  # torch and transformers come in here, after the cheap checks

    with TrainingDisplay(quiet=quiet) as display:
        try:
            result = learn(settings, display)
        except KeyboardInterrupt as interrupt:
            interrupt.args = (f"{interrupt}; nothing was saved, and {output} was not touched",)
            raise
    write(output, result.sft, values=values, overwrite=overwrite)
    return result


def _document(result: Result, output: Path) -> dict[str, Any]:
    metadata, phase2 = result.sft.metadata, result.phase2
    return {
        "sft": str(output),
        "objective": metadata.objective,
        "method": metadata.method,
        "k": metadata.k,
        "density": metadata.density,
        "steps": {"phase1": result.phase1.steps if result.phase1 else 0, "phase2": phase2.steps},
        "best": {"step": phase2.best_step, "metric": result.best_metric, "value": phase2.best_value},
        "seconds": {part: round(seconds, 3) for part, seconds in result.seconds.items()},
    }


def _show(result: Result, output: Path) -> None:
    metadata, phase2 = result.sft.metadata, result.phase2
    seconds = "  ".join(f"{part} {value:,.1f} s" for part, value in result.seconds.items())
    _render.table(
        "",
        [_render.Column("SFT"), _render.Column(str(output))],
        [
            ("objective, method", f"{metadata.objective}, {metadata.method}"),
            ("K", f"{metadata.k:,} ({_render.share(metadata.density)} of the backbone)"),
            ("best step", f"{phase2.best_step:,} of {phase2.steps:,}: {result.best_metric} {phase2.best_value:.4f}"),
            ("time", seconds),
        ],
    )
