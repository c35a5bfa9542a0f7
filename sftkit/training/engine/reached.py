"""Whether a gradient reaches everything that moves, at every step.

Where it does, processes need not tell each other at each step which parameters got none. Looked at with one batch; what
a model leaves out at random (layer drop) is asked of its config.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import nn

from sftkit.training.engine.together import anywhere


def reaches_all(model: nn.Module, config: Any, compute_loss: Any, batch: Mapping[str, Any]) -> bool:
    """Go forwards and backwards once, in every process, and drop the gradients.

    Args:
        model: what has ``requires_grad`` in it moves.
        config: the model's.
        compute_loss: of the model and a batch.
        batch: on the model's device.
    """
    values = config.to_dict().items()
    if any("layerdrop" in name and value for name, value in values):
        return False
    model.train()
    compute_loss(model, dict(batch)).backward()
    missed = any(parameter.grad is None for parameter in model.parameters() if parameter.requires_grad)
    model.zero_grad(set_to_none=True)
    return not anywhere(missed)
