"""What phase 1 ranks entries by.

- ``change``: |θ(1) - θ(0)| (Ansell et al. 2022).
- ``magnitude-increase``: |θ(1)| - |θ(0)| (Zhou et al. 2019).
- ``movement``: -Σ g · (θ - θ(0)) over the steps: how steadily the loss pulled an entry away from θ(0) (Sanh et al.
  2020, with θ(0) in the place of 0, for that is what an entry goes back to if it is not chosen).
- ``fisher``: Σ g² over the steps, the diagonal of the empirical Fisher information (Sung et al. 2021).

g is a step's gradient before the regulariser is added. The last two need one float32 a parameter while phase 1 runs.
Steps whose gradients are not finite are left out: in float16 the optimizer skips them, too.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import nn

from sftkit.training.engine.sharded import local
from sftkit.training.engine.snapshot import Snapshot, Theta
from sftkit.training.engine.together import anywhere
from sftkit.training.selection.ranking import Ranking, changes, check_finite, counted, magnitude_increases


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
    scores: Callable[[], Ranking]


def criterion_of(
    name: str, maskable: Mapping[str, nn.Parameter], before: Snapshot, theta: Mapping[str, Theta]
) -> Criterion:
    """Get ready to rank by ``name``.

    Args:
        name: one of ``settings.CRITERIA``.
        maskable: what is ranked.
        before: θ(0) on disk.
        theta: θ(0), shared out as the parameters are, or read in parts; only ``movement`` looks at it.
    """
    if name == "change":
        return Criterion(None, {}, lambda: changes(maskable, before))
    if name == "magnitude-increase":
        return Criterion(None, {}, lambda: magnitude_increases(maskable, before))
    sums = {key: torch.zeros_like(parameter, dtype=torch.float32) for key, parameter in maskable.items()}

    @torch.no_grad()
    def observe() -> None:
        gradients = {key: parameter.grad for key, parameter in maskable.items() if parameter.grad is not None}
        if not _finite([local(gradient) for gradient in gradients.values()]):
            return
        for key, gradient in gradients.items():
            if name == "fisher":
                sums[key].addcmul_(gradient, gradient)
            else:
                origin, now = theta[key], maskable[key]
                then = origin if isinstance(origin, torch.Tensor) else origin(0, now.numel()).view_as(now)
                sums[key].addcmul_(gradient, now - then, value=-1)

    def scores() -> Ranking:
        check_finite(sums)
        return counted(sums.__getitem__)

    return Criterion(observe, {f"score:{key}": tensor for key, tensor in sums.items()}, scores)


def _finite(gradients: Sequence[torch.Tensor]) -> bool:
    """Whether all are, in all processes."""
    largest = torch._foreach_norm([gradient for gradient in gradients if gradient.numel()], ord=float("inf"))
    return not anywhere(bool(largest) and not bool(torch.stack(largest).isfinite().all()))
