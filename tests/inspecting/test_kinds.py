"""Layers and kinds of modules from names alone."""

from __future__ import annotations

import pytest
from torch import nn

from sftkit.inspecting.kinds import OTHER, in_model_order, is_token_embedding, kind_of, layer_of
from tests.helpers.pico import CONFIGS, make_model

KINDS = {
    "embeddings.word_embeddings.weight": ("embeddings", "embeddings"),
    "embeddings.LayerNorm.bias": ("norms", "embeddings"),
    "encoder.layer.3.attention.self.query.weight": ("query", "encoder.layer.3"),
    "encoder.layer.3.attention.self.query.bias": ("biases", "encoder.layer.3"),
    "encoder.layer.11.attention.output.dense.weight": ("attention output", "encoder.layer.11"),
    "encoder.layer.0.attention.output.LayerNorm.weight": ("norms", "encoder.layer.0"),
    "encoder.layer.0.intermediate.dense.weight": ("feed-forward in", "encoder.layer.0"),
    "encoder.layer.0.output.dense.weight": ("feed-forward out", "encoder.layer.0"),
    "encoder.layer.0.attention.self.pos_key_proj.weight": ("key", "encoder.layer.0"),
    "encoder.rel_embeddings.weight": ("embeddings", "embeddings"),
    "transformer.layer.1.attention.out_lin.weight": ("attention output", "transformer.layer.1"),
    "transformer.layer.1.sa_layer_norm.weight": ("norms", "transformer.layer.1"),
    "transformer.layer.1.ffn.lin2.weight": ("feed-forward out", "transformer.layer.1"),
    "layers.2.attn.Wqkv.weight": ("query+key+value", "layers.2"),
    "layers.2.attn.Wo.weight": ("attention output", "layers.2"),
    "layers.2.mlp.Wo.weight": ("feed-forward out", "layers.2"),
    "layers.2.mlp_norm.weight": ("norms", "layers.2"),
    "final_norm.weight": ("norms", "final_norm"),
    "wte.weight": ("embeddings", "embeddings"),
    "h.0.attn.c_attn.weight": ("query+key+value", "h.0"),
    "h.0.attn.c_proj.weight": ("attention output", "h.0"),
    "h.0.mlp.c_proj.weight": ("feed-forward out", "h.0"),
    "ln_f.weight": ("norms", "ln_f"),
    "embed_tokens.weight": ("embeddings", "embeddings"),
    "layers.0.self_attn.o_proj.weight": ("attention output", "layers.0"),
    "layers.0.self_attn.k_norm.weight": ("norms", "layers.0"),
    "layers.0.mlp.gate_proj.weight": ("feed-forward in", "layers.0"),
    "layers.0.post_attention_layernorm.weight": ("norms", "layers.0"),
    "norm.weight": ("norms", "norm"),
    "decoder.block.1.layer.2.DenseReluDense.wo.weight": ("feed-forward out", "decoder.block.1"),
    "decoder.layers.0.encoder_attn.v_proj.weight": ("value", "decoder.layers.0"),
    "encoder.final_layer_norm.weight": ("norms", "encoder.final_layer_norm"),
    "pooler.dense.weight": ("other", "pooler"),
    "something.new.weight": ("other", "something"),
    "weight": ("other", "weight"),
}


@pytest.mark.parametrize("name", KINDS)
def test_a_name_tells_kind_and_layer(name: str) -> None:
    assert (kind_of(name), layer_of(name)) == KINDS[name]


@pytest.mark.parametrize("model_type", CONFIGS)
def test_every_parameter_of_every_architecture_has_a_kind(model_type: str) -> None:
    model = make_model(model_type, head=False)
    unknown = {name for name, _ in model.named_parameters() if kind_of(name) == OTHER}
    assert unknown <= {"pooler.dense.weight"}


@pytest.mark.parametrize("model_type", CONFIGS)
def test_norms_are_what_torch_says_they_are(model_type: str) -> None:
    model = make_model(model_type, head=False)
    norms = {
        f"{module}.{name}"
        for module, layer in model.named_modules()
        if isinstance(layer, nn.LayerNorm) or type(layer).__name__.endswith("RMSNorm")
        for name, _ in layer.named_parameters(recurse=False)
    }
    assert {name for name, _ in model.named_parameters() if kind_of(name) == "norms"} == norms


@pytest.mark.parametrize("model_type", CONFIGS)
def test_every_architecture_has_one_token_embedding(model_type: str) -> None:
    model = make_model(model_type, head=False)
    found = [name for name, _ in model.named_parameters() if is_token_embedding(name)]
    assert len(found) == 1
    assert model.get_parameter(found[0]) is model.get_input_embeddings().weight


def test_layers_are_ordered_from_bottom_to_top() -> None:
    layers = ["pooler", "encoder.layer.10", "encoder.layer.2", "embeddings", "encoder.layer.2"]
    assert in_model_order(layers) == ["embeddings", "encoder.layer.2", "encoder.layer.10", "pooler"]
