"""Which stored tensors are one: weights that the config ties, and what transformers drops while loading.

Transformers ties two weights if its class and the config say so, unless a checkpoint stores both and they differ.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from sftkit.checkpoints.classes import class_facts, ignored_by, ties_of, type_facts

if TYPE_CHECKING:
    from sftkit.checkpoints.checkpoint import Checkpoint

#: Bytes that are compared at a time.
_BLOCK = 1 << 20
_LAYER = re.compile(r"(?:^|\.)layers\.(\d+)\.")


@dataclass(frozen=True)
class Ties:
    """Tied weights in one checkpoint.

    Attributes:
        copies: key -> the key that it is tied to and equals; both are stored.
        stands_for: key -> the name that it is tied to, which is not stored.
    """

    copies: Mapping[str, str]
    stands_for: Mapping[str, str]


def asks_for_ties(model_type: str, config: Mapping[str, Any]) -> bool:
    """Whether transformers ties weights under this config; an encoder's are, unless its config says otherwise."""
    default = type_facts(model_type).get("tied", True)
    if default == "always":
        return True
    text = config.get("text_config")
    inner = text.get("tie_word_embeddings") if isinstance(text, Mapping) else None
    said = config.get("tie_word_embeddings", inner)
    return bool(default if said is None else said)


def find_ties(checkpoint: Checkpoint) -> Ties:
    """The ties of a checkpoint whose config asks for them. Compares, byte by byte, what is stored twice."""
    keys = frozenset(checkpoint.keys)
    prefix = str(class_facts(checkpoint.model_type, checkpoint.architecture).get("prefix", ""))
    copies: dict[str, str] = {}
    stands_for: dict[str, str] = {}
    for target, source in ties_of(checkpoint.model_type, checkpoint.architecture).items():
        here, there = (_stored(name, keys, prefix, checkpoint.prefix) for name in (target, source))
        if here in keys and there in keys:
            if same_bytes(checkpoint, here, checkpoint, there):
                copies[here] = there
        elif here in keys and there not in stands_for.values():
            stands_for[here] = there
        elif here in keys:  # a second copy of what is not stored by its own name
            first = next(key for key, name in stands_for.items() if name == there)
            if same_bytes(checkpoint, here, checkpoint, first):
                copies[here] = first
    return Ties(copies, stands_for)


def _stored(name: str, keys: frozenset[str], prefix: str, actual: str) -> str:
    """A class's name for a weight as the checkpoint has it, whose backbone may have another prefix or none."""
    inner = name.removeprefix(f"{prefix}.") if prefix else name
    candidates = (name, actual + inner, inner)
    return next((each for each in candidates if each in keys), actual + inner if name.startswith(prefix) else name)


def same_bytes(one: Checkpoint, key: str, two: Checkpoint, other: str) -> bool:
    """Whether two tensors are the same to the byte; they may be too large to be held."""
    a, b = one.spec(key), two.spec(other)
    if (a.shape, a.code) != (b.shape, b.code):
        return False
    blocks = zip(one.blocks(key, _BLOCK), two.blocks(other, _BLOCK), strict=True)
    return all(np.array_equal(mine, theirs) for (_, mine), (_, theirs) in blocks)


def dropped_while_loading(model_type: str, architecture: str, config: Mapping[str, Any]) -> Callable[[str], bool]:
    """Tells of a name whether transformers drops it: what its class lists, and layers that the config lacks."""
    patterns = ignored_by(model_type, architecture)
    listed = re.compile("|".join(f"(?:{each})" for each in patterns)) if patterns else None
    layers = config.get("num_hidden_layers")
    rotary = model_type.startswith("deberta") and config.get("position_biased_input") is False
    rotary = rotary or (model_type == "esm" and config.get("position_embedding_type", "absolute") != "absolute")

    def dropped(name: str) -> bool:
        if rotary and name.endswith("embeddings.position_embeddings.weight"):
            return True
        if listed is None or not listed.search(name):
            return False
        layer = _LAYER.search(name)  # patterns name the layer after the last one of some published model
        return not (layer and isinstance(layers, int) and int(layer[1]) < layers)

    return dropped
