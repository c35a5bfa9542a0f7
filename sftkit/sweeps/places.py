"""What names in a sweep's file stand for: ``{}`` a language, ``{seed}`` the seed, ``{world}`` its invented world."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sftkit.errors import SettingsError
from sftkit.storage.places import at_home
from sftkit.sweeps.cells import SFTKIT, SweepCell, Work, cell
from sftkit.sweeps.document import Sweep, Task, WorldTable


@dataclass(frozen=True)
class World:
    """A world of a seed: where it will be, and what is known of it beforehand."""

    cell: SweepCell
    folder: str
    source: str
    groups: Mapping[str, tuple[str, ...]]


def worlds_of(sweep: Sweep, place: Path) -> dict[int, World]:
    """Seed -> world, of a sweep that has any."""
    table = sweep.world
    if table is None:
        return {}
    seeds = {seed: seed if table.seed is None else table.seed for seed in sweep.seeds}
    made = {seed: _world(table, seed, place) for seed in set(seeds.values())}
    return {seed: made[number] for seed, number in seeds.items()}


def _world(table: WorldTable, seed: int, place: Path) -> World:
    from sftkit.demo.world import WorldSettings, invent

    settings = WorldSettings.quick(table.languages, seed) if table.quick else WorldSettings(table.languages, seed)
    facts: dict[str, Any] = invent(settings).document()
    name = f"{seed}-{table.languages}{'-quick' if table.quick else ''}"
    folder = f"{place}/worlds/{name}"
    words = ["demo", "--world", folder, "--languages", str(table.languages), "--seed", str(seed), "--overwrite",
             *(["--quick"] if table.quick else []), "--json"]  # fmt: skip
    made = cell(
        f"world {seed}", [words], inputs=[], outputs=[f"{folder}.json"], log=f"{place}/logs/world-{name}.log",
        work=Work("world", seconds=settings.seconds),
    )  # fmt: skip
    groups = {"all": facts["languages"], "seen": facts["seen"], "unseen": facts["unseen"]}
    others = {
        key: tuple(name for name in names if name != facts["source"])[: table.scored] for key, names in groups.items()
    }
    return World(made, folder, facts["source"], others)


@dataclass(frozen=True)
class Names:
    """Names as one seed has them."""

    sweep: Sweep
    seed: int
    world: World | None

    def filled(self, pattern: str, language: str = "") -> str:
        """A file's name, or a base's."""
        name = pattern.replace("{}", language).replace("{seed}", str(self.seed))
        return name.replace("{world}", self.world.folder) if self.world else name

    def source(self, task: Task) -> str:
        """A task's source language."""
        return task.source.replace("{source}", self.world.source) if self.world else task.source

    def languages(self, task: Task) -> tuple[str, ...]:
        """The languages that a task is scored in."""
        if task.languages is not None:
            return task.languages
        if isinstance(self.sweep.languages, str):
            assert self.world is not None
            return self.world.groups[self.sweep.languages]
        if not self.sweep.languages:
            raise SettingsError(f"[tasks.{task.name}]: languages is missing, here and at the top of the file.")
        return self.sweep.languages

    def made(self, *names: str) -> tuple[str, ...]:
        """The record of the world, if some of the names are in it."""
        if self.world is None or not any(name.startswith(f"{self.world.folder}/") for name in names):
            return ()
        return (self.world.cell.record,)

    def own(self, *names: str) -> tuple[str, ...]:
        """Those names that are files of the user's on this machine, whether they are there or not; a base's config."""
        inside = f"{self.world.folder}/" if self.world else "\0"
        return tuple(str(at_home(name)) for name in names if name and "://" not in name and not name.startswith(inside))


#: Files of a base that what is learned depends on: config, tokenizer, weights.
_OF_A_BASE = (".json", ".safetensors", ".bin", ".txt", ".model", ".py")


def files_of(base: str) -> tuple[str, ...]:
    """What tells whether a base on this machine was changed; none for one from the hub.

    A folder that is none, or not there, is told by its missing config.
    """
    folder = at_home(base)
    if (folder / "config.json").is_file():
        return tuple(sorted(str(each) for each in folder.iterdir() if each.suffix in _OF_A_BASE and each.is_file()))
    if folder.exists() or base.startswith((".", "/", "~")) or base.count("/") > 1 or base.endswith("/"):
        return (str(folder / "config.json"),)
    return ()


def called(template: str, fields: Mapping[str, str]) -> str:
    """Another program's command, as a shell takes it."""
    return template.format(**{name: shlex.quote(value) for name, value in fields.items()})


__all__ = ["SFTKIT", "Names", "World", "called", "files_of", "worlds_of"]
