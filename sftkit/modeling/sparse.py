"""φ as the parameter: a few entries of frozen weights made trainable by themselves.

The K values of φ are one leaf parameter; θ stays where it is and frozen. Gradients, optimizer moments, clipping, weight
decay, L1 and gradient reduction across processes then see one tensor of K numbers and not N in hundreds, and nothing
can move a frozen entry. The dense gradient of one weight lives only during that weight's own backward.

φ, its gradient and two moments take 16 K bytes, positions 4 K, and θ there 4 K (2 K in half precision).

Not covered: parameters that are not contiguous, and weights that change behind our back while φ is on them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import accumulate, pairwise
from typing import Any

import torch
from torch import nn
from torch.optim.optimizer import register_optimizer_step_post_hook
from transformers import PreTrainedModel

from sftkit.modeling.backbone import backbone_parameters, flat
from sftkit.modeling.gradients import Gather, Look, Root
from sftkit.modeling.linked import linked
from sftkit.modeling.rounding import rounded_sum

#: Elements of an embedding's gradient that are made at a time: 64 MB.
_ROWS_OF = 1 << 24
#: Entries whose positions are int64 at a time, as writing wants them.
_WRITTEN = 1 << 22


class SparseDelta(nn.Module):
    """φ on one weight: its flat ``positions`` (``[k]``), ``theta`` there, and which ``part`` of ``phi`` is its.

    Positions are int32, or int64 if some weight has more than 2^31 elements. ``phi`` is the whole φ of the model.

    Its forward takes the frozen weight, which holds θ + φ, and returns the same storage as a function of φ. Where
    weights are shared out over processes, it is a parametrization.
    """

    def __init__(self, owner: SparsePhi, positions: torch.Tensor, theta: torch.Tensor, part: slice) -> None:
        super().__init__()
        self.positions, self.theta, self.part = positions, theta, part
        self.phi = owner.phi
        self._known: list[tuple[int, int, int]] | None = None
        self._owner = (owner,)  # out of the module's sight: copies of the module have the same one

    @property
    def owner(self) -> SparsePhi:
        """What it is a part of."""
        return self._owner[0]

    def forward(self, weight: torch.Tensor) -> torch.Tensor:
        """The weight with θ + φ at the positions, differentiable in φ."""
        self.owner.refresh()
        with torch.enable_grad():
            result: torch.Tensor = Gather.apply(self.owner.root(), weight, self)  # type: ignore[no-untyped-call]  # torch's
        return result

    def embed(self, weight: torch.Tensor, padding: int | None, ids: torch.Tensor) -> torch.Tensor:
        """What a plain ``nn.Embedding`` gives for ids, differentiable in φ.

        Args:
            weight: ``[rows, width]``, which holds θ + φ.
            padding: the row that gets no gradient.
            ids: any shape.
        """
        self.owner.refresh()
        result: torch.Tensor = Look.apply(self.owner.root(), weight, ids, self, padding)  # type: ignore[no-untyped-call]  # torch's
        return result

    def gather(self, gradient: torch.Tensor) -> None:
        """Add the loss's gradient of the weight, at the positions, to φ's."""
        self.owner.add_gradient(self, gradient.reshape(-1))

    def gather_rows(self, gradient: torch.Tensor, ids: torch.Tensor, padding: int | None, rows: int) -> None:
        """The same of an embedding, given its output's gradient: as torch's own makes it, but never whole.

        Args:
            gradient: ``[…, width]``.
            ids: ``[…]``.
            padding: the row that gets no gradient.
            rows: of the embedding.
        """
        width = gradient.shape[-1]
        if padding is not None:
            ids = ids.masked_fill(ids == padding, -1)
        for first, begin, end in self._stretches(width):
            some = min(max(1, _ROWS_OF // width), rows - first)
            # what is looked up elsewhere goes into one row more, which is padding to torch
            inside = torch.where((ids >= first) & (ids < first + some), ids - first, some)
            made = torch.ops.aten.embedding_dense_backward(gradient, inside, some + 1, some, False)
            self.owner.add_gradient(self, made.view(-1), slice(begin, end), first * width)

    def _stretches(self, width: int) -> list[tuple[int, int, int]]:
        """(First row, first position, end) of stretches of so many rows, those without positions left out."""
        if self._known is None:
            rows = max(1, _ROWS_OF // width)
            last = int(self.positions[-1]) // width
            starts = torch.arange(0, last + 1 + rows, rows, device=self.positions.device)
            cuts = torch.searchsorted(self.positions.long(), starts * width).tolist()
            each = zip(starts.tolist(), cuts, cuts[1:], strict=False)
            self._known = [stretch for stretch in each if stretch[1] < stretch[2]]
        return self._known


class SparsePhi:
    """All of φ on a model, as one parameter, and the one place where θ + φ is written into weights.

    It is written whenever φ may have changed: after each step of an optimizer that has φ (fused ones leave no trace in
    φ's version counter), and otherwise before a forward pass if that counter moved or :attr:`stale` was set. All
    weights are written at once, before any is used: weights that are views of one storage would otherwise be seen to
    change in the midst of a pass.

    Attributes:
        phi: float32 ``[K]``, the only leaf.
        deltas: canonical name -> its part.
        stale: set to have θ + φ written anew before the next forward pass.
    """

    def __init__(self, weights: Mapping[str, torch.Tensor], positions: Mapping[str, torch.Tensor]) -> None:
        """Gather θ at the positions.

        Args:
            weights: by canonical name, all on one device.
            positions: canonical name -> flat positions, int32 or int64 ``[k]``; those of none are left out.
        """
        positions = {name: where for name, where in positions.items() if len(where)}
        self._weights = {name: weights[name] for name in positions}
        ends = list(accumulate(map(len, positions.values()), initial=0))
        parts = [slice(*pair) for pair in pairwise(ends)]
        device = next((weight.device for weight in self._weights.values()), torch.device("cpu"))
        largest = max((weight.numel() for weight in self._weights.values()), default=0)
        where = torch.empty(ends[-1], dtype=torch.int32 if largest <= 1 << 31 else torch.int64, device=device)
        theta = torch.empty(ends[-1], dtype=self._common(), device=device)
        for (name, weight), part in zip(self._weights.items(), parts, strict=True):
            where[part] = positions[name].to(device)
            theta[part] = flat(weight).index_select(0, where[part])
        self._theta, self._positions, self._size = theta, where, ends[-1]
        self.phi = nn.Parameter(torch.zeros(ends[-1], dtype=torch.float32, device=device))
        self.deltas = {
            name: SparseDelta(self, where[part], theta[part], part)
            for name, part in zip(self._weights, parts, strict=True)
        }
        self.stale = False
        self._written = self.phi._version
        self._root: torch.Tensor | None = None
        self._gradient: torch.Tensor | None = None
        self._gathered: set[SparseDelta] = set()

    def _common(self) -> torch.dtype:
        """The weights' dtype; float32, which holds both half precisions, where they are of several."""
        found = {weight.dtype for weight in self._weights.values()}
        return found.pop() if len(found) == 1 else torch.float32

    def root(self) -> torch.Tensor:
        """What a weight with φ on it depends on. It saves nothing for a backward pass, and so serves all of them."""
        if self._root is None:
            with torch.enable_grad():
                self._root = Root.apply(self.phi, self)  # type: ignore[no-untyped-call]  # torch's
        return self._root

    def refresh(self) -> None:
        """Write θ + φ if φ may have changed since it was written."""
        if self.stale or self.phi._version != self._written:
            self.write()

    @torch.no_grad()
    def write(self) -> None:
        """Put θ + φ into the weights, rounded once to each weight's dtype, as composing rounds it.

        In half precision an entry therefore moves only once |φ| reaches half of θ's last digit (2^-9 |θ| in bfloat16).
        φ itself is float32 and adds smaller steps up until then.
        """
        self._put(rounded_sum(self._theta, self.phi.detach()))
        self._written, self.stale = self.phi._version, False

    def _put(self, values: torch.Tensor) -> None:
        """Write values, ``[K]``, into the weights at φ's positions."""
        begin = end = 0
        for weight, delta in zip(self._weights.values(), self.deltas.values(), strict=True):
            if delta.part.stop > end:  # of many weights at a time, as far as memory goes
                begin, end = delta.part.start, max(delta.part.stop, min(delta.part.start + _WRITTEN, self._size))
                where = self._positions[begin:end].long()
            at = where[delta.part.start - begin : delta.part.stop - begin]
            flat(weight).index_copy_(0, at, values[delta.part].to(weight.dtype))

    def add_gradient(
        self, delta: SparseDelta, gradient: torch.Tensor, some: slice = slice(None), first: int = 0
    ) -> None:
        """Add to φ's gradient in the backward pass that is going on.

        Args:
            delta: of which weight.
            gradient: the weight's, flat; or a part of it.
            some: which of the positions lie in that part.
            first: where it begins in the weight.
        """
        if self._gradient is None:
            self._gradient = torch.zeros(self._size, device=self._theta.device)
        into, positions = self._gradient[delta.part][some], delta.positions[some]
        if first:
            positions = positions - first
        if delta in self._gathered or some != slice(None) or gradient.dtype != into.dtype:
            into.add_(gradient.index_select(0, positions))
        else:  # without a copy
            torch.index_select(gradient, 0, positions, out=into)
        self._gathered.add(delta)

    def take_gradient(self) -> torch.Tensor:
        """φ's gradient once it is whole, float32 ``[K]``."""
        whole = self._gradient if self._gradient is not None else torch.zeros(self._size, device=self._theta.device)
        self._gradient = None
        self._gathered.clear()
        return whole

    @contextmanager
    def written_after_steps(self) -> Iterator[None]:
        """For the length of a ``with`` block, θ + φ is written after each step of an optimizer that has φ."""

        def step(optimizer: torch.optim.Optimizer, *_: Any) -> None:
            if any(parameter is self.phi for group in optimizer.param_groups for parameter in group["params"]):
                self.write()

        hook = register_optimizer_step_post_hook(step)
        try:
            yield
        finally:
            hook.remove()

    @torch.no_grad()
    def restore(self) -> None:
        """Put θ back, to the bit."""
        self._put(self._theta)


@contextmanager
def sparse_parameters(model: PreTrainedModel, positions: Mapping[str, torch.Tensor]) -> Iterator[SparsePhi]:
    """Make φ at the given positions trainable for a while; afterwards the model is as it was, θ to the bit.

    Args:
        model: its backbone parameters are frozen inside; its head is left alone.
        positions: canonical name -> flat positions, int32 or int64.

    Yields:
        φ.
    """
    phi = SparsePhi(backbone_parameters(model), positions)
    before = model.register_forward_pre_hook(lambda *_: phi.refresh())
    try:
        with linked(model, phi.deltas, phi.phi), phi.written_after_steps():
            yield phi
    finally:
        before.remove()
        phi.restore()
