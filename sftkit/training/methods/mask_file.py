"""The positions of an SFT, or of a file of masks."""

from __future__ import annotations

from sftkit.training.methods.base import MaskChooser
from sftkit.training.selection.given import positions_of
from sftkit.training.selection.ranking import Mask


class MaskFile(MaskChooser):
    """Those of the file's positions that may move."""

    def mask(self) -> Mask:
        """They are read."""
        path = self.run.settings.mask_from
        assert path is not None
        return positions_of(path, self.run.tunable.movable.maskable, self.run.tunable.avoided)
