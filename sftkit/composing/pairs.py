"""Two checkpoints of one architecture side by side: the names that both have, block by block, and their difference."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sftkit.algebra.arithmetic import WINDOW
from sftkit.checkpoints.checkpoint import Checkpoint
from sftkit.checkpoints.lm_heads import is_task_class
from sftkit.checkpoints.names import is_pooler
from sftkit.composing.layout import BaseView
from sftkit.errors import MismatchError
from sftkit.format.encoding import Values
from sftkit.format.metadata import ParameterSpec


def shared_names(tuned: Checkpoint, base: Checkpoint, tuned_name: str, base_name: str) -> tuple[str, ...]:
    """Canonical names that both have; the pooler under a task's head is part of that head.

    A tuned model of a class that lacks a whole part of the base, such as T5's encoder alone under a token classifier,
    says nothing of that part.
    """
    mine, others = tuned.parameters, base.parameters
    absent = {name for name in others if name.partition(".")[0] in absent_parts(tuned, base)}
    for name in sorted({*mine, *others} - absent):
        if is_pooler(name):
            continue
        for has, lacks, where in ((mine, others, base_name), (others, mine, tuned_name)):
            if name in has and name not in lacks:
                raise MismatchError(f"{name} is missing in {where}: the two models are not of one architecture.")
        _same_shape(name, mine[name], others[name], tuned_name, base_name)
    task = is_task_class(BaseView.of(tuned).architecture)
    return tuple(name for name in sorted(mine) if name in others and not (task and is_pooler(name)))


def absent_parts(tuned: Checkpoint, base: Checkpoint) -> tuple[str, ...]:
    """First parts of names ("decoder") that the base has and the tuned model, of another class of its type, has not."""
    if tuned.model_type != base.model_type or tuned.architecture == base.architecture or not tuned.architecture:
        return ()
    mine, others = (
        {name.partition(".")[0] for name in side.parameters if not is_pooler(name)} for side in (tuned, base)
    )
    return tuple(sorted(others - mine)) if mine < others else ()


def _same_shape(name: str, mine: ParameterSpec, other: ParameterSpec, tuned: str, base: str) -> None:
    if mine.shape != other.shape:
        raise MismatchError(
            f"{name} has shape {list(mine.shape)} in {tuned} and {list(other.shape)} in {base}: models of different "
            "sizes have no difference. Name the model that it was tuned from.",
            path=tuned, tensor=name, expected=other.shape, found=mine.shape,
        )  # fmt: skip


def pairs(
    tuned: Checkpoint, base: Checkpoint, keys: tuple[str, str], begin: int = 0, end: int | None = None
) -> Iterator[tuple[int, NDArray[Any], NDArray[Any]]]:
    """Start, tuned block, base block, between two positions; both blocks are overwritten by the next."""
    size = base.spec(keys[1]).size if end is None else end
    sides = [(side, key, side.spec(key).dtype) for side, key in zip((tuned, base), keys, strict=True)]
    streams = [
        side.blocks(key, WINDOW * dtype.itemsize, begin * dtype.itemsize, size * dtype.itemsize)
        for side, key, dtype in sides
    ]
    for start, (_, mine), (_, other) in zip(range(begin, size, WINDOW), *streams, strict=True):
        yield start, mine.view(sides[0][2]), other.view(sides[1][2])


def subtracted(tuned: NDArray[Any], base: NDArray[Any], name: str) -> Values:
    """Float32 of the float64 difference. For operands of 32 bits and less that is the float32 difference itself.

    (Rounding twice does no harm here: float64 has more than twice float32's digits and two, Figueroa 1995.)
    """
    with np.errstate(over="ignore", invalid="ignore"):
        if np.float64 in (tuned.dtype, base.dtype):
            values: Values = np.subtract(tuned, base, dtype=np.float64).astype(np.float32)
        else:
            values = np.subtract(tuned.astype(np.float32, copy=False), base.astype(np.float32, copy=False))
    if not np.isfinite(values).all():
        raise damaged(name)
    return values


def damaged(name: str) -> MismatchError:
    """What is raised where a number is infinite or NaN."""
    return MismatchError(f"{name}: a difference is not finite. One of the models is damaged.")
