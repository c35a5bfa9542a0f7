"""What every method gives back, and what it is asked for."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import ClassVar

from sftkit.errors import SettingsError
from sftkit.training.engine.judge import Outcome
from sftkit.training.engine.snapshot import Snapshot
from sftkit.training.methods.registry import METHODS
from sftkit.training.selection.movable import default_k
from sftkit.training.selection.ranking import Mask
from sftkit.training.settings import Settings
from sftkit.training.tuning import Run


@dataclass(frozen=True)
class Choice:
    """What a method chose.

    Attributes:
        masks: one for each K.
        phase1: what phase 1 did; None where there is none.
        rewound: what phase 2 begins from; None: θ(0).
    """

    masks: Sequence[Mask]
    phase1: Outcome | None = None
    rewound: Snapshot | None = None


class Chooser(ABC):
    """A method at work on one run; afterwards θ is θ(0).

    Attributes:
        stillness: what there is to say of entries that do not move in phase 2, if that is as it should be.
    """

    stillness: ClassVar[str] = ""

    def __init__(self, run: Run) -> None:
        self.run = run

    @abstractmethod
    def choose(self, sizes: Sequence[int]) -> Choice:
        """Choose so many entries, for each of the run's SFTs."""

    def size(self, settings: Settings) -> int:
        """K: a number, a share of the backbone, or the paper's; known before anything is trained.

        Args:
            settings: of one of the run's SFTs.

        Raises:
            SettingsError: if it is more than what may move.
        """
        tunable = self.run.tunable
        if settings.k is not None:
            k = settings.k
        elif settings.density is not None:
            k = max(1, round(settings.density * tunable.size))
        else:
            k = default_k(tunable.model, is_task=self.run.equipment.data.objective.is_task)
        if k > tunable.free:
            kept_clear = f", kept clear of: {tunable.movable.size - tunable.free:,}" if tunable.avoided else ""
            raise SettingsError(
                f"K = {k:,} is more than the {tunable.free:,} parameters that may move "
                f"(frozen: {tunable.movable.frozen}{kept_clear}). Ask for a lower --k or --density."
            )
        return k


class MaskChooser(Chooser):
    """A method that says itself which entries φ has, and needs no K."""

    @abstractmethod
    def mask(self) -> Mask:
        """All of them."""

    def size(self, settings: Settings) -> int:
        """How many they are."""
        del settings
        return self.mask().k

    def choose(self, sizes: Sequence[int]) -> Choice:
        """They are known."""
        del sizes
        with self.run.selecting():
            mask = self.mask()
            if mask.outside:
                path = self.run.settings.mask_from
                self.run.observer.note(f"{mask.outside:,} positions of {path} are frozen here and left out")
            return Choice([mask])


def chooser_of(run: Run) -> Chooser:
    """The method of a run's settings, at work on it."""
    module, _, name = METHODS[run.settings.method].chooser.partition(".")
    made: Chooser = getattr(import_module(f"{__package__}.{module}"), name)(run)
    return made
