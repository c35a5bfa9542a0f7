"""How a model's tensors are shared out over files, and the index of where each lies, as transformers writes it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from sftkit.checkpoints.checkpoint import SAFETENSORS, Checkpoint
from sftkit.composing.layout import OutputTensor

#: transformers' default.
SHARD_SIZE = 50 * 10**9


def as_the_base(tensors: Sequence[OutputTensor], base: Checkpoint) -> list[list[OutputTensor]]:
    """Each tensor with those that it lay with; what is new goes into the last file; no file grows past the limit."""
    found: dict[int, list[OutputTensor]] = {}
    last = max(base.shards.values(), default=0)
    for tensor in tensors:
        found.setdefault(last if tensor.source is None else base.shards[tensor.source], []).append(tensor)
    return [shard for number in sorted(found) for shard in split(found[number], SHARD_SIZE)] or [[]]


def split(tensors: Sequence[OutputTensor], most: int) -> list[list[OutputTensor]]:
    """Greedily by name; a tensor larger than ``most`` gets a file of its own, as in transformers."""
    shards: list[list[OutputTensor]] = [[]]
    filled = 0
    for tensor in sorted(tensors, key=lambda tensor: tensor.plan.name):
        if shards[-1] and filled + tensor.plan.nbytes > most:
            shards.append([])
            filled = 0
        shards[-1].append(tensor)
        filled += tensor.plan.nbytes
    return shards


def file_names(count: int) -> list[str]:
    """What so many files are called."""
    if count == 1:
        return [SAFETENSORS]
    return [f"model-{number:05d}-of-{count:05d}.safetensors" for number in range(1, count + 1)]


def write_index(path: Path, names: Sequence[str], shards: Sequence[Sequence[OutputTensor]]) -> None:
    """Write the index of files with these names and tensors."""
    places = {tensor.plan.name: name for name, shard in zip(names, shards, strict=True) for tensor in shard}
    plans = [tensor.plan for shard in shards for tensor in shard]
    metadata = {
        "total_parameters": sum(int(np.prod(plan.shape, dtype=np.int64)) for plan in plans),
        "total_size": sum(plan.nbytes for plan in plans),
    }
    document = {"metadata": metadata, "weight_map": dict(sorted(places.items()))}
    path.write_text(json.dumps(document, indent=2, sort_keys=True) + "\n", encoding="utf-8")
