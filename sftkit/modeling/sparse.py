"""φ as the parameter: a few entries of frozen weights made trainable by themselves.

The K values of φ are leaf parameters; θ stays where it is and frozen. Gradients, optimizer moments, clipping, weight
decay and gradient reduction across processes then see K numbers and not N, and nothing can move a frozen entry. The
dense gradient of one weight lives only during that weight's own backward.

Not covered: parameters that are not contiguous, and weights that change behind our back while φ is on them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn
from transformers import PreTrainedModel

from sftkit.modeling.backbone import backbone_parameters, flat
from sftkit.modeling.parametrized import parametrized


class _Gather(torch.autograd.Function):
    """The weight itself on the way forward; on the way back, the gradient at φ's positions."""

    @staticmethod
    def forward(ctx: Any, phi: torch.Tensor, weight: torch.Tensor, delta: SparseDelta) -> torch.Tensor:
        del phi
        ctx.delta = delta
        return weight.view_as(weight)

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor, None, None]:
        delta: SparseDelta = ctx.delta
        delta.stale = True  # an optimizer's step follows a backward pass
        return delta.summed(gradients[0].reshape(-1).index_select(0, delta.positions).float()), None, None


class SparseDelta(nn.Module):
    """φ on one weight: ``phi`` (float32 ``[k]``), its flat ``positions`` (``[k]``) and ``theta`` there.

    Positions are int32, or int64 in a weight of more than 2^31 elements.

    As a parametrization its forward takes the frozen weight and returns the same storage, into which θ + φ was written
    at the positions if φ may have changed since the last time. φ's version counter tells of most changes, but fused
    optimizers do not touch it: so a backward pass, which a step follows, counts as a change, too.
    """

    positions: torch.Tensor
    theta: torch.Tensor

    def __init__(self, weight: torch.Tensor, positions: torch.Tensor) -> None:
        super().__init__()
        theta = flat(weight).index_select(0, positions)
        narrow = torch.int32 if weight.numel() <= 1 << 31 else torch.int64
        self.register_buffer("positions", positions.to(narrow), persistent=False)
        self.register_buffer("theta", theta, persistent=False)
        self.phi = nn.Parameter(torch.zeros(len(positions), dtype=torch.float32, device=weight.device))
        self._written = self.phi._version
        self.stale = False

    def forward(self, weight: torch.Tensor) -> torch.Tensor:
        """The weight with θ + φ at the positions, differentiable in φ."""
        if self.stale or self.phi._version != self._written:
            self.write(weight)
        return self.differentiable(weight)

    def differentiable(self, weight: torch.Tensor) -> torch.Tensor:
        """A weight that holds θ + φ, as a function of φ."""
        result: torch.Tensor = _Gather.apply(self.phi, weight, self)  # type: ignore[no-untyped-call]  # torch's
        return result

    def write(self, weight: torch.Tensor) -> None:
        """Put θ + φ into the weight."""
        self.put(weight, self.positions.long(), self.phi.detach())
        self._written, self.stale = self.phi._version, False

    def put(self, weight: torch.Tensor, positions: torch.Tensor, phi: torch.Tensor) -> None:
        """Put θ + φ into a weight at positions (int64), rounded once to the weight's dtype, as composing rounds it.

        In half precision an entry therefore moves only once |φ| reaches half of θ's last digit (2^-9 |θ| in bfloat16).
        φ itself is float32 and adds smaller steps up until then.
        """
        with torch.no_grad():
            if weight.dtype == torch.float32:
                value = self.theta + phi
            else:
                value = narrowed(self.theta.double() + phi.double(), weight.dtype)
            flat(weight).index_copy_(0, positions, value)

    def summed(self, gradient: torch.Tensor) -> torch.Tensor:
        """φ's gradient, given the loss's at the positions, float32 ``[k]``."""
        return gradient

    def restore(self, weight: torch.Tensor) -> None:
        """Put θ back, to the bit."""
        with torch.no_grad():
            flat(weight).index_copy_(0, self.positions.long(), self.theta)


@contextmanager
def sparse_parameters(
    model: PreTrainedModel, positions: Mapping[str, torch.Tensor]
) -> Iterator[dict[str, SparseDelta]]:
    """Make φ at the given positions trainable for a while; afterwards the model is as it was, θ to the bit.

    Args:
        model: its backbone parameters are frozen inside; its head is left alone.
        positions: canonical name -> flat positions, int32 or int64.

    Yields:
        canonical name -> the delta on that parameter.
    """
    parameters = backbone_parameters(model)
    deltas = {
        name: SparseDelta(parameters[name], where.to(parameters[name].device)) for name, where in positions.items()
    }
    try:
        with parametrized(model, deltas):
            yield deltas
    finally:
        for name, delta in deltas.items():
            delta.restore(parameters[name])


def narrowed(values: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """As :func:`sftkit.format.dtypes.narrowed`: torch takes both half precisions by way of float32."""
    if dtype not in (torch.float16, torch.bfloat16):
        return values.to(dtype)
    near = values.float()
    wide = near.double()
    bits = near.view(torch.int32) - (wide.abs() > values.abs()).int()
    return torch.where(wide == values, bits, bits | 1).view(torch.float32).to(dtype)
