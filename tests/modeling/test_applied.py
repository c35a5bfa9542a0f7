"""SFTs on models in memory: all or nothing, the same as compose, exact when they come off, one thread at a time."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers

from sftkit.checkpoints.checkpoint import Checkpoint
from sftkit.checkpoints.fingerprint import fingerprint
from sftkit.errors import MismatchError
from sftkit.format.metadata import Base, Metadata, ParameterSpec
from sftkit.format.sft import CsrDifference, to_csr
from sftkit.python import api
from tests.composing.test_checkpoint_kinds import composed, plain_sft
from tests.composing.test_ties import IDS, LANGUAGE, language_sft, logits
from tests.helpers import pico
from tests.helpers.build import make_sft
from tests.helpers.pico import make_as

QUERY = "encoder.layer.0.attention.self.query.weight"


def in_memory(sft: CsrDifference) -> api.SFT:
    return api.SFT(sft.parameters, sft.metadata, sft.head)


def state(model: Any) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


def same(model: Any, before: dict[str, torch.Tensor]) -> bool:
    now = model.state_dict()
    return now.keys() == before.keys() and all(torch.equal(now[name], before[name]) for name in before)


@pytest.fixture
def sft(pico_base: Path) -> api.SFT:
    return in_memory(plain_sft(pico_base))


@pytest.mark.parametrize("family", LANGUAGE)
def test_a_tied_model_in_memory_says_what_the_composed_one_says_and_is_tied_again(family: str, tmp_path: Path) -> None:
    class_name = LANGUAGE[family][0]
    make_as(class_name, family, tie_word_embeddings=True).save_pretrained(tmp_path / "base")
    learned = language_sft(tmp_path / "base", family)
    model_class = getattr(transformers, class_name)
    expected = model_class.from_pretrained(composed(tmp_path / "base", learned, tmp_path / "out"))
    model = model_class.from_pretrained(tmp_path / "base")
    before, bare = state(model), logits(model)
    with in_memory(learned).applied_to(model):
        assert torch.equal(logits(model), logits(expected))
        if family in pico.CAUSAL:
            said = (each.generate(IDS, max_new_tokens=8, do_sample=False) for each in (model, expected))
            assert torch.equal(*said)
    assert same(model, before)
    assert torch.equal(logits(model), bare)
    assert model.get_output_embeddings().weight is model.get_input_embeddings().weight


@pytest.mark.parametrize("way", ["compiled", "data parallel"])
def test_wrappers_are_looked_through(way: str, sft: api.SFT, pico_base: Path) -> None:
    model = pico.make_model()
    before = state(model)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's own, of what it imports for compiling
        wrapped: Any = torch.compile(model) if way == "compiled" else torch.nn.DataParallel(model)
    model.cpu()  # where there is a GPU, it went there
    with sft.applied_to(wrapped):
        assert not same(model, before)
    assert same(model, before)


def _int8(model: Any) -> None:
    own = model.get_parameter(f"bert.{QUERY}")
    model.get_submodule("bert.encoder.layer.0.attention.self.query").weight = torch.nn.Parameter(
        (own * 100).to(torch.int8), requires_grad=False
    )


def _fp8(model: Any) -> None:
    own = model.get_parameter(f"bert.{QUERY}")
    own.data = own.data.to(torch.float8_e4m3fn)


def _transposed(model: Any) -> None:
    own = model.get_parameter(f"bert.{QUERY}")
    own.data = own.data.t().contiguous().t()


def _meta(model: Any) -> None:
    own = model.get_parameter(f"bert.{QUERY}")
    module = model.get_submodule("bert.encoder.layer.0.attention.self.query")
    module.weight = torch.nn.Parameter(torch.empty_like(own, device="meta"))


@pytest.mark.parametrize("spoil", [_int8, _fp8, _transposed, _meta])
def test_a_weight_to_which_nothing_can_be_added_leaves_all_others_alone(
    spoil: Callable[[Any], None], sft: api.SFT
) -> None:
    model: Any = pico.make_model()
    spoil(model)
    kept = {name: p.detach().clone() for name, p in model.named_parameters() if QUERY not in name}
    with pytest.raises(MismatchError, match=QUERY):
        sft.apply_to(model, force=True)
    assert all(torch.equal(model.get_parameter(name), tensor) for name, tensor in kept.items())


def test_a_quantised_or_adapted_model_is_named(sft: api.SFT) -> None:
    model: Any = pico.make_model()
    model.hf_quantizer = object()
    with pytest.raises(MismatchError, match="quantised"):
        sft.apply_to(model)
    adapted: Any = pico.make_model()
    adapted.peft_config = {}
    with pytest.raises(MismatchError, match="merge_and_unload"):
        sft.apply_to(adapted)
    with pytest.raises(MismatchError, match="no model of transformers"):
        sft.apply_to(torch.nn.Linear(2, 2))


def test_other_weights_of_the_right_shapes_are_refused_unless_forced(sft: api.SFT) -> None:
    model: Any = pico.make_model(seed=5)
    before = state(model)
    with pytest.raises(MismatchError, match="another base"):
        sft.apply_to(model)
    assert same(model, before)
    applied = sft.apply_to(model, force=True)
    applied.revert()
    assert same(model, before)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
def test_the_base_is_known_in_other_dtypes(dtype: torch.dtype, pico_base: Path) -> None:
    with in_memory(make_sft(pico_base)).applied_to(pico.make_model().to(dtype)):  # type: ignore[arg-type]
        pass
    with pytest.raises(MismatchError, match="another base"):
        in_memory(make_sft(pico_base)).apply_to(pico.make_model(seed=4).to(dtype))  # type: ignore[arg-type]


def test_a_model_that_loading_fuses_is_known_by_what_it_would_be_saved_as(tmp_path: Path) -> None:
    model = make_as("MixtralForCausalLM", "mixtral")
    model.save_pretrained(tmp_path / "base")
    name = "layers.0.mlp.experts.gate_up_proj"
    parameter = model.get_parameter(f"model.{name}")
    specs = {name: ParameterSpec(tuple(parameter.shape), "float32")}
    phi = {name: to_csr(np.array([3]), np.ones(1, np.float32), specs[name], name)}
    base = Base("mixtral", "mixtral", None, fingerprint(Checkpoint(tmp_path / "base")))
    learned = api.SFT(phi, Metadata(specs, 1, base=base, objective="clm", head="MixtralForCausalLM"))
    with learned.applied_to(model):
        pass
    with pytest.raises(MismatchError, match="another base"):
        learned.apply_to(make_as("MixtralForCausalLM", "mixtral", seed=1))


def test_what_was_put_on_last_comes_off_first(sft: api.SFT) -> None:
    model = pico.make_model()
    before = state(model)
    first, second = sft.apply_to(model), sft.apply_to(model, 0.5)
    on = state(model)
    with pytest.raises(MismatchError, match="later"):
        first.revert()
    assert same(model, on)
    second.revert()
    first.revert()
    first.revert()
    assert same(model, before)


CHANGES: dict[str, Callable[[Any], object]] = {
    "half": lambda model: model.half(),
    "a load": lambda model: model.load_state_dict(pico.make_model(seed=9).state_dict()),
    "a step": lambda model: model.get_parameter(f"bert.{QUERY}").data.add_(1.0),
}


@pytest.mark.parametrize("change", CHANGES)
def test_what_was_changed_meanwhile_is_not_taken_off(change: str, sft: api.SFT) -> None:
    model: Any = pico.make_model()
    applied = sft.apply_to(model)
    CHANGES[change](model)
    on = state(model)
    with pytest.raises(MismatchError, match="changed since"):
        applied.revert()
    assert same(model, on)


def test_threads_take_turns_on_one_model(pico_base: Path) -> None:
    model: Any = pico.make_model().eval()
    sfts = [in_memory(plain_sft(pico_base, seed)) for seed in (1, 2)]
    before, expected = state(model), []
    for each in sfts:
        with each.applied_to(model):
            expected.append(logits(model))
    wrong: list[int] = []

    def answer(at: int) -> None:
        for _ in range(20):
            with sfts[at].applied_to(model):
                if not torch.equal(logits(model), expected[at]):
                    wrong.append(at)

    threads = [threading.Thread(target=answer, args=(at,)) for at in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert same(model, before)


def test_a_model_that_another_thread_keeps_is_refused(sft: api.SFT) -> None:
    model = pico.make_model()
    thread = threading.Thread(target=sft.apply_to, args=(model,))
    thread.start()
    thread.join()
    with pytest.raises(MismatchError, match="Another thread"), sft.applied_to(model):
        pass


def test_a_tasks_sft_leaves_a_tied_model_tied(pico_base: Path) -> None:
    learned = plain_sft(pico_base)
    task = api.SFT(learned.parameters, replace(learned.metadata, objective="pos", head="BertForTokenClassification"))
    model: Any = pico.make_model()
    task.apply_to(model)
    assert model.get_output_embeddings().weight is model.get_input_embeddings().weight


def test_a_composed_model_counts_as_its_base_until_it_is_changed(pico_base: Path, tmp_path: Path) -> None:
    learned = plain_sft(pico_base)
    out = composed(pico_base, learned, tmp_path / "out")
    model = transformers.AutoModelForMaskedLM.from_pretrained(out)
    with in_memory(learned).applied_to(model, -1.0):
        pass
    with torch.no_grad():
        model.get_parameter(f"bert.{QUERY}").add_(1)
    with pytest.raises(MismatchError, match="another base"):
        in_memory(learned).apply_to(model)


def test_a_half_precision_copy_that_was_loaded_in_float32_is_told_so(pico_base: Path) -> None:
    copy: Any = pico.make_model().to(torch.bfloat16).float()  # type: ignore[arg-type]
    learned = in_memory(make_sft(pico_base))
    with pytest.raises(MismatchError, match=r"bfloat16 copy, loaded in float32.*dtype=torch\.bfloat16.*force=True"):
        learned.apply_to(copy)
    learned.apply_to(copy, force=True).revert()
    learned.apply_to(copy.to(torch.bfloat16))
