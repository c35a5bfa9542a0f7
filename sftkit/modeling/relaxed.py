"""DiffPruning's relaxed mask (Guo et al. 2021, section 3.1): θ + z ⊙ w, with a dense w and a z that is nearly binary.

z follows the hard-concrete distribution of Louizos et al. 2018 (their equations 10 and 11, with temperature 1, as
DiffPruning has it), one log α an entry. With u uniform on (0, 1):

    s = sigmoid(log u - log(1 - u) + log α),   z = min(1, max(0, s · (r - l) + l)),   l = -1.5, r = 1.5

so that z is exactly 0 or 1 with positive probability and differentiable between, and P(z ≠ 0) = sigmoid(log α -
log(-l / r)), whose sum is the expected L0 norm. While training, z is drawn anew in each pass of the model; otherwise it
is what u = 1/2 gives (Louizos et al. 2018, equation 13).

w and log α are float32 of θ's shape. With gradients, Adam's moments and the composed weight that makes 36 bytes a
maskable parameter beside θ; nothing else is kept, since the backward pass draws the same z again from its seed.

Not covered: structured DiffPruning, which shares a second mask among the entries of each matrix.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn
from transformers import PreTrainedModel

from sftkit.modeling.backbone import backbone_parameters
from sftkit.modeling.parametrized import parametrized

#: l and r, to which the concrete distribution is stretched (Guo et al. 2021).
LOW, HIGH = -1.5, 1.5
#: log α to begin with, as in the authors' program: P(z ≠ 0) = 0.993.
LOG_ALPHA = 5.0


def _drawn(log_alpha: torch.Tensor, seed: int | None) -> torch.Tensor:
    """The s of every entry: drawn from a seed, or with u = 1/2 if that is None."""
    if seed is None:
        return log_alpha.sigmoid()
    generator = torch.Generator(log_alpha.device).manual_seed(seed)
    noise = torch.rand(log_alpha.shape, generator=generator, device=log_alpha.device)
    return noise.logit_(eps=1e-6).add_(log_alpha).sigmoid_()


def _stretched(s: torch.Tensor) -> torch.Tensor:
    """The z that an s stretches to."""
    return (s * (HIGH - LOW) + LOW).clamp_(0, 1)


class _Relax(torch.autograd.Function):
    """θ + z ⊙ w; on the way back, the gradients of w and of log α."""

    @staticmethod
    def forward(
        ctx: Any, w: torch.Tensor, log_alpha: torch.Tensor, theta: torch.Tensor, seed: int | None
    ) -> torch.Tensor:
        ctx.save_for_backward(w, log_alpha)
        ctx.seed = seed
        return _stretched(_drawn(log_alpha, seed)).mul_(w).add_(theta).to(theta.dtype)

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, None, None]:
        w, log_alpha = ctx.saved_tensors
        s = _drawn(log_alpha, ctx.seed)
        z = _stretched(s)
        gradient = gradients[0].float()
        inside = (z > 0) & (z < 1)
        slope = s.sub_(s.square()).mul_(HIGH - LOW).mul_(inside)  # dz / d log α
        return gradient * z, slope.mul_(w).mul_(gradient), None, None


class RelaxedDelta(nn.Module):
    """w and log α of one weight, float32 of its shape."""

    def __init__(self, weight: torch.Tensor) -> None:
        super().__init__()
        self.w = nn.Parameter(torch.zeros_like(weight, dtype=torch.float32))
        self.log_alpha = nn.Parameter(torch.full_like(weight, LOG_ALPHA, dtype=torch.float32))
        self.seed = 0

    def forward(self, weight: torch.Tensor) -> torch.Tensor:
        """The weight with z ⊙ w added, differentiable in w and log α."""
        seed = self.seed if self.training else None
        result: torch.Tensor = _Relax.apply(self.w, self.log_alpha, weight, seed)  # type: ignore[no-untyped-call]  # torch's
        return result

    @torch.no_grad()
    def difference(self) -> torch.Tensor:
        """The product z ⊙ w, with the z of u = 1/2."""
        return _stretched(_drawn(self.log_alpha, None)).mul_(self.w)


def l0_slope(log_alpha: torch.Tensor) -> torch.Tensor:
    """The derivative of an entry's P(z ≠ 0) by its log α."""
    open_ = (log_alpha - math.log(-LOW / HIGH)).sigmoid_()
    return open_.sub_(open_.square())


@contextmanager
def relaxed_parameters(model: PreTrainedModel, names: Iterable[str]) -> Iterator[dict[str, RelaxedDelta]]:
    """Put w and z on backbone parameters for a while; afterwards the model is as it was.

    Masks come from torch's own generator, one seed a parameter and pass: weights that are used several times in one
    pass, or again by gradient checkpointing, have one mask in it.

    Args:
        model: its backbone parameters are frozen inside; its head is left alone.
        names: canonical names of the parameters that w and z are put on.

    Yields:
        canonical name -> the delta on that parameter.
    """
    parameters = backbone_parameters(model)
    deltas = {name: RelaxedDelta(parameters[name]) for name in names}

    def draw(module: nn.Module, _: Any) -> None:
        if module.training:
            for delta, seed in zip(deltas.values(), torch.randint(2**62, (len(deltas),)).tolist(), strict=True):
                delta.seed = seed

    drawing = model.register_forward_pre_hook(draw)
    try:
        with parametrized(model, deltas):
            yield deltas
    finally:
        drawing.remove()
