"""Pico models of many families, made from a list of small sizes: whatever of it a family's config knows."""

from __future__ import annotations

from typing import Any

import torch
import transformers
from transformers import CONFIG_MAPPING, PreTrainedModel
from transformers.models.auto import modeling_auto

from sftkit.checkpoints.classes import language_class

_TWO = (
    "num_hidden_layers", "num_attention_heads", "num_key_value_heads", "n_layer", "n_head", "n_layers", "n_heads",
    "num_heads", "encoder_attention_heads", "decoder_attention_heads", "num_experts", "num_local_experts",
    "n_routed_experts", "num_feat_extract_layers", "num_conv_pos_embedding_groups", "bos_token_id",
    "decoder_start_token_id", "type_vocab_size",
)  # fmt: skip
_SIZES: dict[str, Any] = {
    **dict.fromkeys(_TWO, 2),
    **dict.fromkeys(("hidden_size", "d_model", "n_embd", "dim", "embedding_size", "word_embed_proj_dim"), 16),
    **dict.fromkeys(("intermediate_size", "d_ff", "encoder_ffn_dim", "decoder_ffn_dim", "hidden_dim", "ffn_dim",
                     "moe_intermediate_size", "n_inner"), 24),
    **dict.fromkeys(("head_dim", "d_kv", "image_size", "codevector_dim", "proj_codevector_dim"), 8),
    **dict.fromkeys(("num_layers", "num_decoder_layers", "encoder_layers", "decoder_layers", "num_experts_per_tok"), 1),
    **dict.fromkeys(("patch_size", "state_size", "rotary_dim", "num_conv_pos_embeddings"), 4),
    **dict.fromkeys(("max_position_embeddings", "n_positions"), 64),
    "num_codevectors_per_group": 4,
    "vocab_size": 120, "pad_token_id": 0, "eos_token_id": 3,
    "conv_dim": [16, 16], "conv_stride": [2, 2], "conv_kernel": [3, 3],
}  # fmt: skip

ENCODERS = (
    "albert", "bert", "big_bird", "camembert", "convbert", "data2vec-text", "deberta", "deberta-v2", "distilbert",
    "electra", "ernie", "fnet", "layoutlm", "megatron-bert", "modernbert", "mpnet", "nomic_bert", "rembert", "roberta",
    "roformer", "squeezebert", "xlm-roberta", "xlm-roberta-xl", "roberta-prelayernorm",
)  # fmt: skip
DECODERS = (
    "bloom", "cohere", "falcon", "gemma", "gemma2", "gpt2", "gpt_bigcode", "gpt_neox", "gptj", "granite",
    "llama", "rwkv", "mistral", "mpt", "olmo", "olmo2", "opt", "phi", "phi3", "qwen2", "qwen3", "smollm3", "stablelm",
    "starcoder2", "xglm",
)  # fmt: skip
ENCODER_DECODERS = ("bart", "blenderbot", "led", "m2m_100", "marian", "mbart", "mt5", "pegasus", "t5", "umt5")
MIXTURES = ("mixtral", "olmoe", "phimoe", "flex_olmo", "qwen3_moe")
SIGHT_AND_SOUND = ("beit", "deit", "dinov2", "hubert", "videomae", "vit", "wav2vec2", "wavlm", "whisper")
GROUPS = {
    "encoder": ENCODERS, "decoder": DECODERS, "encoder-decoder": ENCODER_DECODERS, "mixture of experts": MIXTURES,
    "vision or speech": SIGHT_AND_SOUND,
}  # fmt: skip


def class_of(model_type: str) -> str:
    """The class with a language model's head, or the bare model."""
    return language_class(model_type) or str(modeling_auto.MODEL_MAPPING_NAMES[model_type])


def make(model_type: str) -> PreTrainedModel:
    """A random pico model of a family."""
    torch.manual_seed(0)
    maker: Any = CONFIG_MAPPING[model_type]
    known = maker().to_dict()
    config = maker(**{key: value for key, value in _SIZES.items() if key in known})
    model: PreTrainedModel = getattr(transformers, class_of(model_type))._from_config(config)
    return model
