"""What one phase is: a model, what of it moves, what it learns from, and how far it goes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers import PreTrainedModel

from sftkit.tasks.base import Collator, Objective
from sftkit.tasks.evaluator import Evaluator
from sftkit.training.engine.order import Order
from sftkit.training.engine.regularisers import Regulariser
from sftkit.training.engine.snapshot import Snapshot
from sftkit.training.engine.turns import SourcesEvaluator, SourceSfts


@dataclass(frozen=True)
class Material:
    """What a phase learns from, and by what it is scored.

    Attributes:
        objective: says which loss, and by which metric the best step is told.
        features, collator: the training data, by index.
        order: in which the features are drawn.
        evaluator: scores the held-out data.
        turns: the SFTs that are put on in turns, each for its own source's batches.
    """

    objective: Objective
    features: Any
    collator: Collator
    order: Order
    evaluator: Evaluator | SourcesEvaluator
    turns: SourceSfts | None = None


@dataclass(frozen=True)
class Moving:
    """What a phase moves, beside whatever else has ``requires_grad``, and what is done with it on the way.

    Attributes:
        kept: the tensors to set aside at the best step, by name.
        regularise: called once before each optimizer step, to add the regulariser's gradient.
        counted: other tensors that a checkpoint must hold, by name: scores that grow while training.
        own_lr: parameters that have another learning rate than the rest, and that rate; it falls as the others do.
        aside: (step, where): set what is kept aside at that step, too.
    """

    kept: Mapping[str, torch.Tensor]
    regularise: Regulariser | None = None
    counted: Mapping[str, torch.Tensor] = field(default_factory=dict)
    own_lr: tuple[Sequence[nn.Parameter], float] = ((), 0.0)
    aside: tuple[int, Snapshot] | None = None

    @property
    def all(self) -> dict[str, torch.Tensor]:
        """What a checkpoint holds."""
        return {**self.kept, **self.counted}


@dataclass(frozen=True)
class Phase:
    """Everything one phase needs.

    Attributes:
        model: its trainable parameters are what moves.
        material, moving: as said there.
        steps: optimizer steps to do.
        folder: where checkpoints and the best step are kept; if it lasts, the same for all processes.
        seed: of dropout; the order has its own.
        lasting: whether the folder outlives the run, so that checkpoints are worth their time.
        sharded: whether the model is.
        start: the metric before the first step, where it is known; else it is scored.
        saved: called once a checkpoint is there.
    """

    model: PreTrainedModel
    material: Material
    moving: Moving
    steps: int
    folder: Path
    seed: int = 0
    lasting: bool = False
    sharded: bool = False
    start: float | None = None
    saved: Callable[[], None] = lambda: None
