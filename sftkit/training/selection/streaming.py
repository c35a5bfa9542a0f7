"""Scores for models whose full fine-tuning does not fit: gradients at θ(0), added up one parameter at a time.

An approximation of phase 1. Only the head is tuned; θ stays θ(0), and each parameter's gradient is added to its score
as soon as the backward pass has it, and dropped. Memory beside the activations: the weights (4 or 2 bytes a parameter),
the scores (4 bytes a maskable parameter), two vectors a matrix, the gradient of one parameter (of two where a layer
gives those of its weight and its bias together), and 16 bytes a parameter of the head. Full fine-tuning takes 16 bytes
a parameter.

- ``change``: |Σ g| / √v, where v is an entry's Σ g² as the mean squares of its row and its column give it (Adafactor:
  Shazeer and Stern 2018, section 3). Adam moves an entry by about the learning rate times Σ g / √(mean of g²), so this
  is how far it would go if gradients stayed as they are at θ(0). One score a parameter allows no Σ g² of its own.
- ``fisher``: Σ g², exactly what :mod:`sftkit.training.selection.criteria` means by it, at θ(0) (Sung et al. 2021).

Gradients are not clipped, there is no pull of L1 at θ(0), and every batch counts alike, whatever the learning rate.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import nn

from sftkit.training.selection.ranking import Ranking, check_finite, counted


class GradientSums:
    """Σ g of each maskable parameter, with the row and column sums of g²; or Σ g² for ``fisher``."""

    def __init__(self, maskable: Mapping[str, nn.Parameter], criterion: str) -> None:
        self._maskable = maskable
        self._squares = criterion == "fisher"
        self.sums = {name: torch.zeros_like(p, dtype=torch.float32) for name, p in maskable.items()}
        self._rows, self._columns = dict[str, torch.Tensor](), dict[str, torch.Tensor]()
        if not self._squares:
            for name, total in self.sums.items():
                matrix = _as_matrix(total)
                self._rows[name], self._columns[name] = matrix.new_zeros(len(matrix)), matrix.new_zeros(matrix.shape[1])

    @property
    def tensors(self) -> dict[str, torch.Tensor]:
        """What a checkpoint must hold, by name."""
        kinds = {"score": self.sums, "rows": self._rows, "columns": self._columns}
        return {f"{kind}:{name}": tensor for kind, each in kinds.items() for name, tensor in each.items()}

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Take every gradient of a maskable parameter as it comes, and leave none."""
        names = {id(parameter): name for name, parameter in self._maskable.items()}

        def take(parameter: torch.Tensor) -> None:
            assert parameter.grad is not None
            self.add(names[id(parameter)], parameter.grad)
            parameter.grad = None

        hooks = [parameter.register_post_accumulate_grad_hook(take) for parameter in self._maskable.values()]
        try:
            yield
        finally:
            for hook in hooks:
                hook.remove()

    @torch.no_grad()
    def add(self, name: str, gradient: torch.Tensor) -> None:
        """Add one gradient, of the parameter's shape and dtype."""
        if self._squares:
            self.sums[name].add_(gradient.float().square())
            return
        self.sums[name].add_(gradient)
        matrix = _as_matrix(gradient)
        for dimension, total in ((1, self._rows[name]), (0, self._columns[name])):
            total.add_(torch.linalg.vector_norm(matrix, dim=dimension, dtype=torch.float32).square_())

    def scores(self) -> Ranking:
        """The ranking; higher is better.

        Raises:
            SettingsError: if a sum is not finite: the head's training diverged.
        """
        check_finite(self.sums)
        return counted(self.sums.__getitem__ if self._squares else self._normalised)

    def _normalised(self, name: str) -> torch.Tensor:
        rows, columns = self._rows[name], self._columns[name]
        total = _as_matrix(self.sums[name]).abs()
        # g² is added up over rows for columns and over columns for rows: both have the same sum
        total.div_(rows.sqrt()[:, None]).div_(columns.sqrt()).mul_(rows.sum().sqrt())
        return total.nan_to_num_(nan=0.0, posinf=0.0)  # no gradient ever came there: 0 / 0


def _as_matrix(tensor: torch.Tensor) -> torch.Tensor:
    """A vector as one column, so that its squares are kept whole; more dimensions than two as (first, all others)."""
    return tensor.reshape(len(tensor) if tensor.dim() else 1, -1)
