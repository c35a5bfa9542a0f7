"""What is added to gradients before an optimizer step: the L1 pull towards θ(0), DiffPruning's L0 penalty.

Added in place, not through autograd: the loss that is reported stays the task's own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import nn

from sftkit.modeling.relaxed import l0_slope
from sftkit.training.sharded import like
from sftkit.training.snapshot import Snapshot

#: Called once before each optimizer step.
Regulariser = Callable[[], None]


def both(first: Regulariser | None, second: Regulariser | None) -> Regulariser | None:
    """The two one after the other."""
    if first is None or second is None:
        return first or second

    def call() -> None:
        first()
        second()

    return call


def l1_towards(maskable: Mapping[str, nn.Parameter], before: Snapshot, strength: float) -> Regulariser | None:
    """Adds strength · sign(θ - θ(0)) to the gradients in place; None for a strength of 0.

    Args:
        maskable: what is regularised.
        before: θ(0).
        strength: λ/N.
    """
    if strength == 0:
        return None
    parameters = list(maskable.values())
    start = [like(before.tensor(name), parameter) for name, parameter in maskable.items()]

    @torch.no_grad()
    def regularise() -> None:
        for parameter, origin in zip(parameters, start, strict=True):
            if parameter.grad is not None:
                parameter.grad.add_((parameter - origin).sign_(), alpha=strength)

    return regularise


def l1_on(phis: list[nn.Parameter], strength: float) -> Regulariser | None:
    """Adds strength · sign(φ) to the gradients in place; None for a strength of 0."""
    if strength == 0:
        return None

    @torch.no_grad()
    def regularise() -> None:
        for phi in phis:
            if phi.grad is not None:
                phi.grad.add_(phi.sign(), alpha=strength)

    return regularise


def l0_on(log_alphas: Sequence[nn.Parameter], strength: float) -> Regulariser | None:
    """Adds the gradient of strength · Σ P(z ≠ 0) to those of log α in place; None for a strength of 0."""
    if strength == 0:
        return None

    @torch.no_grad()
    def regularise() -> None:
        for log_alpha in log_alphas:
            if log_alpha.grad is not None:
                log_alpha.grad.add_(l0_slope(log_alpha), alpha=strength)

    return regularise
