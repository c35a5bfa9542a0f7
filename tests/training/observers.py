"""Observers that tests hand to a training run."""

from __future__ import annotations

from sftkit.training.observer import Observer


class EndAt(Observer):
    """Asks for an end at the n-th step of the run."""

    def __init__(self, step: int) -> None:
        self.left = step

    def step(self, step: int, loss: float | None) -> None:
        """Count the steps that were done."""
        del step
        self.left -= loss is None
        if self.left == 0:
            raise KeyboardInterrupt


class EndWhileScoring(Observer):
    """Asks for an end in the middle of the n-th evaluation."""

    def __init__(self, evaluation: int) -> None:
        self.left = evaluation

    def evaluating(self) -> None:
        """Count the evaluations."""
        self.left -= 1

    def waiting(self) -> None:
        """The place to end."""
        if self.left == 0:
            raise KeyboardInterrupt
