"""All biases and nothing else (BitFit: Ben Zaken et al. 2022)."""

from __future__ import annotations

from sftkit.training.methods.base import MaskChooser
from sftkit.training.selection.given import biases
from sftkit.training.selection.ranking import Mask


class BitFit(MaskChooser):
    """Every element of every bias that may move."""

    def mask(self) -> Mask:
        """All of them."""
        return biases(self.run.tunable.movable.maskable, self.run.tunable.avoided)
