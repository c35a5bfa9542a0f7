"""Output matrices: tied, untied, and of a config that says the one where the weights say the other."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file

from sftkit.algebra.arithmetic import Weighted
from sftkit.composing.compose import compose
from sftkit.composing.difference import difference
from sftkit.composing.subtract import subtract_from_model
from sftkit.composing.sums import add
from sftkit.format.files import SftFile, read
from sftkit.format.metadata import Untied
from sftkit.format.sft import CsrDifference
from sftkit.python import api
from tests.cli.run import sftkit, train
from tests.composing.test_checkpoint_kinds import composed, plain_sft, rewritten
from tests.helpers import pico
from tests.helpers.build import make_sft, save_sft
from tests.helpers.pico import CAUSAL, VOCABULARY, make_as

LANGUAGE = {
    "gpt2": ("GPT2LMHeadModel", "wte.weight", "lm_head.weight", "transformer."),
    "llama": ("LlamaForCausalLM", "embed_tokens.weight", "lm_head.weight", "model."),
    "bert": ("BertForMaskedLM", "embeddings.word_embeddings.weight", "cls.predictions.decoder.weight", "bert."),
    "xlm-roberta": ("XLMRobertaForMaskedLM", "embeddings.word_embeddings.weight", "lm_head.decoder.weight", "roberta."),
    "t5": ("T5ForConditionalGeneration", "shared.weight", "lm_head.weight", ""),
    "bart": ("BartForConditionalGeneration", "shared.weight", "lm_head.weight", "model."),
}
IDS = torch.tensor([[2, 10, 20, 30, 4, 40, 3]])


def language_sft(base: Path, family: str) -> CsrDifference:
    """Entries as a language model leaves them that was learned untied."""
    class_name, inputs, output, _ = LANGUAGE[family]
    sft = plain_sft(base)
    objective = "clm" if family in CAUSAL else "mlm"
    return CsrDifference(
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


def plus(model: Any, sft: CsrDifference, prefix: str) -> Any:
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


def test_the_output_matrix_has_the_name_that_the_base_has_for_it(tmp_path: Path) -> None:
    base, tuned, _ = untied_pair(tmp_path, "gpt_neox")  # whose class in memory has had another name for it since 5.4
    difference(tuned, base, tmp_path / "d.sft")
    compose(base, [Weighted(SftFile(tmp_path / "d.sft"), 1.0, "d.sft")], tmp_path / "whole")
    assert sorted(load_file(tmp_path / "whole/model.safetensors")) == sorted(load_file(base / "model.safetensors"))


UNTIED = ["gpt2", "llama", "bert", "xlm-roberta", "t5", "bart", "gpt_neox"]


def moved(model: Any) -> Any:
    """The same model with a fifth of its weights moved by a quarter."""
    torch.manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_((torch.rand_like(parameter) < 0.2) * 0.25)
    return model


def untied_pair(folder: Path, family: str) -> tuple[Path, Path, Any]:
    """A base whose output matrix is one of its own, the same with weights moved, and their class."""
    class_name = LANGUAGE.get(family, ("GPTNeoXForCausalLM",))[0]
    model: Any = make_as(class_name, family, tie_word_embeddings=False)
    if model.get_output_embeddings().weight is model.get_input_embeddings().weight:  # T5 ties whatever its config says
        model.lm_head.weight = torch.nn.Parameter(torch.randn_like(model.shared.weight))
    model.tie_weights = lambda **_: None
    model.save_pretrained(folder / "base")
    moved(model).save_pretrained(folder / "tuned")
    return folder / "base", folder / "tuned", getattr(transformers, class_name)


@pytest.mark.parametrize("family", UNTIED)
def test_the_output_matrix_of_an_untied_model_is_a_parameter_like_any_other(family: str, tmp_path: Path) -> None:
    base, tuned, model_class = untied_pair(tmp_path, family)
    report = difference(tuned, base, tmp_path / "d.sft")
    sft = SftFile(tmp_path / "d.sft")
    output = sft.metadata.output
    assert output in sft.names
    assert output not in sft.head
    assert report.exact
    for weight, folder in ((1.0, "whole"), (0.5, "half")):
        compose(base, [Weighted(sft, weight, "d.sft")], tmp_path / folder)
    plain, half, whole, wanted = (
        model_class.from_pretrained(folder) for folder in (base, tmp_path / "half", tmp_path / "whole", tuned)
    )
    assert torch.equal(logits(whole), logits(wanted))
    theta, phi = (each.get_output_embeddings().weight for each in (plain, wanted))
    assert torch.equal(half.get_output_embeddings().weight, theta + (phi - theta) * 0.5)
    with api.read(tmp_path / "d.sft").applied_to(plain, 0.5):
        assert torch.equal(plain.get_output_embeddings().weight, half.get_output_embeddings().weight)
    add([Weighted(sft, 0.5, "d.sft")], tmp_path / "half.sft")
    compose(base, [Weighted(SftFile(tmp_path / "half.sft"), 1.0, "half.sft")], tmp_path / "sum")
    summed = model_class.from_pretrained(tmp_path / "sum")
    assert torch.equal(summed.get_output_embeddings().weight, half.get_output_embeddings().weight)
    subtract_from_model(tmp_path / "whole", [Weighted(sft, 1.0, "d.sft")], tmp_path / "back")
    back = model_class.from_pretrained(tmp_path / "back")
    assert torch.equal(logits(back), logits(model_class.from_pretrained(base)))


def test_a_tasks_head_leaves_the_output_matrix_out_and_says_so(tmp_path: Path) -> None:
    base, tuned, _ = untied_pair(tmp_path, "llama")
    difference(tuned, base, tmp_path / "d.sft")
    language = SftFile(tmp_path / "d.sft")
    task = make_sft(base, objective="pos")
    report = compose(base, [Weighted(language, 1.0, "d.sft"), Weighted(task, 1.0, "pos.sft")], tmp_path / "out")
    assert any("lm_head.weight" in note and "left out" in note for note in report.notes)
    model: Any = transformers.AutoModelForTokenClassification.from_pretrained(base, num_labels=3)
    api.SFT(read(tmp_path / "d.sft").parameters, language.metadata).apply_to(model)


def test_an_sft_whose_output_matrix_did_not_move_names_none(tmp_path: Path) -> None:
    base, _, model_class = untied_pair(tmp_path, "llama")
    model = model_class.from_pretrained(base)
    with torch.no_grad():
        model.model.norm.weight.add_(1)
    model.save_pretrained(tmp_path / "norm")
    difference(tmp_path / "norm", base, tmp_path / "d.sft")
    assert SftFile(tmp_path / "d.sft").metadata.output == ""


@pytest.mark.parametrize("stored", ["as a language model", "as a bare model"])
def test_an_output_matrix_that_is_nowhere_is_not_made_of_the_embedding(
    stored: str, corpus: Path, tmp_path: Path
) -> None:
    whole = pico.save_base(tmp_path / "whole", "llama")  # whose config does not tie it
    base = tmp_path / "base"
    shutil.copytree(whole, base)
    state = load_file(whole / "model.safetensors")
    del state["lm_head.weight"]
    if stored == "as a bare model":
        state = {name.removeprefix("model."): tensor for name, tensor in state.items()}
        config = json.loads((base / "config.json").read_text()) | {"architectures": ["LlamaModel"]}
        (base / "config.json").write_text(json.dumps(config))
    save_file(state, base / "model.safetensors", {"format": "pt"})
    sft = save_sft(tmp_path / "x.sft", whole, objective="clm")
    assert sftkit("compose", base, sft, "-o", tmp_path / "out").status == 0
    assert sorted(load_file(tmp_path / "out" / "model.safetensors")) == sorted(state)
    scored = sftkit("evaluate", base, sft, "--clm", corpus, "--device", "cpu")
    assert (scored.status, "lm_head.weight would be random" in scored.stderr) == (1, True)
    learned = train("--clm", corpus, "--base", base, "-o", tmp_path / "y.sft")
    assert (learned.status, "no output matrix (lm_head.weight)" in learned.stderr) == (1, True)


def test_a_task_on_a_base_whose_output_matrix_is_its_own_leaves_nothing_out(tmp_path: Path) -> None:
    tied = make_as("BertForMaskedLM", "bert")
    tied.save_pretrained(tmp_path / "tied")
    words, output = "bert.embeddings.word_embeddings.weight", "cls.predictions.decoder.weight"
    base = rewritten(tmp_path / "tied", tmp_path / "base", lambda state: state | {output: state[words] + 0.5})
    make_as("BertForTokenClassification", "bert").save_pretrained(tmp_path / "tuned")
    found = difference(tmp_path / "tuned", base, tmp_path / "d.sft")
    assert not any(output in note for note in found.notes)
