"""FSDP2 for phase 1: weights, gradients and moments shared out over the processes (``--fsdp``).

``fully_shard`` is put on each layer and on the model; the Trainer takes it as it takes models that transformers shards
while loading. A sharded parameter is a DTensor; what goes to disk or is looked at as a whole is gathered one parameter
at a time. Every function here that gathers is called by all processes in the same order.

Not covered: phase 2, in which θ is whole in each process and only φ and the head have gradients and moments; models
whose weights do not fit into one process; checkpoints inside phase 1; offloading; FSDP1.
"""

from __future__ import annotations

from typing import Any

import torch
from torch.distributed.tensor import DTensor, distribute_tensor
from transformers import PreTrainedModel


def shard(model: PreTrainedModel) -> None:
    """Share out a model's parameters over the processes, in place. It cannot be undone: load the model again."""
    from torch.distributed.fsdp import fully_shard  # slow to import, and seldom asked for

    layers = set(model._no_split_modules or ())
    for module in model.modules():
        if type(module).__name__ in layers:
            fully_shard(module)
    fully_shard(model)
    flagged: Any = model  # the Trainer then neither wraps nor shards it
    flagged._is_distributed_loading_by_transformers = flagged._is_fsdp_managed_module = True


def whole(tensor: torch.Tensor) -> torch.Tensor:
    """All of a tensor, gathered if this process has but a part of it."""
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def like(tensor: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
    """A whole tensor on the device of another, and shared out as that is."""
    tensor = tensor.to(other.device)
    return distribute_tensor(tensor, other.device_mesh, other.placements) if isinstance(other, DTensor) else tensor
