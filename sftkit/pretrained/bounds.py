"""A model is built no larger than its checkpoint accounts for, whatever its config claims.

Transformers builds a model from its config, first without memory for its weights; what the checkpoint lacks, or has in
another shape, is then made anew in the config's shape. So what a config claims costs time and memory before anybody
sees that the checkpoint has no such thing.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch import Tensor
from torch.nn.modules import module

from sftkit.checkpoints.checkpoint import Checkpoint
from sftkit.errors import CheckpointError

#: What a model may have more than its checkpoint: heads, matrices that are tied there, and in small ones some buffers.
_TIMES, _MORE = 4, 1 << 24
#: Modules for each tensor, and for none: there are many that hold nothing.
_MODULES, _MORE_MODULES = 16, 2000


@contextmanager
def bounded(checkpoint: Checkpoint) -> Iterator[None]:
    """While a model is built and loaded in it: refuse one much larger than the checkpoint.

    Raises:
        CheckpointError: once more elements, or modules, were made than the checkpoint accounts for.
    """
    held = sum(checkpoint.spec(key).size for key in checkpoint.keys)
    most, most_modules = _TIMES * held + _MORE, _MODULES * len(checkpoint.keys) + _MORE_MODULES
    made = modules = 0

    def tensor(_: Any, name: str, value: Any) -> None:
        nonlocal made
        if isinstance(value, Tensor) and value.is_meta:  # before there is memory for it
            made += value.numel()
            if made > most:
                told = f"{tuple(value.shape)} for {name}, and {made:,} elements so far; its weights have {held:,}"
                raise CheckpointError(f"{checkpoint.path}/config.json asks for far more than is there: {told}.")

    def part(*_: Any) -> None:
        nonlocal modules
        modules += 1
        if modules > most_modules:
            told = f"{modules:,} modules and more, for {len(checkpoint.keys):,} tensors"
            raise CheckpointError(f"{checkpoint.path}/config.json asks for far more than is there: {told}.")

    handles = [
        module.register_module_parameter_registration_hook(tensor),
        module.register_module_buffer_registration_hook(tensor),
        module.register_module_module_registration_hook(part),
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
