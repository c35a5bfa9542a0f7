"""DiffPruning's first phase (Guo et al. 2021): w under a relaxed mask z, with a penalty on how many z are not 0.

What follows is as their paper has it: the K entries of the largest |z ⊙ w| stay, and training goes on with the mask
fixed, from the values that they have. That is phase 2, with φ beginning there, and not at 0.
"""

from __future__ import annotations

from collections.abc import Callable

import torch

from sftkit.modeling.relaxed import relaxed_parameters
from sftkit.training.engine.judge import Outcome
from sftkit.training.engine.regularisers import l0_on
from sftkit.training.prepared import Prepared

#: Learning rate of log α, in the authors' program; w has the run's. Both fall linearly to 0.
MASK_LR = 0.1


def tune_relaxed(
    ready: Prepared, run: Callable[..., Outcome], strength: float
) -> tuple[Outcome, dict[str, torch.Tensor]]:
    """Tune w, z and the head; w is put back afterwards.

    Args:
        ready: the run's model.
        run: trains what has ``requires_grad``, given what to keep and the regulariser.
        strength: λ of the penalty λ · Σ P(z ≠ 0).

    Returns:
        What the phase did, and z ⊙ w of every maskable parameter, float32 of its shape.
    """
    with relaxed_parameters(ready.model, ready.movable.maskable) as deltas:
        log_alphas = [delta.log_alpha for delta in deltas.values()]
        kept = {f"w:{name}": delta.w.detach() for name, delta in deltas.items()}
        kept |= {f"log_alpha:{name}": delta.log_alpha.detach() for name, delta in deltas.items()}
        outcome = run(kept | ready.head(), l0_on(log_alphas, strength), own_lr=(log_alphas, MASK_LR))
        return outcome, {name: delta.difference() for name, delta in deltas.items()}
