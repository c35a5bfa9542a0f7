"""Cells that learn SFTs. Those that differ in density alone are one cell, if their method has a phase 1 to share.

Which densities were learned together is read off the records that are there: one that is asked for later is a cell of
its own, and what was learned before is not learned again.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sftkit.sweeps.cells import SweepCell, Work, cell, digest, share, stamp, steps_of
from sftkit.sweeps.options import Options, arguments
from sftkit.sweeps.tables import without
from sftkit.training.methods.registry import METHODS

#: Options that say how long a step takes, and how many there are.
_LONG = ("batch-size", "max-length", "steps", "epochs", "min-steps", "phase1-steps", "phase1-epochs", "accumulate",
         "precision", "base-dtype", "eval-every", "max-lines", "iterations", "selection", "pack")  # fmt: skip


@dataclass(frozen=True)
class Training:
    """All that decides what SFTs become, but for their densities.

    Attributes:
        kind: "language", or the task's name.
        name: what is learned: a language, or a task.
        objective, data, dev, base: as ``train`` is given them.
        source: the source language's SFT, or "".
        options: of ``train``, the method among them, without density.
        seed, device: as everywhere.
        files: what it reads of the user's, on this machine.
        leaves: the same with those that its source's SFT was made from.
        made: inputs that other cells make.
    """

    kind: str
    name: str
    objective: str
    data: str
    dev: str
    base: str
    source: str
    options: Mapping[str, Any]
    seed: int
    device: str
    files: tuple[str, ...]
    leaves: tuple[str, ...]
    made: tuple[str, ...]

    @property
    def method(self) -> str:
        """Of choosing entries."""
        return str(self.options["method"])

    @property
    def key(self) -> str:
        """Stands for all of it in names."""
        return digest(
            [self.objective, self.data, self.dev, self.base, self.source, dict(self.options), self.seed, self.device]
        )

    def folder(self, place: Path) -> str:
        """Where its SFTs are, in the sweep's place."""
        return f"{place}/sft/{_plain(self.name)}-{self.method}-{self.seed}-{self.key}"

    def file(self, place: Path, density: float | None) -> str:
        """An SFT."""
        marked = f"-{share(density)}" if density is not None else ""
        return f"{self.folder(place)}/{_plain(self.name)}{marked}.sft"


def _plain(name: str) -> str:
    return re.sub(r"[^\w.+-]", "_", name)


def densities_for(options: Mapping[str, Any]) -> tuple[float | None, ...]:
    """The densities that options ask for; one of None where the method, K or the recipe says it."""
    if not METHODS[str(options["method"])].sized or "k" in options:
        return (None,)
    return tuple(options.get("density") or (None,))


def learning_cells(
    training: Training, wanted: Sequence[float | None], place: Path, options: Options
) -> Iterator[tuple[SweepCell, tuple[float | None, ...]]]:
    """Cells that learn the SFTs of some densities, each with those that it learns."""
    for group in _groups(training, wanted, place):
        yield _cell(training, group, place, options), group


def _groups(training: Training, wanted: Sequence[float | None], place: Path) -> list[tuple[float | None, ...]]:
    if not METHODS[training.method].phase1:
        return [(density,) for density in wanted]
    there = [_densities(record.stem) for record in sorted(Path(training.folder(place)).glob("*.json"))]
    groups = [group for group in there if set(group) & set(wanted)]
    taken = {density for group in groups for density in group}
    rest = tuple(density for density in wanted if density not in taken)
    return [*groups, *([rest] if rest else [])]


def _densities(stem: str) -> tuple[float | None, ...]:
    try:
        return tuple(float(part) for part in stem.split(","))
    except ValueError:
        return (None,)


def _cell(training: Training, group: tuple[float | None, ...], place: Path, options: Options) -> SweepCell:
    folder, marks = training.folder(place), ",".join(map(share, group))
    files = [training.file(place, density) for density in group]
    several = len(group) > 1
    output = training.file(place, None) if several else files[0]
    record = f"{folder}/{marks or 'recipe'}.json"
    inside = Path(folder).name
    run = f"{place}/runs/{inside}-{marks or 'recipe'}-{stamp(training.leaves)}"
    words = [
        "train", f"--{training.objective}", training.data, *(["--dev", training.dev] if training.dev else []),
        "--base", training.base, *(["--density", marks] if marks else []), *arguments(training.options, options),
        "--seed", str(training.seed), *(["--device", training.device] if training.device else []),
    ]  # fmt: skip
    source = ["--with", training.source] if training.source else []
    title = f"{training.name}, {training.method}{f' {marks}' if marks else ''}, seed {training.seed}"
    return cell(
        f"learn {title}",
        [[*words, *source, "--run-dir", run, "--resume", "--output", output, "--json"]],
        inputs=[*training.files, *training.made],
        outputs=[*files, record],
        log=f"{place}/logs/{inside}-{marks or 'recipe'}.log",
        work=_work(training, group),
        resume=run,
        rehearsal=words,
    )


def _work(training: Training, group: tuple[float | None, ...]) -> Work:
    long = {name: training.options[name] for name in _LONG if name in training.options}
    return Work(
        training.kind,
        training.base,
        digest([training.kind, re.sub(r"\d+", "", training.base), long]),
        METHODS[training.method].phase1,
        len(group),
        group,
        steps_of(training.options),
    )


def bare(options: Mapping[str, Any]) -> dict[str, Any]:
    """Options of a training without density, and without what its method does not ask for."""
    return without(options, "density", *([] if METHODS[str(options["method"])].sized else ["k"]))
