"""How long phases train. No torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from sftkit.declared import FROM_0, LENGTH, POSITIVE, check_each, option
from sftkit.training.recipes import RECIPES


@dataclass(frozen=True)
class Length:
    """How long a phase trains: the lesser of ``epochs`` and ``steps`` where given, but at least ``min_steps``."""

    epochs: float | None = None
    steps: int | None = None
    min_steps: int = 0

    def total(self, steps_per_epoch: int) -> int:
        """Optimizer steps of a phase whose epoch has so many; at least 1."""
        limits = []
        if self.steps is not None:
            limits.append(self.steps)
        if self.epochs is not None:
            limits.append(round(self.epochs * steps_per_epoch))
        return max(min(limits), self.min_steps, 1)


#: What a recipe takes the place of.
UNSAID = Length()


@dataclass(frozen=True)
class Lengths:
    """How long both phases train, as it is asked for."""

    recipes: ClassVar = RECIPES

    steps: int | None = option(None, "Most steps of each phase.", LENGTH, check=POSITIVE)
    epochs: float | None = option(None, "Most epochs of each phase.", LENGTH, check=POSITIVE)
    min_steps: int | None = option(
        None, "Fewest steps, whatever --epochs says; 0 once --steps or --epochs is given.", LENGTH, check=FROM_0
    )
    phase1_steps: int | None = option(None, "Most steps of phase 1, to set it apart.", LENGTH, check=POSITIVE)
    phase1_epochs: float | None = option(None, "Most epochs of phase 1, to set it apart.", LENGTH, check=POSITIVE)

    def phases(self, recipe: Mapping[str, Any]) -> tuple[Length, Length]:
        """Phase 1 and phase 2: what was said takes the place of the whole of the recipe's.

        ``steps=300`` means 300 steps in both phases, whatever the recipe's minimum.

        Raises:
            SettingsError: if a number is out of range.
        """
        check_each(self)
        least = self.min_steps
        if self.steps is not None or self.epochs is not None:
            first = second = Length(self.epochs, self.steps, least or 0)
        else:
            least = recipe.get("min_steps", 0) if least is None else least
            epochs, steps = recipe.get("epochs"), recipe.get("steps")
            first, second = Length(recipe.get("phase1_epochs", epochs), steps, least), Length(epochs, steps, least)
        if self.phase1_steps is not None or self.phase1_epochs is not None:
            first = Length(self.phase1_epochs, self.phase1_steps)
        return first, second
