"""What may move and how many of it, by objective: on pico models, and on the paper's own as shapes without memory."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn
from transformers import (
    AutoConfig,
    AutoModelForMaskedLM,
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
    PreTrainedModel,
)

from sftkit.modeling.backbone import backbone_parameters, norm_parameters
from sftkit.modeling.parser import AutoModelForDependencyParsing
from sftkit.training.selection.movable import default_k, freeze
from tests.helpers import pico

PAPERS: dict[str, dict[str, Any]] = {
    "bert": {"vocab_size": 119_547},
    "xlm-roberta": {"vocab_size": 250_002, "max_position_embeddings": 514, "type_vocab_size": 1},
}


def papers(model_type: str, auto_class: Any = AutoModelForTokenClassification, **changes: Any) -> PreTrainedModel:
    """A model of the paper's experiments, as shapes."""
    with torch.device("meta"):
        model: PreTrainedModel = auto_class.from_config(
            AutoConfig.for_model(model_type, **PAPERS[model_type] | changes)
        )
    return model


def size(model: PreTrainedModel) -> int:
    return sum(parameter.numel() for parameter in backbone_parameters(model).values())


@pytest.mark.parametrize("model_type", list(PAPERS))
@pytest.mark.parametrize(
    ("auto_class", "k"),
    [(AutoModelForMaskedLM, 7_667_712), (AutoModelForTokenClassification, 14_155_776),
     (AutoModelForSequenceClassification, 14_155_776), (AutoModelForDependencyParsing, 14_155_776)],
)  # fmt: skip
def test_the_papers_models_get_the_papers_k_whatever_the_head(model_type: str, auto_class: Any, k: int) -> None:
    model = papers(model_type, auto_class)
    assert default_k(model, is_task=auto_class is not AutoModelForMaskedLM) == k


@pytest.mark.parametrize(
    ("model_type", "changes"),
    [("bert", {"vocab_size": 30_522}), ("bert", {"num_hidden_layers": 6}), ("xlm-roberta", {"vocab_size": 250_003}),
     ("xlm-roberta", {"hidden_size": 1024, "num_attention_heads": 16, "num_hidden_layers": 24,
                      "intermediate_size": 4096})],
)  # fmt: skip
def test_other_models_get_the_density_that_mbert_has(model_type: str, changes: dict[str, Any]) -> None:
    model = papers(model_type, **changes)
    assert default_k(model, is_task=False) == round(7_667_712 / 177_262_848 * size(model))
    assert default_k(model, is_task=True) == round(14_155_776 / 177_262_848 * size(model))


@pytest.mark.parametrize(("model_type", "strength", "share"), [("bert", 0.066, 0.0433), ("xlm-roberta", 0.059, 0.0276)])
def test_the_papers_lambda_of_1_in_10_is_what_the_documentation_says_here(
    model_type: str, strength: float, share: float
) -> None:
    model = papers(model_type, AutoModelForMaskedLM)
    assert default_k(model, is_task=False) / size(model) == pytest.approx(share, abs=5e-5)
    movable = freeze(model, is_task=False)
    theirs = sum(parameter.numel() for parameter in model.parameters())  # the output matrix is one of its own by now
    assert theirs > movable.size + 0.9 * model.get_output_embeddings().weight.numel()
    assert 0.1 * movable.size / theirs == pytest.approx(strength, abs=5e-4)


class LlamaRMSNorm(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(2))


class NemotronLayerNorm1P(LlamaRMSNorm):
    pass


class FalconH1RMSNormGated(LlamaRMSNorm):
    pass


class PreNormAttention(LlamaRMSNorm):
    pass


class InklingNormedEmbedding(LlamaRMSNorm):
    pass


@pytest.mark.parametrize(
    "module",
    [nn.LayerNorm(2), nn.GroupNorm(1, 2), nn.RMSNorm(2), nn.BatchNorm1d(2), nn.SyncBatchNorm(2),
     nn.InstanceNorm1d(2, affine=True), LlamaRMSNorm(), NemotronLayerNorm1P(), FalconH1RMSNormGated()],
    ids=lambda module: type(module).__name__,
)  # fmt: skip
def test_norms_are_known_by_their_classes(module: nn.Module) -> None:
    assert norm_parameters(nn.Sequential(module, nn.Linear(2, 2))) == {id(p) for p in module.parameters()}


@pytest.mark.parametrize("module", [PreNormAttention(), InklingNormedEmbedding(), nn.Linear(2, 2)])
def test_weights_of_other_modules_are_no_norms_whatever_they_hold(module: nn.Module) -> None:
    assert not norm_parameters(nn.Sequential(module))


@pytest.mark.parametrize("model_type", list(pico.CONFIGS))
def test_a_tasks_norms_are_frozen_in_every_architecture_and_its_head_moves_whole(model_type: str) -> None:
    config = pico.make_model(model_type).config
    model: PreTrainedModel = AutoModelForTokenClassification.from_config(config)
    movable = freeze(model, is_task=True)
    assert movable.frozen == "layer norms"
    backbone = {id(parameter) for parameter in backbone_parameters(model).values()}
    assert {id(p) for p in movable.maskable.values()} == backbone - norm_parameters(model)
    assert all(parameter.requires_grad for parameter in model.parameters() if id(parameter) not in backbone)
    whole = freeze(model, is_task=True, train_norms=True)
    assert (whole.frozen, whole.size) == ("nothing", size(model))
