"""What phase 1 ranks entries by.

- ``change``: |θ(1) - θ(0)| (Ansell et al. 2022).
- ``magnitude-increase``: |θ(1)| - |θ(0)| (Zhou et al. 2019).
- ``movement``: -Σ g · (θ - θ(0)) over the steps: how steadily the loss pulled an entry away from θ(0) (Sanh et al.
  2020, with θ(0) in the place of 0, for that is what an entry goes back to if it is not chosen).
- ``fisher``: Σ g² over the steps, the diagonal of the empirical Fisher information (Sung et al. 2021).

g is a step's gradient before the regulariser is added. The last two need one float32 a
parameter while phase 1 runs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import nn

from sftkit.training.selection import Scores, changes, counted, magnitude_increases
from sftkit.training.sharded import like
from sftkit.training.snapshot import Snapshot


@dataclass(frozen=True)
class Criterion:
    """A way to rank entries, ready for one phase 1.

    Attributes:
        observe: called before each optimizer step, or None.
        tensors: what it counts, by name, to be kept in checkpoints.
        scores: the ranking, once the phase is over.
    """

    observe: Callable[[], None] | None
    tensors: Mapping[str, torch.Tensor]
    scores: Callable[[], Scores]


def criterion_of(name: str, maskable: Mapping[str, nn.Parameter], before: Snapshot) -> Criterion:
    """Get ready to rank by ``name``.

    Args:
        name: one of ``checks.CRITERIA``.
        maskable: what is ranked.
        before: θ(0).
    """
    if name == "change":
        return Criterion(None, {}, lambda: changes(maskable, before))
    if name == "magnitude-increase":
        return Criterion(None, {}, lambda: magnitude_increases(maskable, before))
    sums = {key: torch.zeros_like(parameter, dtype=torch.float32) for key, parameter in maskable.items()}
    add = _add_fisher(maskable, sums) if name == "fisher" else _add_movement(maskable, sums, before)
    return Criterion(add, {f"score:{key}": tensor for key, tensor in sums.items()}, lambda: counted(sums.__getitem__))


def _add_fisher(maskable: Mapping[str, nn.Parameter], sums: Mapping[str, torch.Tensor]) -> Callable[[], None]:
    @torch.no_grad()
    def add() -> None:
        for name, parameter in maskable.items():
            if parameter.grad is not None:
                sums[name].addcmul_(parameter.grad, parameter.grad)

    return add


def _add_movement(
    maskable: Mapping[str, nn.Parameter], sums: Mapping[str, torch.Tensor], before: Snapshot
) -> Callable[[], None]:
    start = {name: like(before.tensor(name), parameter) for name, parameter in maskable.items()}

    @torch.no_grad()
    def add() -> None:
        for name, parameter in maskable.items():
            if parameter.grad is not None:
                sums[name].addcmul_(parameter.grad, parameter - start[name], value=-1)

    return add
