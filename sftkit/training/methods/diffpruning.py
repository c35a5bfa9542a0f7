"""DiffPruning (Guo et al. 2021): w under a relaxed mask z, with a penalty on how many z are not 0.

What follows is as their paper has it: the K entries of the largest |z ⊙ w| stay, and training goes on with the mask
fixed, from the values that they have. That is phase 2, with φ beginning there, and not at 0.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from sftkit.modeling.relaxed import relaxed_parameters
from sftkit.training.engine.judge import Outcome
from sftkit.training.engine.phase import Moving
from sftkit.training.engine.regularisers import l0_on
from sftkit.training.methods.base import Choice, Chooser
from sftkit.training.selection.ranking import check_finite, counted

#: Learning rate of log α, in the authors' program; w has the run's. Both fall linearly to 0.
MASK_LR = 0.1


class DiffPruning(Chooser):
    """The K entries of the largest |z ⊙ w|; phase 2 goes on from θ(0) + z ⊙ w."""

    def choose(self, sizes: Sequence[int]) -> Choice:
        """Tune w, z and the head, and rank z ⊙ w."""
        run = self.run
        with run.clock("phase1"):
            outcome, moved = self._relaxed()
        with run.selecting():
            check_finite(moved)
            masks = run.highest(moved, counted(lambda name: moved[name].abs()), sizes)
            rewound, maskable = run.folder.snapshot("rewind"), run.tunable.movable.maskable
            begin = {name: tensor.add_(maskable[name].detach()) for name, tensor in moved.items()}
            rewound.save(begin | run.tunable.head())
        return Choice(masks, outcome, rewound)

    def _relaxed(self) -> tuple[Outcome, dict[str, torch.Tensor]]:
        """What phase 1 did, and z ⊙ w of every maskable parameter, float32 of its shape; w is off the model again."""
        tunable, settings = self.run.tunable, self.run.settings
        with relaxed_parameters(tunable.model, tunable.movable.maskable) as deltas:
            log_alphas = [delta.log_alpha for delta in deltas.values()]
            kept = {f"w:{name}": delta.w.detach() for name, delta in deltas.items()}
            kept |= {f"log_alpha:{name}": delta.log_alpha.detach() for name, delta in deltas.items()}
            moving = Moving(kept | tunable.head(), l0_on(log_alphas, settings.l0), own_lr=(log_alphas, MASK_LR))
            outcome = self.run.train("phase1", "phase 1", settings.phase1, moving)
            return outcome, {name: delta.difference() for name, delta in deltas.items()}
