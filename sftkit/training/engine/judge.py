"""Scores a phase on held-out data, sets its best step aside, and keeps its learning curves."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from transformers import PreTrainedModel

from sftkit.errors import SettingsError
from sftkit.tasks.evaluator import Evaluator, Metrics
from sftkit.training.engine.ranks import rank, world
from sftkit.training.engine.snapshot import Snapshot
from sftkit.training.engine.together import agreed, everyones, mean
from sftkit.training.engine.turns import SourcesEvaluator
from sftkit.training.observer import Observer


@dataclass
class Outcome:
    """What a phase did.

    Attributes:
        steps: optimizer steps done.
        best_step, best_value: where the chosen metric was best, and its value there.
        history: [step, value] of every evaluation; that of step 0 comes before the first step.
        losses: [step, mean training loss since the evaluation before], the regulariser apart.
    """

    steps: int
    best_step: int = 0
    best_value: float = math.nan
    history: list[list[float]] = field(default_factory=list)
    losses: list[list[float]] = field(default_factory=list)

    @property
    def start(self) -> float | None:
        """The metric's value before the first step; None where it was not scored."""
        return self.history[0][1] if self.history and self.history[0][0] == 0 else None


def share(evaluator: Evaluator | SourcesEvaluator, *, alone: bool) -> None:
    """Have several processes score together, each some of the batches; unless each is to score all of them."""
    for each in parts(evaluator):
        each.sharing = (rank(), world(), everyones) if world() > 1 and not alone else None


def parts(evaluator: Evaluator | SourcesEvaluator) -> Sequence[Evaluator]:
    """The evaluators of each source of data."""
    return evaluator.evaluators if isinstance(evaluator, SourcesEvaluator) else [evaluator]


@dataclass
class Judge:
    """Scores the held-out data and sets the best step aside.

    Attributes:
        model, evaluator, batch_size: what is scored, on what, how many examples at a time.
        metric, greater: which metric decides, and whether more of it is better.
        kept: the tensors to set aside, by name.
        best: where.
        observer: is told.
        outcome: what was found so far.
    """

    model: PreTrainedModel
    evaluator: Evaluator | SourcesEvaluator
    batch_size: int
    metric: str
    greater: bool
    kept: Mapping[str, torch.Tensor]
    best: Snapshot
    observer: Observer
    outcome: Outcome
    _loss: torch.Tensor | float = 0.0

    def learned(self, loss: torch.Tensor) -> None:
        """A batch was learned from. Its loss stays on the device, where nobody has to wait for it."""
        self._loss = self._loss + loss.detach()

    def begin(self, known: float | None = None) -> None:
        """Score the model before the first step, unless its score is known. That step is never the best: it is no SFT.

        Raises:
            SettingsError: if the score is no number.
            KeyboardInterrupt: if the observer asked for an end.
        """
        value = agreed(self._scores()[self.metric]) if known is None else known
        if not math.isfinite(value):
            raise SettingsError(
                f"Before the first step {self.metric} on the held-out data is {value}: no training can begin there. "
                "Are the base's weights finite, and does --precision f16 overflow (try f32 or bf16)?"
            )
        self.outcome.history.append([0, value])
        if known is None:
            self.observer.started(self.metric, value)

    def __call__(self, step: int) -> Metrics:
        """Score the model as it is after a step.

        Raises:
            SettingsError: if the training diverged.
            KeyboardInterrupt: if the observer asked for an end; then nothing was changed.
        """
        scores = self._scores()
        value = agreed(scores[self.metric])
        if not math.isfinite(value):
            raise SettingsError(f"The training diverged: {self.metric} is {value} at step {step}. Try a lower --lr.")
        outcome = self.outcome
        before = outcome.history[-1][0] if outcome.history else 0
        better = value > outcome.best_value if self.greater else value < outcome.best_value
        if better or math.isnan(outcome.best_value):
            self.best.save(self.kept)
            outcome.best_step, outcome.best_value = step, value
        outcome.history.append([step, value])
        loss = mean(float(self._loss)) / (step - before)
        if math.isfinite(loss):  # one batch that overflowed is no point of a curve, and JSON has no such number
            outcome.losses.append([step, loss])
        self._loss = 0.0
        self.observer.evaluated(step, self.metric, value, outcome.best_value)
        return scores

    def _scores(self) -> Metrics:
        self.observer.evaluating()
        every = parts(self.evaluator)
        total, before = sum(each.examples for each in every), 0
        for each in every:  # one after the other
            each.watch = lambda done, _, before=before: self.observer.scoring(before + done, total)
            before += each.examples
        # in one process alone: the others would wait for one that left
        each_batch = self.model.register_forward_pre_hook(lambda *_: self.observer.waiting()) if world() == 1 else None
        self.model.eval()
        try:
            return self.evaluator(self.model, self.batch_size).metrics
        finally:
            self.model.train()
            if each_batch is not None:
                each_batch.remove()

    def document(self) -> dict[str, Any]:
        """What a checkpoint has to keep of it. Every process calls it: each has learned from other batches."""
        return {"outcome": asdict(self.outcome), "losses": everyones(float(self._loss))}

    def go_on(self, document: Mapping[str, Any]) -> None:
        """Go on from what a checkpoint kept."""
        self._loss = document["losses"][rank()]
        for key, value in document["outcome"].items():
            setattr(self.outcome, key, value)
