"""``sftkit demo --world``: what it says beforehand and at the end."""

from __future__ import annotations

from pathlib import Path
from shlex import quote

from sftkit.cli.show import render
from sftkit.cli.show.plan import duration
from sftkit.demo.descent import relatedness
from sftkit.demo.world import InventedWorld, WorldSettings, check_world, invent, write_world

#: What suits the small base, as the demonstration has it.
_RATES = "--lr 3e-3 --batch-size 32 --max-length 32 --density 0.1"


def make_world(
    path: Path,
    languages: int | None,
    seed: int,
    *,
    quick: bool,
    dry_run: bool,
    overwrite: bool,
    quiet: bool,
    json: bool,
) -> None:
    """Write an invented world, or say what it would be.

    Raises:
        OutputExistsError: if something is in its place.
    """
    check_world(path, overwrite=overwrite)  # before torch is imported
    number = WorldSettings.languages if languages is None else languages
    settings = WorldSettings.quick(number, seed) if quick else WorldSettings(number, seed)
    world = invent(settings)
    if not quiet:
        render.stderr().print(_plan(path, settings), soft_wrap=True, markup=False)
    if dry_run:
        document = world.document() | {"folder": str(path), "bytes": settings.bytes, "seconds": settings.seconds}
    else:
        from sftkit.cli.show.progress import TrainingDisplay

        with TrainingDisplay(quiet=quiet, title="pretraining") as display:
            document = {"folder": str(path)} | write_world(path, world, display, overwrite=overwrite)
    if json:
        render.as_json(document)
    else:
        _show(path, world)


def _plan(path: Path, settings: WorldSettings) -> str:
    labelled = settings.train + settings.dev + settings.test
    return (
        f"{path}: {settings.languages} languages, each with {settings.sentences:,} sentences of text and {labelled:,} "
        f"with tags, trees and entities; about {render.size(settings.bytes)}\n"
        f"  base: {settings.steps:,} steps on the text of {settings.seen}; "
        f"about {duration(settings.seconds)} on two cores"
    )


def _show(path: Path, world: InventedWorld) -> None:
    related, source = relatedness(world.tree), world.source.name
    seen = [language.name for language in world.seen]
    render.table(
        f"Languages of {path}: relatedness is when the last common ancestor split, from 0 (the proto-language) to 1",
        [render.Column("language"), render.Column("the base has"), render.Column(f"to {source}", True)],
        [
            (name, "seen it" if name in seen else "not seen it", f"{related[name, source]:.2f}")
            for name in (language.name for language in world.languages)
        ],
        caption=f"{source} is the source: the language of the labelled data to learn tasks from",
    )
    base, ud = f"--base {quote(f'{path}/base')}", f"{path}/ud/{source}"
    unseen = next(language.name for language in world.languages if language.name not in seen)
    render.data(
        f"\n  sftkit train --mlm {quote(f'{path}/mlm/{unseen}.txt')} {base} --steps 250 --eval-every 50 {_RATES}\n"
        f"  sftkit train --pos {quote(f'{ud}/train.conllu')} --dev {quote(f'{ud}/dev.conllu')} {base} --steps 60 "
        f"--eval-every 20 {_RATES}"
    )
