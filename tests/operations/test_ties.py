"""Output matrices: tied, untied, and of a config that says the one where the weights say the other."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers

from sftkit.format.metadata import Untied
from sftkit.format.sft import SFT
from tests.operations.test_checkpoint_kinds import composed, plain_sft, rewritten
from tests.pico import CAUSAL, VOCABULARY, make_as

LANGUAGE = {
    "gpt2": ("GPT2LMHeadModel", "wte.weight", "lm_head.weight", "transformer."),
    "llama": ("LlamaForCausalLM", "embed_tokens.weight", "lm_head.weight", "model."),
    "bert": ("BertForMaskedLM", "embeddings.word_embeddings.weight", "cls.predictions.decoder.weight", "bert."),
    "xlm-roberta": ("XLMRobertaForMaskedLM", "embeddings.word_embeddings.weight", "lm_head.decoder.weight", "roberta."),
    "t5": ("T5ForConditionalGeneration", "shared.weight", "lm_head.weight", ""),
    "bart": ("BartForConditionalGeneration", "shared.weight", "lm_head.weight", "model."),
}
IDS = torch.tensor([[2, 10, 20, 30, 4, 40, 3]])


def language_sft(base: Path, family: str) -> SFT:
    """Entries as a language model leaves them that was learned untied."""
    class_name, inputs, output, _ = LANGUAGE[family]
    sft = plain_sft(base)
    objective = "clm" if family in CAUSAL else "mlm"
    return SFT(
        sft.parameters,
        replace(sft.metadata, objective=objective, head=class_name, tied_embeddings=Untied(inputs, output)),
    )


def logits(model: Any) -> torch.Tensor:
    """Of a model of any kind."""
    model.eval()
    more = {"decoder_input_ids": IDS} if model.config.is_encoder_decoder else {}
    with torch.no_grad():
        found: torch.Tensor = model(input_ids=IDS, **more).logits
    return found


def plus(model: Any, sft: SFT, prefix: str) -> Any:
    """φ added by hand to a loaded model whose output matrix is one of its own."""
    output, inputs = model.get_output_embeddings(), model.get_input_embeddings()
    if output.weight is inputs.weight:
        output.weight = torch.nn.Parameter(inputs.weight.detach().clone())
    for name, matrix in sft.parameters.items():
        parameter = model.get_parameter(prefix + name)
        change = torch.from_numpy(matrix.toarray()).view(parameter.shape)
        with torch.no_grad():
            parameter.copy_((parameter.double() + change.double()).float())
    return model


@pytest.mark.parametrize("sft_kind", ["language", "neither"])
@pytest.mark.parametrize("family", LANGUAGE)
def test_a_stored_output_matrix_that_differs_stays_whatever_the_config_says_of_ties(
    family: str, sft_kind: str, tmp_path: Path
) -> None:
    class_name, _, output, prefix = LANGUAGE[family]
    made = make_as(class_name, family, tie_word_embeddings=True)
    made.save_pretrained(tmp_path / "tied")
    torch.manual_seed(1)
    other = torch.randn(VOCABULARY, 16)
    base = rewritten(tmp_path / "tied", tmp_path / "base", lambda state: state | {output: other})
    model_class = getattr(transformers, class_name)
    sft = language_sft(base, family) if sft_kind == "language" else plain_sft(base)
    expected = plus(model_class.from_pretrained(base), sft, prefix)
    assert torch.equal(expected.get_output_embeddings().weight, other)
    found, info = model_class.from_pretrained(composed(base, sft, tmp_path / "out"), output_loading_info=True)
    assert not info["missing_keys"]
    assert torch.equal(logits(found), logits(expected))


@pytest.mark.parametrize("family", LANGUAGE)
def test_a_language_sft_leaves_the_output_matrix_of_a_tied_model_where_it_was(family: str, tmp_path: Path) -> None:
    class_name, _, _, prefix = LANGUAGE[family]
    make_as(class_name, family, tie_word_embeddings=True).save_pretrained(tmp_path / "base")
    model_class = getattr(transformers, class_name)
    sft = language_sft(tmp_path / "base", family)
    expected = plus(model_class.from_pretrained(tmp_path / "base"), sft, prefix)
    found, info = model_class.from_pretrained(
        composed(tmp_path / "base", sft, tmp_path / "out"), output_loading_info=True
    )
    assert not info["missing_keys"]
    assert torch.equal(logits(found), logits(expected))
