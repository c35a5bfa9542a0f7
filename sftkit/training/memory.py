"""How much memory a run's phases should take, by arithmetic alone: what it says in the run's header. No torch.

Covers what is there all the time. Activations, which depend on the batch, and short-lived temporaries come on top. With
several processes the figures are each one's.
"""

from __future__ import annotations

import errno
import re
from collections.abc import Mapping
from dataclasses import dataclass

from sftkit.training.settings import Settings

#: How torch, CUDA and its libraries say in a RuntimeError that they ran out.
_NO_MEMORY = r"can't allocate memory|out of memory|not enough memory|STATUS_ALLOC_FAILED|Cannot allocate memory"
#: What it is for -> bytes.
Bytes = Mapping[str, int]
#: Bytes of a float32: gradients, moments, φ and scores are that.
_F32 = 4


@dataclass(frozen=True)
class Sizes:
    """Numbers of parameters, but for the weights, which are bytes.

    Attributes:
        weights: bytes of all the model's parameters.
        maskable: those that φ may touch.
        largest: the largest single one of these.
        head: those that are tuned in full.
        k: entries of φ.
        elsewhere: those whose θ(0) takes no memory of its own: the input embedding's, where an untied output matrix
            is that; on a CPU all, which it reads from disk.
        width: bytes of one weight of the backbone.
        processes: how many train together.
        fsdp: whether they share out weights, gradients and moments.
    """

    weights: int
    maskable: int
    largest: int
    head: int
    k: int
    elsewhere: int = 0
    width: int = _F32
    processes: int = 1
    fsdp: bool = False


def ran_out(error: BaseException) -> bool:
    """Whether an error says that there is no memory left: Python's, numpy's, torch's, a GPU library's, the system's."""
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    if isinstance(error, OSError):
        return error.errno == errno.ENOMEM
    return isinstance(error, RuntimeError) and re.search(_NO_MEMORY, str(error)) is not None


def phase1(sizes: Sizes, settings: Settings) -> Bytes:
    """Of phase 1: everything that may move has a gradient and AdamW's two moments.

    With ``selection`` "streaming" only the head has, and one gradient at a time goes into the scores.
    """
    moving = sizes.maskable + sizes.head
    needed = {"weights": sizes.weights}
    if settings.selection == "streaming":
        scores, gradient = _F32 * sizes.maskable, sizes.width * sizes.largest
        return needed | {"scores": scores, "one gradient": gradient, "head": 3 * _F32 * sizes.head}
    if settings.method == "diff":  # w, log α, their gradients and moments, and the weight that they make
        needed |= {"w and log α": 9 * _F32 * sizes.maskable, "head": 3 * _F32 * sizes.head}
    else:
        needed |= {"gradients": _F32 * moving, "moments": 2 * _F32 * moving}
    if settings.criterion in ("movement", "fisher"):
        needed["scores"] = _F32 * sizes.maskable
    if settings.l1 or settings.criterion == "movement":
        needed["θ(0)"] = _F32 * (sizes.maskable - (0 if sizes.fsdp else sizes.elsewhere))
    if sizes.fsdp:
        return _shared(needed, sizes)
    return needed | _buckets(sizes, reduced1(sizes, settings))


def phase2(sizes: Sizes) -> Bytes:
    """Of phase 2: 16 bytes an entry for φ, its gradient and its moments; 4 for its position, and θ there.

    The dense gradient of one weight at a time lives while it is gathered. Where weights are shared out, one more layer
    is whole at a time, which is not counted.
    """
    shared = {
        "weights": sizes.weights,
        "φ": 4 * _F32 * sizes.k,
        "θ at φ": sizes.width * sizes.k,
        "head": 3 * _F32 * sizes.head,
    }
    whole = {"positions": 4 * sizes.k, "one gradient": sizes.width * sizes.largest}
    if sizes.fsdp:
        return _shared(shared, sizes) | whole
    return shared | whole | _buckets(sizes, reduced2(sizes))


def reduced1(sizes: Sizes, settings: Settings) -> int:
    """Bytes that an optimizer step of phase 1 sums over processes: every gradient."""
    each = 2 if settings.method == "diff" else 1
    return _F32 * (each * sizes.maskable + sizes.head)


def reduced2(sizes: Sizes) -> int:
    """Bytes that an optimizer step of phase 2 sums over processes: the gradients of φ and of the head."""
    return _F32 * (sizes.k + sizes.head)


def _shared(needed: Bytes, sizes: Sizes) -> dict[str, int]:
    """One process's part."""
    return {what: -(-count // sizes.processes) for what, count in needed.items()}


def _buckets(sizes: Sizes, reduced: int) -> dict[str, int]:
    """Copies of the gradients in which DistributedDataParallel sums them."""
    return {"reduction": reduced} if sizes.processes > 1 else {}
