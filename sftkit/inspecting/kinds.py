"""Where in a model a parameter sits: its layer, and what kind of module it belongs to, both from its canonical name.

Knows the names of BERT, RoBERTa, DistilBERT, DeBERTa, ELECTRA, ALBERT, MPNet, ModernBERT, GPT-2, GPT-NeoX, OPT, BLOOM,
T5, BART and the Llama family; what it does not know is of kind "other". Does not cover mixtures of experts beyond
counting each expert's matrices as feed-forward.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

EMBEDDINGS, NORMS, BIASES, OTHER = "embeddings", "norms", "biases", "other"
QUERY, KEY, VALUE, FUSED, ATTENTION_OUT = "query", "key", "value", "query+key+value", "attention output"
FEED_IN, FEED_OUT = "feed-forward in", "feed-forward out"

#: Every kind, in the order in which tables show them.
KINDS = (EMBEDDINGS, QUERY, KEY, VALUE, FUSED, ATTENTION_OUT, FEED_IN, FEED_OUT, NORMS, BIASES, OTHER)

_NORM = re.compile(r"(^|_)(layer_?norm|norm)(\d*|_embedding)$|^ln_|^(q|k|mlp|attn|final)_norm$|layernorm$", re.I)
_EMBEDDING = re.compile(r"(^|_)emb(ed|eddings?)?(_|$)|^(wte|wpe|shared)$", re.I)
_TOKENS = re.compile(r"(^|\.)(word_embeddings|tok_embeddings|wte|embed_tokens|embed_in|shared)\.weight$")
_ATTENTION = re.compile(r"attn|attention", re.I)

# The module right before ".weight", wherever it sits.
_BY_MODULE = {
    **dict.fromkeys(("query", "q_proj", "query_proj", "pos_query_proj", "q_lin", "q"), QUERY),
    **dict.fromkeys(("key", "k_proj", "key_proj", "pos_key_proj", "k_lin", "k"), KEY),
    **dict.fromkeys(("value", "v_proj", "value_proj", "v_lin", "v"), VALUE),
    **dict.fromkeys(("c_attn", "Wqkv", "query_key_value", "in_proj", "qkv_proj", "qkv"), FUSED),
    **dict.fromkeys(("out_lin", "o_proj", "out_proj", "o"), ATTENTION_OUT),
    **dict.fromkeys(
        ("lin1", "fc1", "c_fc", "fc_in", "Wi", "wi", "wi_0", "wi_1", "gate_proj", "up_proj", "gate_up_proj",
         "dense_h_to_4h", "ffn", "w1", "w3"),
        FEED_IN,
    ),
    **dict.fromkeys(("lin2", "fc2", "fc_out", "wo", "down_proj", "dense_4h_to_h", "ffn_output", "w2"), FEED_OUT),
}  # fmt: skip


def kind_of(name: str) -> str:
    """The kind of a parameter, one of :data:`KINDS`. A norm's bias is of kind "norms", every other bias of "biases"."""
    *modules, leaf = name.split(".")
    if any(_NORM.search(module) for module in modules[-1:]):
        return NORMS
    if leaf == "bias" or leaf.endswith("_bias"):
        return BIASES
    if modules and (_EMBEDDING.search(modules[0]) or _EMBEDDING.search(modules[-1])):
        return EMBEDDINGS
    return _matrix_kind(modules)


def _matrix_kind(modules: list[str]) -> str:
    last = modules[-1] if modules else ""
    if last in _BY_MODULE:
        return _BY_MODULE[last]
    inside = ".".join(modules[-3:-1])  # "attention.output.dense" and "attn.c_proj", but not "layer.0.output.dense"
    if last in ("dense", "c_proj", "Wo"):
        if _ATTENTION.search(inside):
            return ATTENTION_OUT
        if modules[-2:] == ["intermediate", "dense"]:
            return FEED_IN
        return FEED_OUT if last != "dense" or modules[-2:] == ["output", "dense"] else OTHER
    return OTHER


def layer_of(name: str) -> str:
    """The layer of a parameter: "encoder.layer.0", "h.3"; outside the layers "embeddings", "pooler", "final_norm", ….

    It is the name up to its first number, so that "decoder.block.0" and "encoder.block.0" stay apart.
    """
    parts = name.split(".")
    for at, part in enumerate(parts):
        if part.isdecimal() and at:
            return ".".join(parts[: at + 1])
    if any(_EMBEDDING.search(part) for part in parts[:-1]):
        return EMBEDDINGS
    inner = parts[0] in ("encoder", "decoder") and len(parts) > 2
    return ".".join(parts[:-1] if inner else parts[:1])


def in_model_order(layers: Iterable[str]) -> list[str]:
    """Layers from the bottom of the model to its top: embeddings, the numbered ones by number, the others by name."""

    def key(layer: str) -> tuple[int, str, int]:
        stem, _, number = layer.rpartition(".")
        if number.isdecimal():
            return (1, stem, int(number))
        return (0, layer, 0) if layer == EMBEDDINGS else (2, layer, 0)

    return sorted(set(layers), key=key)


def is_embedding(name: str) -> bool:
    """Whether a parameter is an embedding matrix (of tokens, positions, segments)."""
    return name.endswith(".weight") and kind_of(name) == EMBEDDINGS


def is_token_embedding(name: str) -> bool:
    """Whether a parameter is the input embedding, one row a token of the vocabulary."""
    return bool(_TOKENS.search(name))
