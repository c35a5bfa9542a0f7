"""``sftkit demo``: the whole method in miniature."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sftkit.cli.options import shared
from sftkit.cli.show import render
from sftkit.errors import SettingsError

if TYPE_CHECKING:
    from sftkit.demo.run import DemoReport, DemoSettings, Score


_INTRODUCTION = (
    "A tiny model is pretrained on invented languages, and what a language and a task change in it is learned as "
    "sparse fine-tunings (SFTs), each a file. Added together they tag a language of which neither the model nor the "
    "tagger has seen a tagged word; everything lands in {folder}/."
)


def demo(
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="DIR", help="Where everything goes; else sftkit-demo.")
    ] = None,
    world: Annotated[
        Path | None,
        typer.Option(
            "--world",
            metavar="DIR",
            help="Write a base, corpora and treebanks of invented languages to experiment with, and learn no SFT.",
        ),
    ] = None,
    languages: Annotated[
        int | None, typer.Option("--languages", metavar="N", min=2, help="Languages of the world; else 8.")
    ] = None,
    seed: Annotated[int, typer.Option("--seed", min=0, max=2**32 - 1, help="Another seed makes other languages.")] = 0,
    quick: Annotated[
        bool, typer.Option("--quick", help="A few steps of everything: shows that it runs, no more.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what the world would hold and cost; write nothing.")
    ] = False,
    overwrite: shared.Overwrite = False,
    quiet: shared.Quiet = False,
    json: shared.Json = False,
) -> None:
    """Show the whole method in miniature: offline, on invented languages, in about three minutes.

    \b
    Examples:
      sftkit demo
      sftkit demo --seed 1 -o other-languages/
      sftkit demo --world world/ --languages 12 --seed 1
    """
    if world is not None:
        if output is not None:
            raise SettingsError("--world names the folder: leave --output out.")
        from sftkit.cli.run.world import make_world

        make_world(world, languages, seed, quick=quick, dry_run=dry_run, overwrite=overwrite, quiet=quiet, json=json)
        return
    if languages is not None or dry_run:
        raise SettingsError(f"{'--dry-run' if dry_run else '--languages'} is for --world DIR.")
    output = output or Path("sftkit-demo")
    from sftkit.demo.folder import check

    check(output, overwrite=overwrite)  # before torch is imported
    from sftkit.cli.show.progress import TrainingDisplay
    from sftkit.demo.picture import draw
    from sftkit.demo.run import PARTS, DemoSettings, run_demo

    settings = DemoSettings.quick(seed) if quick else DemoSettings(seed)
    displays: list[TrainingDisplay] = []

    def watch(title: str) -> TrainingDisplay:
        displays.append(TrainingDisplay(quiet=quiet, title=f"{len(displays) + 1} of {PARTS}, {title}"))
        return displays[-1]

    if not quiet:
        render.said(_INTRODUCTION.format(folder=output), hanging="")

    try:
        report = run_demo(output, settings, watch, overwrite=overwrite)
    finally:
        for display in displays:
            display.close()
    draw(report, output / "demo.png")
    if json:
        render.as_json(_document(report))
    else:
        _show(report, settings, quick=quick)


def _document(report: DemoReport) -> dict[str, Any]:
    return {
        "folder": str(report.folder),
        "source": report.source,
        "target": report.target,
        "scores": [score.document() for score in report.scores],
        "overlap": report.overlap.document(),
        "files": report.files,
    }


def _show(report: DemoReport, settings: DemoSettings, *, quick: bool) -> None:
    render.table(
        f"Tagging {report.target.title()}, a language that neither the base nor the tagger has seen tagged",
        [render.Column("base +"), render.Column("SFTs"), render.Column("accuracy, %", True)],
        [(score.what, " + ".join(score.sfts), _percent(score)) for score in report.scores],
        caption="[95 % bootstrap interval]",
    )
    alone, random, lottery = (100 * score.accuracy for score in report.scores)
    if quick:
        told = "After so few steps (--quick) the figures mean nothing: everything ran, and no more is shown by them."
    else:
        told = (
            f"The SFT of {report.target.title()}, learned from plain text, brings {lottery - alone:+.1f} points "
            f"without one tagged sentence of it; a random mask of the same size brings {random - alone:+.1f}."
        )
    render.paragraph(told + "\n")
    _show_overlap(report)
    render.table(
        f"In {report.folder}/",
        [render.Column("file"), render.Column("what it is")],
        [
            *report.files.items(),
            ("demo.png", "both tables as a picture"),
            ("demo.json", "the settings, and the scores with their intervals"),
        ],
    )
    _show_what_next(report, settings)


def _show_overlap(report: DemoReport) -> None:
    names, matrix = report.overlap.names, report.overlap.whole.matrix
    low, high = (f"{100 * value:.1f}" for value in report.overlap.whole.chance)
    chance = f"{low} %" if low == high else f"{low} to {high} %"
    render.table(
        f"Overlap: common entries as a share of the smaller SFT (by chance {chance})",
        [render.Column(""), *(render.Column(name, True) for name in names)],
        [(name, *(f"{100 * value:.1f} %" for value in row)) for name, row in zip(names, matrix, strict=True)],
    )


def _show_what_next(report: DemoReport, settings: DemoSettings) -> None:
    source, target = report.source, report.target
    options = language_options(settings).replace(" --seed", " \\\n    --seed")  # lines of a terminal's width
    render.data(
        f"\nGo on, with sftkit on your path (source .venv/bin/activate):\n"
        f"  cd {shlex.quote(str(report.folder))}\n"
        f"  sftkit evaluate model/ --pos treebank/{target}-test.conllu\n"
        f"  sftkit inspect {target}.sft\n"
        f"  sftkit overlap {source}.sft {target}.sft tagging.sft\n"
        f"  sftkit compose base/ tagging.sft {target}.sft:0.5 -o half/\n"
        f"  sftkit train --mlm text/{target}.txt --base base/ --density {settings.density / 2:g} \\\n"
        f"    {options} -o sparser.sft"
    )


def _percent(score: Score) -> str:
    low, high = score.interval
    return f"{100 * score.accuracy:.1f} [{100 * low:.1f}, {100 * high:.1f}]"


def language_options(settings: DemoSettings) -> str:
    """Options with which ``train --mlm`` does what the demonstration did, given its density."""
    from sftkit.demo.run import BATCH_SIZE, LR, MAX_LENGTH, eval_every

    steps = settings.language_steps
    return (
        f"--steps {steps} --lr {LR:g} --batch-size {BATCH_SIZE} --max-length {MAX_LENGTH} "
        f"--eval-every {eval_every(steps)} --seed {settings.seed} --device cpu"
    )
