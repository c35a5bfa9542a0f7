"""What the processes of one run do together: meet, wait for each other, agree. With one process all of it is nothing.

What decides anything (the held-out score, whether to stop) is agreed on, so that no process goes its own way and leaves
the others waiting for it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import torch
from accelerate import PartialState

from sftkit.errors import SettingsError, SftkitError
from sftkit.modeling.load import device_of
from sftkit.training.engine.ranks import is_first, world

T = TypeVar("T")
#: How gloo says, in a RuntimeError, that a process does not answer any more.
_LOST = r"gloo|Connection (closed|reset) by peer"


def join(device: str) -> None:
    """Meet the other processes, and take the GPU that is this one's.

    Args:
        device: "auto", "cpu", "cuda" or "mps"; processes on CPUs talk over gloo.
    """
    if world() > 1:
        if backend(device):
            os.environ.setdefault("ACCELERATE_BYPASS_DEVICE_MAP", "true")  # it takes a process's number for its GPU's
        PartialState(cpu=device_of(device) == "cpu", backend=backend(device))


def backend(device: str) -> str | None:
    """How processes talk where that is not torch's choice: NCCL refuses several on one GPU."""
    here = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    return "gloo" if device_of(device) == "cuda" and here > torch.cuda.device_count() else None


def device_here(asked: str) -> torch.device:
    """Where this process computes: of several GPUs, the one that is its own.

    Args:
        asked: "cpu", "cuda" or "mps".
    """
    return PartialState().device if _several() and asked != "cpu" else torch.device(asked)


def has_bf16(device: torch.device) -> bool:
    """Whether the device computes in bfloat16 itself, faster than in float32: GPUs since NVIDIA's Ampere do."""
    return device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)


def barrier() -> None:
    """Wait until every process is here."""
    if _several():
        torch.distributed.barrier()


def first_alone(work: Callable[[], None]) -> None:
    """Do something in the first process while the others wait; what it refuses, all refuse.

    Raises:
        SftkitError: what the work raises.
    """
    refused: list[SftkitError | None] = [None]
    if is_first():
        try:
            work()
        except SftkitError as error:
            refused[0] = error
    if _several():
        torch.distributed.broadcast_object_list(refused, src=0, device=PartialState().device)
    if refused[0] is not None:
        raise refused[0]


@contextmanager
def not_left_alone() -> Iterator[None]:
    """What a process sees when another one is gone, as one line.

    Raises:
        SettingsError: that says so.
    """
    try:
        yield
    except RuntimeError as error:
        if world() > 1 and (isinstance(error, torch.distributed.DistError) or re.search(_LOST, str(error))):
            raise SettingsError("Another process of this run ended; what it said tells why.") from error
        raise


def agreed(value: float) -> float:
    """The first process's value, in every process."""
    return float(_shared(value, lambda tensor: torch.distributed.broadcast(tensor, src=0)))


def mean(value: float) -> float:
    """The mean of all processes' values."""
    return float(_shared(value, torch.distributed.all_reduce)) / (world() if _several() else 1)


def anywhere(asked: bool) -> bool:
    """Whether any process asks for it."""
    return _shared(float(asked), torch.distributed.all_reduce) > 0


def everyones(mine: T) -> list[T]:
    """The parts of all processes, in their order, in every process."""
    parts = [mine] * world()
    if _several():
        torch.distributed.all_gather_object(parts, mine)
    return parts


def asked_every() -> int:
    """After how many steps processes ask each other whether to stop: GPUs would wait for it at each of them."""
    return 20 if _several() and torch.distributed.get_backend() != "gloo" else 1


def _shared(value: float, share: Any) -> float:
    if not _several():
        return value
    tensor = torch.tensor([value], dtype=torch.float64, device=PartialState().device)
    share(tensor)
    return float(tensor)


def _several() -> bool:
    return torch.distributed.is_available() and torch.distributed.is_initialized()
