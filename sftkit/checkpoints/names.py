"""Names of parameters, the same whatever checkpoint they come from.

A canonical name is relative to the backbone (no ``bert.``, ``roberta.``, ``model.``) and follows current transformers
(``LayerNorm.weight``, not ``LayerNorm.gamma``). Weights that transformers fuses or splits while loading are not
covered here.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from sftkit.checkpoints.classes import class_facts, type_facts
from sftkit.errors import CheckpointError
from sftkit.shown import shown

# Heads of checkpoints that have no prefix before the backbone's names (GPT-2 as published, some bare encoders).
_HEADS = (
    "cls.", "lm_head.", "classifier.", "qa_outputs.", "vocab_projector.", "vocab_transform.", "vocab_layer_norm.",
    "pre_classifier.", "score.", "generator_predictions.", "generator_lm_head.", "lm_predictions.", "mask_predictions.",
    "head.", "decoder.weight", "decoder.bias",
)  # fmt: skip
# Names of whole modules that are a head's in one class of a type and the backbone's in another.
_BODIES = frozenset(("encoder", "decoder", "pooler", "model", "transformer", "embeddings", "language_model"))

# Names that are parts of a backbone, and never the whole of it.
_PARTS = frozenset(("encoder", "decoder", "embeddings", "layer", "layers", "h", "block", "blocks"))

# Buffers that older transformers stored beside the parameters; a mask of attention is one by its shape as well.
_BUFFER = re.compile(
    r"(^|\.)(\w*inv_freq|position_ids|token_type_ids|relative_position_index|num_batches_tracked|embed_scale|causal_mask)$"
    r"|(attn|attention)\.(masked_bias|embed_positions)$|(^|\.)embed_positions\.weights$"
)
_MASK = re.compile(r"(attn|attention)\.bias$")

# What transformers renames in checkpoints of every type.
_OLD = (
    ("LayerNorm.gamma", "LayerNorm.weight"),
    ("LayerNorm.beta", "LayerNorm.bias"),
    (".weight_g", ".parametrizations.weight.original0"),
    (".weight_v", ".parametrizations.weight.original1"),
)


def backbone_prefix(model_type: str, keys: Iterable[str], architecture: str = "") -> str:
    """The prefix, dot included, that the backbone's parameters carry in a checkpoint with these keys; "" for none.

    Args:
        model_type: ``model_type`` of the checkpoint's ``config.json``.
        keys: every tensor name in the checkpoint.
        architecture: the first of its ``architectures``, or "".
    """
    keys, known = tuple(keys), type_facts(model_type)
    # A bare DistilBERT is "transformer.layer…", a GPT-2 with prefix "transformer.h…": only its own prefixes count.
    own = [known["prefix"], *known.get("others", ())] if known else ["model", _outermost(keys)]
    candidates = (dotted(each) for each in (class_facts(model_type, architecture).get("prefix", ""), *own))
    return next((each for each in candidates if each and any(key.startswith(each) for key in keys)), "")


def check_parts(where: Path, model_type: str, keys: Iterable[str], prefix: str) -> None:
    """Refuse names of which transformers would take none: all weights would then be random.

    Args:
        where: the checkpoint.
        model_type: of its ``config.json``.
        keys: every tensor name in it.
        prefix: what :func:`backbone_prefix` says.

    Raises:
        CheckpointError: quoting a name.
    """
    parts, keys = type_facts(model_type).get("parts", ()), sorted(keys)
    if parts and keys and not any(modern(key.removeprefix(prefix)).split(".")[0] in parts for key in keys):
        raise CheckpointError(
            f"{where}: its weights go by names such as {shown(keys[0])}, which no {model_type} has: transformers would "
            "load none of them. Save the model itself: model.save_pretrained(…)"
        )


def _outermost(keys: tuple[str, ...]) -> str:
    """What is before every name but the heads', in a model of a type that transformers lacks; "" if that differs."""
    tops = {key.partition(".")[0] for key in keys if not key.startswith(_HEADS)}
    top = tops.pop() if len(tops) == 1 else ""
    return "" if top in _PARTS else top


def model_prefix(model_type: str, architecture: str = "") -> str:
    """Transformers' prefix of the backbone in a class, or in most classes of a model type; without the dot.

    Raises:
        CheckpointError: if transformers has no such model type.
    """
    known = class_facts(model_type, architecture)
    if "prefix" not in known:
        raise CheckpointError(
            f"{model_type or 'no model type'}: transformers has no such model, so what a {architecture or 'head'} "
            "on it calls its weights is not known. Name a base that has this head already."
        )
    return str(known["prefix"])


def dotted(prefix: str) -> str:
    """A prefix with its dot, "" for none."""
    return f"{prefix}." if prefix else ""


def heads_of(model_type: str) -> tuple[str, ...]:
    """How names of heads begin in a checkpoint without prefix."""
    own = type_facts(model_type).get("heads")
    usual = _HEADS if own is None or "head" in own else tuple(each for each in _HEADS if each != "head.")
    return (*usual, *(f"{top}." for top in own or () if top not in _BODIES))


def canonical(key: str, prefix: str, heads: tuple[str, ...] = ()) -> str | None:
    """A checkpoint key's canonical name, or None if it is not a parameter of the backbone.

    Args:
        key: the tensor's name in the checkpoint.
        prefix: what :func:`backbone_prefix` says.
        heads: what :func:`heads_of` says.
    """
    if not key.startswith(prefix) or (not prefix and key.startswith(heads or _HEADS)):
        return None
    name = modern(key[len(prefix) :])
    return None if is_buffer(name) else name


def is_buffer(key: str, shape: tuple[int, ...] | None = None) -> bool:
    """Whether a key is that of a buffer that older transformers stored, and not of a parameter."""
    if shape is not None and len(shape) == 4 and shape[:2] == (1, 1) and _MASK.search(key):
        return True
    return bool(_BUFFER.search(key))


def modern(name: str) -> str:
    """Names of old checkpoints as transformers reads them: ``LayerNorm.gamma`` is ``weight``, ``weight_g`` a norm."""
    for old, new in _OLD:
        name = name.replace(old, new)
    return name


def is_pooler(name: str) -> bool:
    """Whether a canonical name belongs to the pooler, which some heads' models have and others do not."""
    return name.startswith("pooler.")
