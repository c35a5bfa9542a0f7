"""What of a base and its SFTs can be checked in about a second, before torch is imported and a model is loaded.

All of it is checked again where it is used; here it is only told sooner.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from sftkit.algebra.arithmetic import Weighted
from sftkit.checkpoints.checkpoint import Checkpoint
from sftkit.composing.bases import check_belongs, set_aside
from sftkit.composing.belong import check_shapes
from sftkit.composing.heads import brings_task_head
from sftkit.composing.renamed import parameters_as_learned
from sftkit.errors import MismatchError

#: Bytes of weights that are read in a second.
_SOON = 1 << 30


def check_soon(base: Path, weighted: Sequence[Weighted], *, force: bool = False) -> None:
    """See that SFTs fit a base: names and shapes; fingerprints, too, where the base is small.

    Raises:
        MismatchError: as ``check_belongs``.
    """
    if not weighted:
        return
    if sum(path.stat().st_size for path in base.iterdir() if path.is_file()) <= _SOON:
        check_belongs(base, weighted, force=force)
        return
    checkpoint = Checkpoint(base)
    check_shapes(parameters_as_learned(checkpoint, weighted), weighted, str(base), set_aside(checkpoint))


def check_task(weighted: Sequence[Weighted], objective: str) -> None:
    """See that the one task's SFT among several was trained for what it is to be scored on.

    Raises:
        MismatchError: as :func:`check_objective`.
    """
    tasks = [item for item in weighted if brings_task_head(item.sft) and item.weight]
    if len(tasks) == 1:
        check_objective(tasks[0], objective)


def check_objective(item: Weighted, objective: str) -> None:
    """See that a task's SFT was trained for what it is to be scored on.

    Raises:
        MismatchError: naming both objectives.
    """
    learned = item.sft.metadata.objective
    if item.sft.metadata.is_task and learned != objective:
        raise MismatchError(
            f"{item.path}: was trained with --{learned}, not --{objective}. Score it with --{learned}, or leave it out."
        )
