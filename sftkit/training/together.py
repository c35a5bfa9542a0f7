"""What the processes of one run do together: meet, wait for each other, agree. With one process all of it is nothing.

What decides anything (the held-out score, whether to stop) is agreed on, so that no process goes its own way and leaves
the others waiting for it.
"""

from __future__ import annotations

from typing import Any

import torch
from accelerate import PartialState

from sftkit.modeling.load import device_of
from sftkit.training.ranks import world


def join(device: str) -> None:
    """Meet the other processes, and take the GPU that is this one's.

    Args:
        device: "auto", "cpu", "cuda" or "mps"; processes on CPUs talk over gloo.
    """
    if world() > 1:
        PartialState(cpu=device_of(device) == "cpu")


def device_here(asked: str) -> torch.device:
    """Where this process computes: of several GPUs, the one that is its own.

    Args:
        asked: "cpu", "cuda" or "mps".
    """
    return PartialState().device if _several() and asked != "cpu" else torch.device(asked)


def barrier() -> None:
    """Wait until every process is here."""
    if _several():
        torch.distributed.barrier()


def agreed(value: float) -> float:
    """The first process's value, in every process."""
    return float(_shared(value, lambda tensor: torch.distributed.broadcast(tensor, src=0)))


def mean(value: float) -> float:
    """The mean of all processes' values."""
    return float(_shared(value, torch.distributed.all_reduce)) / (world() if _several() else 1)


def anywhere(asked: bool) -> bool:
    """Whether any process asks for it."""
    return _shared(float(asked), torch.distributed.all_reduce) > 0


def _shared(value: float, share: Any) -> float:
    if not _several():
        return value
    tensor = torch.tensor([value], dtype=torch.float64, device=PartialState().device)
    share(tensor)
    return float(tensor)


def _several() -> bool:
    return torch.distributed.is_available() and torch.distributed.is_initialized()
