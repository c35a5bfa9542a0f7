"""How the dense gradients of weights become φ's: autograd functions that save next to nothing.

What a delta and its owner do with a gradient is :mod:`sftkit.modeling.sparse`'s business.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import nn

if TYPE_CHECKING:
    from sftkit.modeling.sparse import SparseDelta, SparsePhi


class Root(torch.autograd.Function):
    """Where all of φ's gradient comes together: an empty tensor that every weight with φ on it depends on.

    Autograd calls its backward once the backward of every such weight has put its part into the gradient.
    """

    @staticmethod
    def forward(ctx: Any, phi: torch.Tensor, owner: SparsePhi) -> torch.Tensor:
        """Nothing but what depends on φ."""
        ctx.owner = owner
        return torch.empty(0, device=phi.device)

    @staticmethod
    def backward(ctx: Any, *_: torch.Tensor) -> tuple[torch.Tensor, None]:
        """All of φ's gradient, which is whole now."""
        owner: SparsePhi = ctx.owner
        return owner.take_gradient(), None


class Gather(torch.autograd.Function):
    """The weight itself on the way forward; on the way back, the gradient at φ's positions."""

    @staticmethod
    def forward(ctx: Any, root: torch.Tensor, weight: torch.Tensor, delta: SparseDelta) -> torch.Tensor:
        """The weight, of the same memory."""
        del root
        ctx.delta = delta
        return weight.data  # of the same memory, but no view: what is written there is written between passes

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor, None, None]:
        """Gather, and leave nothing of the dense gradient."""
        delta: SparseDelta = ctx.delta
        delta.gather(gradients[0])
        return torch.empty(0, device=gradients[0].device), None, None


class Look(torch.autograd.Function):
    """Rows of an embedding; on the way back, the gradient at φ's positions, some rows of the matrix at a time."""

    @staticmethod
    def forward(
        ctx: Any, root: torch.Tensor, weight: torch.Tensor, ids: torch.Tensor, delta: SparseDelta, padding: int | None
    ) -> torch.Tensor:
        """Rows of the weight."""
        del root
        ctx.delta, ctx.padding, ctx.rows = delta, padding, len(weight)
        ctx.save_for_backward(ids)
        return nn.functional.embedding(ids, weight.data)

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor, None, None, None, None]:
        """Gather from some rows at a time."""
        delta: SparseDelta = ctx.delta
        (ids,) = ctx.saved_tensors
        delta.gather_rows(gradients[0], ids, ctx.padding, ctx.rows)
        return torch.empty(0, device=ids.device), None, None, None, None
