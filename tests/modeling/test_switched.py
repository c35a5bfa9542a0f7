"""A switch of SFTs: θ exact after any number of uses, and whatever happens in between is refused or harmless."""

from __future__ import annotations

import copy
import gc
import pickle
import weakref
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import transformers

import sftkit
from sftkit.errors import MismatchError
from sftkit.modeling import layers, swap
from tests.composing.test_ties import IDS, logits
from tests.helpers import pico
from tests.helpers.build import make_sft
from tests.helpers.pico import make_as
from tests.modeling.test_applied import QUERY, in_memory, same, state

NAME = f"bert.{QUERY}"


@pytest.fixture(scope="module")
def sfts(pico_base: Path) -> dict[str, sftkit.SFT]:
    return {name: in_memory(make_sft(pico_base, seed=at, k=4000)) for at, name in enumerate(("a", "b"), 1)}


def _as_on_a_device(*parts: Any) -> Any:
    made: Any = swap._DeviceSwap
    return made(*parts, torch.device("cpu"))


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("place", ["host", "device"])
def test_a_set_that_is_on_is_what_apply_makes_of_it_and_off_it_is_gone(
    place: str, dtype: torch.dtype, sfts: dict[str, sftkit.SFT], monkeypatch: pytest.MonkeyPatch
) -> None:
    if place == "device":
        monkeypatch.setattr(swap, "_HostSwap", _as_on_a_device)
    model: Any = pico.make_model().to(dtype)  # type: ignore[arg-type]
    before, both = state(model), list(sfts.values())
    switch = sftkit.Switch(model, {**sfts, "both": [(both[0], 0.5), both[1]]})
    with sftkit.SFT.applied_to(both[0], model):
        one = state(model)
    applied = sftkit.apply(model, both, [0.5, 1.0])
    expected = {"a": one, "both": state(model)}
    applied.revert()
    for name, wanted in expected.items():
        with switch(name) as on:
            assert same(on, wanted)
            assert not same(on, before)
        assert same(model, before)


def _many(dtype: torch.dtype, times: int, sfts: dict[str, sftkit.SFT]) -> None:
    model: Any = pico.make_model().to(dtype)  # type: ignore[arg-type]
    before, switch = state(model), sftkit.Switch(model, sfts)
    for at in range(times):
        with switch("ab"[at % 2]):
            pass
    assert same(model, before)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
def test_theta_is_exact_after_many_switches(dtype: torch.dtype, sfts: dict[str, sftkit.SFT]) -> None:
    _many(dtype, 200, sfts)


@pytest.mark.slow
@pytest.mark.long
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
def test_theta_is_exact_after_ten_thousand_switches(dtype: torch.dtype, sfts: dict[str, sftkit.SFT]) -> None:
    _many(dtype, 10_000, sfts)


def _step(model: Any) -> None:
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    model(input_ids=IDS, labels=IDS).loss.backward()
    optimizer.step()


def _replace(model: Any) -> None:
    own = model.get_submodule(NAME.removesuffix(".weight"))
    own.weight = torch.nn.Parameter(own.weight.detach().clone())


def _untie(model: Any) -> None:
    model.get_output_embeddings().weight = torch.nn.Parameter(model.get_input_embeddings().weight.detach().clone())


CHANGES: dict[str, Callable[[Any], object]] = {
    "half": lambda model: model.half(),
    "float64": lambda model: model.to(torch.float64),
    "a load": lambda model: model.load_state_dict(pico.make_model(seed=9).state_dict()),
    "a step": _step,
    "behind torch's back": lambda model: model.get_parameter(NAME).data.add_(1.0),
    "of numpy": lambda model: model.get_parameter(NAME).detach().numpy().fill(0.5),
    "another tensor": _replace,
    "an output matrix of its own": _untie,
    "resized": lambda model: model.resize_token_embeddings(pico.VOCABULARY + 8),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_model_that_was_changed_between_two_uses_is_refused_and_not_touched(
    change: str, sfts: dict[str, sftkit.SFT]
) -> None:
    model: Any = pico.make_model()
    switch = sftkit.Switch(model, sfts)
    with switch("a"):
        pass
    CHANGES[change](model)
    there = state(model)
    for _ in range(2):
        with pytest.raises(MismatchError, match="changed since the switch was made"), switch("b"):
            pytest.fail("the block was entered")
    assert same(model, there)


@pytest.mark.parametrize("change", CHANGES)
def test_a_model_that_was_changed_in_the_block_is_told_and_not_touched(
    change: str, sfts: dict[str, sftkit.SFT]
) -> None:
    model: Any = pico.make_model()
    switch = sftkit.Switch(model, sfts)
    there: dict[str, torch.Tensor] = {}

    def change_it() -> None:
        with switch("a"):
            CHANGES[change](model)
            there.update(state(model))

    with pytest.raises(MismatchError, match="changed"):
        change_it()
    if change != "an output matrix of its own":  # of which there is one while the SFT is on
        assert same(model, there)
        with pytest.raises(MismatchError):
            sfts["a"].apply_to(model)  # nobody takes it for the base


def test_training_the_head_alone_is_no_change(pico_base: Path) -> None:
    model: Any = make_as("BertForTokenClassification", "bert")
    base: Any = pico.make_model()
    model.bert.load_state_dict(base.bert.state_dict(), strict=False)
    switch = sftkit.Switch(model, {"a": in_memory(make_sft(pico_base, objective="pos"))})
    with torch.no_grad():
        model.classifier.weight.add_(1.0)
    with switch("a"):
        model.classifier.weight.data.add_(1.0)


def test_parameters_that_are_two_in_one_place_are_refused(sfts: dict[str, sftkit.SFT]) -> None:
    model: Any = pico.make_model()
    own = model.get_submodule("bert.encoder.layer.0.attention.self")
    own.key.weight.data = own.query.weight.data
    before = state(model)
    for put in (lambda: sftkit.apply(model, sfts["a"], force=True), lambda: sftkit.Switch(model, sfts, force=True)):
        with pytest.raises(MismatchError, match="in one place"):
            put()
    assert same(model, before)


def test_a_switch_is_not_copied_and_a_copy_of_a_model_that_has_one_on_is_a_model(
    sfts: dict[str, sftkit.SFT], tmp_path: Path
) -> None:
    model: Any = pico.make_model()
    before, switch = state(model), sftkit.Switch(model, sfts)
    for copying in (copy.deepcopy, pickle.dumps):
        with pytest.raises(TypeError, match="make one for the copy"):
            copying(switch)
    with switch("a"):
        on, copies = state(model), [copy.deepcopy(model), pickle.loads(pickle.dumps(model))]
        model.save_pretrained(tmp_path)
    assert same(model, before)
    assert all(same(each, on) for each in copies)
    saved = transformers.AutoModelForMaskedLM.from_pretrained(tmp_path)
    assert torch.equal(logits(saved), logits(copies[0]))
    with pytest.raises(MismatchError, match="another base"):
        sftkit.Switch(copies[0], sfts)


def test_models_of_inference_mode_are_switched(sfts: dict[str, sftkit.SFT], monkeypatch: pytest.MonkeyPatch) -> None:
    with torch.inference_mode():
        model: Any = pico.make_model()
    before = state(model)
    for maker in (swap._HostSwap, _as_on_a_device):
        monkeypatch.setattr(swap, "_HostSwap", maker)
        switch = sftkit.Switch(model, sfts)
        with switch("a"):
            assert not same(model, before)
        with torch.inference_mode(), switch("a"):
            pass
        assert same(model, before)
    with sfts["a"].applied_to(model):
        pass
    assert same(model, before)


def test_a_switch_made_in_inference_mode_serves_training(sfts: dict[str, sftkit.SFT]) -> None:
    model: Any = pico.make_model()
    with torch.inference_mode():
        switch = sftkit.Switch(model, sfts)
    with switch("a"):
        model(input_ids=IDS, labels=IDS).loss.backward()


def test_what_a_device_has_yet_to_do_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    waited: list[torch.device] = []
    monkeypatch.setattr(torch.accelerator, "synchronize", waited.append)
    places = [torch.device("cuda", 0), torch.device("cpu"), torch.device("cuda", 0), torch.device("cuda", 1)]
    model: Any = SimpleNamespace(parameters=lambda: [SimpleNamespace(device=place) for place in places])
    layers.settle(model)
    assert sorted(map(str, waited)) == ["cuda:0", "cuda:1"]


def test_a_gradient_of_what_was_computed_in_the_block_is_refused_outside(sfts: dict[str, sftkit.SFT]) -> None:
    model: Any = pico.make_model()
    switch = sftkit.Switch(model, sfts)
    for block in (switch("a"), sfts["a"].applied_to(model)):
        with block:
            loss = model(input_ids=IDS, labels=IDS).loss
        with pytest.raises(RuntimeError, match="modified by an inplace operation"):
            loss.backward()
    with switch("a"):
        model(input_ids=IDS, labels=IDS).loss.backward()


def test_weights_that_are_parts_of_one_tensor_are_switched(sfts: dict[str, sftkit.SFT]) -> None:
    model: Any = pico.make_model()
    own = model.get_submodule("bert.encoder.layer.0.attention.self")
    fused = torch.cat([own.query.weight.detach(), own.key.weight.detach(), own.value.weight.detach()])
    for part, weight in zip((own.query, own.key, own.value), fused.chunk(3), strict=True):
        part.weight = torch.nn.Parameter(weight)  # as loading a fused matrix may leave them: one count of writes
    before, one = state(model), sfts["a"]
    alone = replace(one, parameters={QUERY: one.parameters[QUERY]})
    switch = sftkit.Switch(model, {**sfts, "alone": alone})
    for name in ("a", "alone", "b", "alone", "a"):
        with switch(name):
            assert not same(model, before)
        assert same(model, before)
    sfts["a"].apply_to(model).revert()
    with switch("b"):
        pass


def test_what_is_never_taken_off_keeps_no_model_alive(sfts: dict[str, sftkit.SFT]) -> None:
    model: Any = pico.make_model()
    sfts["a"].apply_to(model)
    gone = weakref.ref(model)
    del model
    gc.collect()
    assert gone() is None
