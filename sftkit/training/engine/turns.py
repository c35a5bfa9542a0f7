"""A task learned from several languages at once: each batch is of one source, under that source's SFT.

The SFT is put on θ while its batch goes forwards and backwards, and taken off again, to the bit, before anything else
sees the model: so the optimizer, the regulariser, the ranking and φ, which is one for all sources, know θ alone. Where
φ and a source's SFT touch the same entry, both count. Taking turns costs 2 K writes a batch.

Not covered: relaxed masks (``--method diff``), whose weights are made anew in each forward pass.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.utils.data import Dataset
from transformers import PreTrainedModel

from sftkit.format.files import SftFile
from sftkit.modeling.backbone import flat
from sftkit.modeling.rounding import narrowed
from sftkit.modeling.sparse import SparseDelta
from sftkit.tasks.base import Collator
from sftkit.tasks.evaluator import Evaluator, Metrics
from sftkit.training.engine.order import Order

#: The key of a batch that says which source it is from, int64 ``[1]``.
SOURCE = "source"
#: φ is not on the model.
NO_DELTAS: Mapping[str, SparseDelta] = {}


@dataclass(frozen=True)
class _Addition:
    """What one SFT adds to one tensor: a weight, or what φ's own entries of that weight start from."""

    tensor: torch.Tensor
    positions: torch.Tensor
    values: torch.Tensor
    delta: SparseDelta | None = None

    def put_on(self) -> torch.Tensor:
        """Add, rounding once, as composing does; what was there before, ``[n]``."""
        before = flat(self.tensor).index_select(0, self.positions)
        self.write(narrowed(before.double() + self.values, before.dtype))
        return before

    def write(self, values: torch.Tensor) -> None:
        """Put values there."""
        flat(self.tensor).index_copy_(0, self.positions, values)
        if self.delta is not None:
            self.delta.owner.stale = True  # θ + φ is written anew before it is used


class SourceSfts:
    """The sources' SFTs, ready to be put on a model in turns.

    Args:
        parameters: the backbone's, by canonical name.
        sfts: each source's, or None where a source has none.
        deltas: φ on those parameters, if it is there.
    """

    def __init__(
        self,
        parameters: Mapping[str, nn.Parameter],
        sfts: Sequence[SftFile | None],
        deltas: Mapping[str, SparseDelta],
    ) -> None:
        self._additions = [
            [
                addition
                for name in (sft.names if sft is not None else ())
                if name in parameters  # a pooler may be missing
                for addition in _additions(parameters[name], sft, name, deltas.get(name))
            ]
            for sft in sfts
        ]

    @contextmanager
    def on(self, source: int) -> Iterator[None]:
        """The model under one source's SFT; afterwards as it was, to the bit."""
        additions = self._additions[source]
        before = [each.put_on() for each in additions]
        try:
            yield
        finally:
            for each, theta in zip(additions, before, strict=True):
                each.write(theta)


def _additions(
    parameter: nn.Parameter, sft: SftFile | None, name: str, delta: SparseDelta | None
) -> Iterator[_Addition]:
    assert sft is not None
    where, phi = (torch.tensor(array, device=parameter.device) for array in sft.entries(name))
    if delta is None:
        yield _Addition(parameter, where, phi)
        return
    positions = delta.positions.long()
    shared = torch.isin(where, positions, assume_unique=True)
    yield _Addition(parameter, where[~shared], phi[~shared])
    yield _Addition(delta.theta, torch.searchsorted(positions, where[shared]), phi[shared], delta)


class Sourced(Dataset[tuple[int, Any]]):
    """Examples by the numbers of their draws, each with the source that it is from."""

    def __init__(self, examples: Any, order: Order) -> None:
        self._examples, self._order = examples, order

    def __len__(self) -> int:
        return len(self._examples)

    def __getitem__(self, number: int) -> tuple[int, Any]:
        return self._order.source(number), self._examples[number]


def marked(collator: Collator) -> Callable[[list[tuple[int, Any]]], dict[str, torch.Tensor]]:
    """A collator of what :class:`Sourced` gives, which says in the batch which source it is from."""

    def collate(drawn: list[tuple[int, Any]]) -> dict[str, torch.Tensor]:
        return {**collator([example for _, example in drawn]), SOURCE: torch.tensor([drawn[0][0]])}

    return collate


@dataclass(frozen=True)
class Means:
    """Metrics by name, each the mean over the sources."""

    metrics: Metrics


class SourcesEvaluator:
    """Scores each source's held-out data under its SFT, and takes the mean of each metric over the sources.

    Args:
        evaluators: of each source's data; or one, of data that is scored under the first source's SFT.
        sfts: puts them on.
    """

    def __init__(self, evaluators: Sequence[Evaluator], sfts: SourceSfts) -> None:
        self.evaluators, self._sfts = evaluators, sfts

    def __call__(self, model: PreTrainedModel, batch_size: int) -> Means:
        """The means."""
        found = []
        for source, evaluator in enumerate(self.evaluators):
            with self._sfts.on(source):
                found.append(evaluator(model, batch_size).metrics)
        return Means({name: sum(scores[name] for scores in found) / len(found) for name in found[0]})
