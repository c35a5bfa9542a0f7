"""What is added to gradients before an optimizer step: the L1 pull towards θ(0), DiffPruning's L0 penalty.

Added in place, not through autograd: the loss that is reported stays the task's own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

import torch
from torch import nn

from sftkit.modeling.relaxed import l0_slope
from sftkit.training.engine.sharded import local
from sftkit.training.engine.snapshot import Theta

#: Called once before each optimizer step.
Regulariser = Callable[[], None]
#: Elements that are worked on at a time: 16 MB.
_AT_A_TIME = 1 << 22


def both(first: Regulariser | None, second: Regulariser | None) -> Regulariser | None:
    """The two one after the other."""
    if first is None or second is None:
        return first or second

    def call() -> None:
        first()
        second()

    return call


def l1_towards(
    maskable: Mapping[str, nn.Parameter], before: Mapping[str, Theta], strength: float
) -> Regulariser | None:
    """Adds strength · sign(θ - θ(0)) to the gradients in place; None for a strength of 0.

    Args:
        maskable: what is regularised.
        before: θ(0), shared out as the parameters are, or read in parts.
        strength: λ/N.
    """
    if strength == 0:
        return None

    @torch.no_grad()
    def regularise() -> None:
        moving = [(parameter, before[name]) for name, parameter in maskable.items() if parameter.grad is not None]
        for group in _groups(pieces for parameter, origin in moving for pieces in _pieces(parameter, origin)):
            parameters, origins, gradients = (list(each) for each in zip(*group, strict=True))
            moved = torch._foreach_sub(parameters, origins)
            torch._foreach_sign_(moved)
            torch._foreach_add_(gradients, moved, alpha=strength)

    return regularise


#: A part of θ, of θ(0) and of the gradient.
_Pieces = tuple[torch.Tensor, torch.Tensor, torch.Tensor]


def _pieces(parameter: nn.Parameter, origin: Theta) -> Iterator[_Pieces]:
    """Parts of at most so many elements: a copy of a whole embedding would take as much memory as it does."""
    assert parameter.grad is not None
    now, gradient = local(parameter.detach()), local(parameter.grad)
    if not gradient.is_contiguous():
        whole = origin if isinstance(origin, torch.Tensor) else origin(0, now.numel()).view_as(now)
        yield now, local(whole), gradient
        return
    for begin in range(0, now.numel(), _AT_A_TIME):
        some = slice(begin, begin + _AT_A_TIME)
        then = local(origin).view(-1)[some] if isinstance(origin, torch.Tensor) else origin(some.start, some.stop)
        yield now.view(-1)[some], then, gradient.view(-1)[some]


def _groups(pieces: Iterable[_Pieces]) -> Iterator[list[_Pieces]]:
    """What is worked on at a time: in one go as far as memory goes."""
    group, held = list[_Pieces](), 0
    for each in pieces:
        if group and held + each[0].numel() > _AT_A_TIME:
            yield group
            group, held = [], 0
        group.append(each)
        held += each[0].numel()
    if group:
        yield group


def l1_on(phi: nn.Parameter, strength: float) -> Regulariser | None:
    """Adds strength · sign(φ) to the gradient in place; None for a strength of 0."""
    return _adding([phi], torch.sign, strength)


def l0_on(log_alphas: Sequence[nn.Parameter], strength: float) -> Regulariser | None:
    """Adds the gradient of strength · Σ P(z ≠ 0) to those of log α in place; None for a strength of 0."""
    return _adding(log_alphas, l0_slope, strength)


def _adding(
    parameters: Sequence[nn.Parameter], slope: Callable[[torch.Tensor], torch.Tensor], strength: float
) -> Regulariser | None:
    if strength == 0:
        return None

    @torch.no_grad()
    def regularise() -> None:
        for parameter in parameters:
            if parameter.grad is not None:
                parameter.grad.add_(slope(parameter), alpha=strength)

    return regularise
