"""How a training run tells what it is doing, to whoever wants to show it. The library itself shows nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class RunPlan:
    """What a run is about to do, once model and data are loaded.

    Attributes:
        objective, method: as in the settings.
        base: the base's name.
        under: the SFTs that are on it while it learns and are not part of the result.
        sizes: entries that φ will have, in each of the run's SFTs.
        backbone: parameters in the backbone.
        maskable: of those, parameters that may move.
        head: parameters of the head, fully tuned.
        frozen: what is frozen, in words.
        train, dev: examples to learn from, and to choose the best step on; of plain text, windows.
        steps1, steps2: optimizer steps of the two phases; steps1 is 0 where a method has no phase 1.
        rounds: how often phase 1 is done, with steps1 each.
        epochs1, epochs2: how often the steps of each phase go through the training data.
        eval_every: steps between evaluations; there is one before the first step and one at the end, too.
        batch_size: sequences an optimizer step, in all processes.
        tokens: real tokens an optimizer step, in all processes, on average; special tokens included.
        device: where it is computed.
        processes: how many compute it.
        memory: phase -> what for -> bytes that a process should need beside activations, for the largest SFT.
        bf16_faster: whether the device computes in bfloat16, and --precision is f32.
        reduced: phase -> bytes that the processes sum over each other at an optimizer step; empty for one process.
        notes: what is odd about it.
    """

    objective: str
    method: str
    base: str
    sizes: tuple[int, ...]
    backbone: int
    maskable: int
    head: int
    frozen: str
    train: int
    dev: int
    steps1: int
    steps2: int
    batch_size: int
    tokens: int = 0
    rounds: int = 1
    device: str = "cpu"
    processes: int = 1
    memory: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    reduced: Mapping[str, int] = field(default_factory=dict)
    under: tuple[str, ...] = ()
    epochs1: float = 0.0
    epochs2: float = 0.0
    eval_every: int = 1
    bf16_faster: bool = False
    notes: tuple[str, ...] = ()


class Observer:
    """Told of everything, in order; every method does nothing unless it is overridden."""

    def loading(self, what: str) -> None:
        """Something that takes a while is being prepared."""

    def reading(self, what: str, lines: int, share: float | None) -> None:
        """So many lines of a long text were read, and what share of it that is, where it is known."""

    def planned(self, plan: RunPlan) -> None:
        """Model and data are loaded."""

    def phase(self, name: str, steps: int) -> None:
        """A phase of so many steps begins: "phase 1", "phase 2", or "select" with 0 steps."""

    def going_on(self, step: int, steps: int) -> None:
        """The phase goes on from a step of an earlier session; from its last one if it was done then."""

    def selecting(self, done: int, total: int) -> None:
        """So many of the elements that selection looks at were looked at."""

    def step(self, step: int, loss: float | None) -> None:
        """A step was done; the training loss (regulariser apart) where it was just measured."""

    def evaluating(self) -> None:
        """The model is about to be scored on the held-out data, which may take longer than many steps."""

    def scoring(self, done: int, total: int) -> None:
        """So many of the examples, or windows of them, that are held out were scored."""

    def waiting(self) -> None:
        """Something long goes on: called at each batch that is scored, and wherever a run can end without harm."""

    def started(self, metric: str, value: float) -> None:
        """The model was scored before a phase's first step: the base, or where phase 2 was rewound to."""

    def evaluated(self, step: int, metric: str, value: float, best: float) -> None:
        """The model was scored on the held-out data."""

    def done(self) -> None:
        """The phase ended without a last evaluation."""

    def note(self, text: str) -> None:
        """Something that the user may want to know."""
