"""The workflow of a sweep as Snakemake reads it: one rule a cell, and nothing that Snakemake would have to guess."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterable
from pathlib import Path

from sftkit.sweeps.cells import SweepCell
from sftkit.sweeps.document import Resources
from sftkit.sweeps.plan import SweepPlan

#: How ``sftkit`` is called in cells, unless Snakemake is told otherwise (``--config sftkit=…``).
PROGRAM = f"{shlex.quote(sys.executable)} -m sftkit"
#: Stands in a workflow's first line.
_MADE = "made by sftkit sweep"


def workflow(plan: SweepPlan, resources: Resources, title: str) -> str:
    """The text of the Snakefile; paths in it are those of the folder in which the sweep was started.

    Args:
        plan: cells.
        resources: of each.
        title: of the sweep, for the first line.
    """
    targets = [cell.record for cell in plan.cells.values() if cell.work.kind in ("score", "external")]
    head = [
        f"# {title}: {_MADE}, and made again by it; see the sweep's file",
        f"SFTKIT = config.get('sftkit', {PROGRAM!r})",
        "",
        _rule("all", [("input", targets)], first=True),
    ]
    return "\n".join([*head, *(_cell_rule(cell, resources) for cell in plan.cells.values())])


def _cell_rule(cell: SweepCell, resources: Resources) -> str:
    light = cell.work.kind in ("sum",)
    needed = [f"mem_mb={resources.memory}"] if resources.memory else []
    needed += [f"gpu={resources.gpu}"] if resources.gpu and not light else []
    return _rule(
        cell.name,
        [("input", cell.inputs), ("output", cell.outputs), ("log", [cell.log])],
        [f"    threads: {resources.threads}", *([f"    resources: {', '.join(needed)}"] if needed else [])],
        f"    shell: {cell.script!r}",
    )


def _rule(name: str, files: Iterable[tuple[str, Iterable[str]]], *more: object, first: bool = False) -> str:
    lines = [f"rule {name}:", *(["    default_target: True"] if first else [])]
    for directive, each in files:
        listed = [f"        {path!r}," for path in each]
        lines += [f"    {directive}:", *listed] if listed else []
    for block in more:
        lines += block if isinstance(block, list) else [str(block)]
    return "\n".join(lines) + "\n"


def is_workflow(path: Path) -> bool:
    """Whether a file is a workflow that was made here, and not somebody's own."""
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            return _MADE in file.readline(1000)
    except OSError:
        return False


def write_workflow(path: Path, text: str) -> None:
    """Write the Snakefile, if it is another than the one that is there."""
    from sftkit.storage.atomic import atomic_file

    if path.is_file() and path.read_text(encoding="utf-8") == text:
        return
    with atomic_file(path, overwrite=True) as part:
        part.write_text(text, encoding="utf-8")
