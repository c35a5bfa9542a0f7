"""Names of parameters, the same whatever checkpoint they come from.

A canonical name is relative to the backbone (no ``bert.``, ``roberta.``, ``model.``) and follows current transformers
(``LayerNorm.weight``, not ``LayerNorm.gamma``). Weights that transformers fuses or splits while loading are not
covered here.
"""

from __future__ import annotations

from collections.abc import Iterable

# base_model_prefix of the model types whose prefix is neither "model" nor their own name (read off transformers 5).
_PREFIXES = {
    "big_bird": "bert",
    "megatron-bert": "bert",
    "bert-generation": "bert",
    "camembert": "roberta",
    "jina_embeddings_v3": "roberta",
    "xlm-roberta": "roberta",
    "xlm-roberta-xl": "roberta",
    "xmod": "roberta",
    "deberta-v2": "deberta",
    **dict.fromkeys(
        ("flaubert", "squeezebert", "xlm", "bloom", "codegen", "ctrl", "dbrx", "falcon", "gpt-sw3", "gpt2",
         "gpt_bigcode", "gpt_neo", "gptj", "mpt", "openai-gpt", "xlnet"),
        "transformer",
    ),
    **dict.fromkeys(("mamba", "mamba2", "falcon_mamba", "xlstm"), "backbone"),
}  # fmt: skip

# Decoders whose model for question answering alone keeps an older prefix (read off transformers 5).
_OLD_PREFIX = frozenset(
    ("arcee", "diffllama", "exaone4", "llama", "ministral", "nemotron", "qwen2", "qwen3", "qwen3_moe", "qwen3_next",
     "seed_oss", "smollm3")
)  # fmt: skip
_QUESTIONS = "ForQuestionAnswering"

# Heads of checkpoints that have no prefix before the backbone's names (GPT-2 as published, some bare encoders).
_HEADS = (
    "cls.", "lm_head.", "classifier.", "qa_outputs.", "vocab_projector.", "vocab_transform.", "vocab_layer_norm.",
    "pre_classifier.", "score.", "generator_predictions.", "generator_lm_head.", "lm_predictions.", "mask_predictions.",
    "head.", "decoder.weight", "decoder.bias",
)  # fmt: skip

# Buffers that older transformers stored beside the parameters, under their canonical names.
_BUFFERS = (".attn.bias", ".attn.masked_bias", "rotary_emb.inv_freq", "embeddings.position_ids")


def backbone_prefix(model_type: str, keys: Iterable[str]) -> str:
    """The prefix, dot included, that the backbone's parameters carry in a checkpoint with these keys; "" for none.

    Args:
        model_type: ``model_type`` of the checkpoint's ``config.json``.
        keys: every tensor name in the checkpoint.
    """
    keys = tuple(keys)
    # A bare DistilBERT is "transformer.layer…", a GPT-2 with prefix "transformer.h…": only its own prefix counts.
    own = (f"{model_prefix(model_type, architecture)}." for architecture in ("", _QUESTIONS))
    return next((prefix for prefix in own if any(key.startswith(prefix) for key in keys)), "")


def model_prefix(model_type: str, architecture: str = "") -> str:
    """Transformers' ``base_model_prefix`` of a model type, from its name and, where that matters, its class's alone."""
    if model_type in _OLD_PREFIX and architecture.endswith(_QUESTIONS):
        return "transformer"
    if model_type in _PREFIXES:
        return _PREFIXES[model_type]
    return model_type.replace("-", "_") if model_type in _NAMED_AFTER_THEMSELVES else "model"


_NAMED_AFTER_THEMSELVES = frozenset(
    ("albert", "bert", "biogpt", "canine", "convbert", "cpmant", "data2vec-text", "deberta", "distilbert", "electra",
     "ernie", "esm", "esmc", "fnet", "funnel", "gpt_neox", "gpt_neox_japanese", "gte", "ibert", "layoutlm",
     "longformer", "luke", "mobilebert", "mpnet", "mra", "nezha", "nomic_bert", "nystromformer", "perceiver",
     "prophetnet", "reformer", "rembert", "roberta", "roberta-prelayernorm", "roc_bert", "roformer", "rwkv", "tapas",
     "yoso")
)  # fmt: skip


def canonical(key: str, prefix: str) -> str | None:
    """A checkpoint key's canonical name, or None if it is not a parameter of the backbone.

    Args:
        key: the tensor's name in the checkpoint.
        prefix: what :func:`backbone_prefix` says.
    """
    if not key.startswith(prefix) or (not prefix and key.startswith(_HEADS)):
        return None
    name = modern(key[len(prefix) :])
    return None if is_buffer(name) else name


def is_buffer(key: str) -> bool:
    """Whether a key is that of a buffer that older transformers stored, and not of a parameter."""
    return key.endswith(_BUFFERS)


def modern(name: str) -> str:
    """``LayerNorm.gamma``/``beta`` of old checkpoints as ``weight``/``bias``, as transformers does on loading."""
    return name.replace("LayerNorm.gamma", "LayerNorm.weight").replace("LayerNorm.beta", "LayerNorm.bias")


def is_pooler(name: str) -> bool:
    """Whether a canonical name belongs to the pooler, which some heads' models have and others do not."""
    return name.startswith("pooler.")
