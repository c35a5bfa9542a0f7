"""Entries drawn at random: the paper's RAND-SFT."""

from __future__ import annotations

from collections.abc import Sequence

from sftkit.training.methods.base import Choice, Chooser
from sftkit.training.selection.ranking import at_random


class RandomMask(Chooser):
    """K entries drawn uniformly."""

    stillness = ": as is normal of random masks, some are of tokens that the text does not have"

    def choose(self, sizes: Sequence[int]) -> Choice:
        """Draw them from the run's seed."""
        tunable = self.run.tunable
        with self.run.selecting():
            return Choice(
                [at_random(tunable.movable.maskable, k, self.run.settings.seed, tunable.avoided) for k in sizes]
            )
