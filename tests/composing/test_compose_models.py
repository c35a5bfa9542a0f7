"""Composed models as transformers sees them: nothing missing, nothing unexpected, nothing mismatched."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers

from sftkit.algebra.arithmetic import Weighted
from sftkit.checkpoints.checkpoint import Checkpoint
from sftkit.checkpoints.fingerprint import fingerprint
from sftkit.composing.bases import check_belongs
from sftkit.composing.compose import compose
from sftkit.composing.report import ArithmeticReport
from sftkit.errors import MismatchError
from sftkit.format.metadata import Base, Metadata, ParameterSpec
from sftkit.format.sft import CsrDifference, to_csr
from tests.helpers.build import make_sft
from tests.helpers.pico import CAUSAL, CONFIGS, save_base

ENCODERS = tuple(name for name in CONFIGS if name not in CAUSAL)


def weighted(*sfts: Any) -> list[Weighted]:
    return [Weighted(sft, 1.0, f"{number}.sft") for number, sft in enumerate(sfts)]


def load(path: Path, auto: Any) -> Any:
    """The model, after transformers said that every weight had its place."""
    model, info = auto.from_pretrained(path, output_loading_info=True)
    assert not any(info[key] for key in ("missing_keys", "unexpected_keys", "mismatched_keys")), info
    return model


def make(tmp_path: Path, model_type: str, *objectives: str, **base: Any) -> tuple[Path, Path, ArithmeticReport]:
    source = save_base(tmp_path / "base", model_type, **base)
    sfts = [make_sft(source, objective=objective, seed=seed) for seed, objective in enumerate(objectives)]
    return source, tmp_path / "out", compose(source, weighted(*sfts), tmp_path / "out")


@pytest.mark.parametrize("head", [True, False], ids=["with head", "bare"])
@pytest.mark.parametrize("model_type", ENCODERS)
def test_a_language_and_a_task_sft_make_a_token_classifier(tmp_path: Path, model_type: str, head: bool) -> None:
    _, out, _ = make(tmp_path, model_type, "mlm", "pos", head=head)
    model = load(out, transformers.AutoModelForTokenClassification)
    assert model.config.id2label == {0: "ADJ", 1: "NOUN", 2: "VERB"}


@pytest.mark.parametrize("head", [True, False], ids=["with head", "bare"])
@pytest.mark.parametrize("model_type", ENCODERS)
def test_a_language_sft_alone_makes_a_masked_lm_with_the_old_output_matrix(
    tmp_path: Path, model_type: str, head: bool
) -> None:
    source, out, _ = make(tmp_path, model_type, "mlm", head=head)
    model = load(out, transformers.AutoModelForMaskedLM)
    old: Any = transformers.AutoModel.from_pretrained(source).get_input_embeddings().weight
    assert torch.equal(model.get_output_embeddings().weight.data, old.data)
    assert not torch.equal(model.get_input_embeddings().weight.data, old.data)
    assert model.config.tie_word_embeddings is False


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("model_type", CAUSAL)
def test_a_language_sft_on_a_causal_model_makes_a_causal_model(tmp_path: Path, model_type: str, tied: bool) -> None:
    source, out, _ = make(tmp_path, model_type, "clm", tie_word_embeddings=tied)
    model = load(out, transformers.AutoModelForCausalLM)
    old: Any = transformers.AutoModelForCausalLM.from_pretrained(source)
    assert torch.equal(model.get_output_embeddings().weight, old.get_output_embeddings().weight)
    assert not torch.equal(model.get_input_embeddings().weight, old.get_input_embeddings().weight)


def test_where_transformers_fuses_weights_the_result_is_the_loaded_base_plus_phi(tmp_path: Path) -> None:
    settings = {
        "hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 1, "num_attention_heads": 2,
        "num_key_value_heads": 2, "num_local_experts": 2, "vocab_size": 50,
    }  # fmt: skip
    torch.manual_seed(0)
    model = transformers.AutoModelForCausalLM.from_config(transformers.AutoConfig.for_model("mixtral", **settings))
    model.save_pretrained(tmp_path / "base")
    name = "layers.0.mlp.experts.gate_up_proj"
    shapes = {
        key.removeprefix("model."): tuple(p.shape) for key, p in model.named_parameters() if key != "lm_head.weight"
    }
    specs = {key: ParameterSpec(shape, "float32") for key, shape in shapes.items()}
    phi = to_csr(np.array([3, 99]), np.array([1, -1], np.float32), specs[name], name)
    base = Base("mixtral", "mixtral", None, fingerprint(Checkpoint(tmp_path / "base")))
    sft = CsrDifference({name: phi}, Metadata(specs, 2, base=base, objective="clm", head="MixtralForCausalLM"))
    report = compose(tmp_path / "base", weighted(sft), tmp_path / "out")
    assert "renames" in report.notes[0]
    expected = model.state_dict()
    expected[f"model.{name}"].view(-1)[[3, 99]] += torch.tensor([1.0, -1.0])
    found = load(tmp_path / "out", transformers.AutoModelForCausalLM).state_dict()
    assert all(torch.equal(found[key], value) for key, value in expected.items())


def test_a_sequence_classifier_keeps_the_pooler_that_its_sft_brings(tmp_path: Path) -> None:
    source = save_base(tmp_path / "base")
    sfts = [make_sft(source), make_sft(source, objective="classify", seed=1)]
    compose(source, weighted(*sfts), tmp_path / "out")
    model = load(tmp_path / "out", transformers.AutoModelForSequenceClassification)
    brought = torch.from_numpy(sfts[1].head["bert.pooler.dense.weight"])
    assert torch.equal(model.bert.pooler.dense.weight.data, brought)
    assert model.config.problem_type == "single_label_classification"


@pytest.mark.parametrize("model_type", ENCODERS)
def test_a_strangers_sft_without_head_or_tying_keeps_the_bases_lm_head_and_unties_it(
    tmp_path: Path, model_type: str
) -> None:
    source = save_base(tmp_path / "base", model_type)
    sft = make_sft(source, head=False)
    stranger = CsrDifference(sft.parameters, Metadata(sft.metadata.parameters, sft.metadata.k, objective="mlm"))
    report = compose(source, weighted(stranger), tmp_path / "out")
    model, old = (load(path, transformers.AutoModelForMaskedLM) for path in (tmp_path / "out", source))
    assert "records no fingerprint" in report.notes[0]
    assert torch.equal(model.get_output_embeddings().weight, old.get_output_embeddings().weight)
    assert torch.equal(model.get_output_embeddings().bias, old.get_output_embeddings().bias)
    assert not torch.equal(model.get_input_embeddings().weight, old.get_input_embeddings().weight)


@pytest.mark.parametrize("model_type", ENCODERS)
def test_an_untied_base_keeps_the_output_matrix_of_its_own(tmp_path: Path, model_type: str) -> None:
    source, out, _ = make(tmp_path, model_type, "mlm", tie_word_embeddings=False)
    model, old = (load(path, transformers.AutoModelForMaskedLM) for path in (out, source))
    assert torch.equal(model.get_output_embeddings().weight, old.get_output_embeddings().weight)


def test_two_languages_of_equal_weight_keep_the_bases_lm_head_and_the_heavier_one_wins(tmp_path: Path) -> None:
    source = save_base(tmp_path / "base")
    one, two = make_sft(source), make_sft(source, seed=1)
    equal = compose(source, weighted(one, two), tmp_path / "equal")
    name = "cls.predictions.transform.dense.weight"
    found, old = (
        load(path, transformers.AutoModelForMaskedLM).state_dict()[name] for path in (tmp_path / "equal", source)
    )
    assert torch.equal(found, old)
    assert "base's own LM head is kept" in equal.notes[0]
    compose(source, [Weighted(one, 0.3, "one"), Weighted(two, 0.7, "two")], tmp_path / "two")
    found = load(tmp_path / "two", transformers.AutoModelForMaskedLM).state_dict()[name]
    assert torch.equal(found, torch.from_numpy(two.head[name]))


def test_a_subtracted_language_brings_no_head_and_leaves_the_output_matrix_alone(tmp_path: Path) -> None:
    source = save_base(tmp_path / "base")
    compose(source, [Weighted(make_sft(source), -1.0, "mt.sft")], tmp_path / "out")
    model, old = (load(path, transformers.AutoModelForMaskedLM) for path in (tmp_path / "out", source))
    assert torch.equal(model.get_output_embeddings().weight, old.get_output_embeddings().weight)
    assert torch.equal(model.cls.predictions.transform.dense.weight, old.cls.predictions.transform.dense.weight)


def test_a_published_bert_with_pooler_sentence_head_and_tied_copies_loads_cleanly(tmp_path: Path) -> None:
    source = save_base(tmp_path / "base")
    config = transformers.AutoConfig.from_pretrained(source)
    torch.manual_seed(0)
    state = transformers.BertForPreTraining(config).state_dict()
    assert {"cls.seq_relationship.weight", "bert.pooler.dense.weight", "cls.predictions.decoder.weight"} <= set(state)
    (source / "model.safetensors").unlink()
    torch.save(state, source / "pytorch_model.bin")
    language, task = make_sft(source), make_sft(source, objective="pos", seed=1)
    compose(source, weighted(language), tmp_path / "lm")
    load(tmp_path / "lm", transformers.AutoModelForMaskedLM)
    compose(source, weighted(language, task), tmp_path / "tagger")
    load(tmp_path / "tagger", transformers.AutoModelForTokenClassification)


def test_language_sfts_on_a_composed_tagger_keep_its_head(tmp_path: Path) -> None:
    source = save_base(tmp_path / "base")
    task = make_sft(source, objective="pos")
    compose(source, weighted(task), tmp_path / "tagger")
    compose(tmp_path / "tagger", weighted(make_sft(source, seed=1)), tmp_path / "mt")
    model = load(tmp_path / "mt", transformers.AutoModelForTokenClassification)
    assert torch.equal(model.classifier.weight.data, torch.from_numpy(task.head["classifier.weight"]))


def test_an_sft_learned_on_a_composed_model_belongs_to_it(tmp_path: Path) -> None:
    source = save_base(tmp_path / "base")
    compose(source, weighted(make_sft(source, objective="pos")), tmp_path / "tagger")
    later = weighted(make_sft(tmp_path / "tagger", seed=1))
    assert check_belongs(tmp_path / "tagger", later) == ()
    compose(tmp_path / "tagger", later, tmp_path / "mt")
    with pytest.raises(MismatchError, match="another base"):
        check_belongs(source, later)
