"""φ as the parameter: it trains as masked dense training would, and leaves θ as it was."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from sftkit.algebra.arithmetic import added
from sftkit.checkpoints.checkpoint import numpy_to_tensor, tensor_to_numpy
from sftkit.modeling import sparse
from sftkit.modeling.backbone import backbone_parameters, flat
from sftkit.modeling.sparse import SparsePhi, sparse_parameters
from tests.helpers import pico


def _batch(seed: int) -> dict[str, torch.Tensor]:
    ids = torch.randint(5, pico.VOCABULARY, (4, 12), generator=torch.Generator().manual_seed(seed))
    return {"input_ids": ids, "labels": ids.clone()}


def _positions(model: Any, share: float = 0.1) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    return {
        name: torch.rand(parameter.numel(), generator=generator).lt(share).nonzero().reshape(-1)
        for name, parameter in backbone_parameters(model).items()
    }


@pytest.mark.parametrize("kind", [{"fused": True}, {"foreach": True}, {"foreach": False}], ids=str)
@pytest.mark.parametrize("model_type", ["bert", "xlm-roberta", "distilbert", "gpt2"])
def test_twenty_steps_of_adamw_equal_masked_dense_training(model_type: str, kind: dict[str, bool]) -> None:
    dense, sparse = (pico.make_model(model_type, tie_word_embeddings=True).eval() for _ in range(2))
    positions = _positions(dense)
    masks = {
        name: torch.zeros(parameter.numel()).index_fill_(0, positions[name], 1.0).view_as(parameter)
        for name, parameter in backbone_parameters(dense).items()
    }
    weights = backbone_parameters(dense)
    # eps well above rounding noise: the gradient of a key bias is zero but for that, and Adam would divide it by itself
    optimizer = torch.optim.AdamW(weights.values(), lr=1e-2, weight_decay=0.0, eps=1e-4)
    for step in range(20):
        optimizer.zero_grad()
        dense(**_batch(step)).loss.backward()
        for name, weight in weights.items():
            weight.grad = None if weight.grad is None else weight.grad * masks[name]
        optimizer.step()
    with sparse_parameters(sparse, {n: p for n, p in positions.items() if len(p)}) as phi:
        small = torch.optim.AdamW([phi.phi], lr=1e-2, weight_decay=0.0, eps=1e-4, **kind)  # type: ignore[arg-type]
        for step in range(20):
            small.zero_grad()
            sparse(**_batch(step)).loss.backward()
            small.step()
        for name, weight in backbone_parameters(dense).items():
            trained = _weight(sparse, name)
            torch.testing.assert_close(trained, weight.detach(), atol=2e-5, rtol=0)


def _weight(model: Any, name: str) -> torch.Tensor:
    module = getattr(model, model.base_model_prefix)
    *path, last = name.split(".")
    for part in path:
        module = getattr(module, part)
    weight: torch.Tensor = getattr(module, last).detach()
    return weight


def test_afterwards_theta_is_back_to_the_bit_and_trainable_as_before() -> None:
    model = pico.make_model()
    before = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    with sparse_parameters(model, _positions(model)) as phi:
        with torch.no_grad():
            phi.phi.normal_()
        model(**_batch(0))
    after = dict(model.named_parameters())
    assert sorted(after) == sorted(before)
    assert all(torch.equal(after[name], value) for name, value in before.items())
    assert all(parameter.requires_grad for parameter in after.values())


def test_only_phi_and_the_head_are_trainable_inside() -> None:
    model = pico.make_model()
    positions = _positions(model)
    with sparse_parameters(model, positions):
        trainable = {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}
        assert trainable.pop("phi").numel() == sum(len(where) for where in positions.values())
        assert all(name.startswith("cls.") for name in trainable)


def test_gradient_checkpointing_gives_the_same_gradient() -> None:
    gradients = []
    for checkpointing in (False, True):
        model = pico.make_model().train()
        if checkpointing:
            pico.checkpoint_activations(model)
        for module in model.modules():
            if isinstance(module, torch.nn.Dropout):
                module.p = 0.0
        with sparse_parameters(model, _positions(model)) as phi:
            with torch.no_grad():
                phi.phi.add_(0.01)
            model(**_batch(3)).loss.backward()
            assert phi.phi.grad is not None
            gradients.append(phi.phi.grad)
    torch.testing.assert_close(gradients[0], gradients[1])


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_weights_are_rounded_as_composing_rounds_them(dtype: torch.dtype) -> None:
    generator = torch.Generator().manual_seed(0)
    weight = torch.randn(4000, generator=generator).to(dtype)
    phi = torch.randn(4000, generator=generator) * 10.0 ** torch.randint(-6, 1, (4000,), generator=generator)
    composed = numpy_to_tensor(added(tensor_to_numpy(weight, "w").copy(), phi.double().numpy(), "w"))
    sparse = SparsePhi({"w": weight}, {"w": torch.arange(4000)})
    with torch.no_grad():
        sparse.phi.copy_(phi)
        assert torch.equal(sparse.deltas["w"](weight), composed)


def test_steps_too_small_for_bfloat16_add_up_in_phi() -> None:
    weight = torch.ones(1, dtype=torch.bfloat16)
    sparse = SparsePhi({"w": weight}, {"w": torch.zeros(1, dtype=torch.int64)})
    seen = []
    for _ in range(5):
        with torch.no_grad():
            sparse.phi.add_(1e-3)
            seen.append(float(sparse.deltas["w"](weight)))
    assert seen == [1.0, 1.0, 1.0, 1.0078125, 1.0078125]


@pytest.mark.slow  # importing the compiler takes ten seconds
@pytest.mark.filterwarnings("ignore")  # dynamo's own, about what it traces
def test_torch_compile_gives_the_same_gradient() -> None:
    gradients = []
    for compiled in (False, True):
        model = pico.make_model().eval()
        with sparse_parameters(model, _positions(model)) as phi:
            run = torch.compile(model, backend="eager") if compiled else model
            small = torch.optim.SGD([phi.phi], lr=0.1)
            for step in range(3):
                small.zero_grad()
                run(**_batch(step)).loss.backward()
                small.step()
            gradients.append(phi.phi.detach())
    torch.testing.assert_close(gradients[0], gradients[1])
    assert float(gradients[0].abs().max()) > 1e-3


def test_all_of_phi_is_one_tensor_and_is_written_once_a_step_however_many_batches_a_step_has(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model = pico.make_model().eval()
    written = []
    write = SparsePhi.write

    def counted(self: SparsePhi) -> None:
        written.append(self)
        write(self)

    monkeypatch.setattr(SparsePhi, "write", counted)
    with sparse_parameters(model, _positions(model)) as phi:
        optimizer = torch.optim.AdamW([p for p in model.parameters() if p is phi.phi], lr=1e-2, fused=True)
        for _ in range(3):
            optimizer.zero_grad()
            for batch in range(4):
                model(**_batch(batch)).loss.backward()
            optimizer.step()
    assert len(written) == 3


def test_weights_that_are_views_of_one_storage_train_as_others_do() -> None:
    gradients = []
    for fused in (False, True):
        model: Any = pico.make_model().eval()
        if fused:
            for layer in model.bert.encoder.layer:
                parts = [layer.attention.self.query, layer.attention.self.key, layer.attention.self.value]
                whole = torch.cat([part.weight.detach() for part in parts])
                for part, rows in zip(parts, whole.chunk(3), strict=True):
                    part.weight.data = rows
        with sparse_parameters(model, _positions(model)) as phi:
            optimizer = torch.optim.SGD([phi.phi], lr=0.1)
            for step in range(3):
                optimizer.zero_grad()
                model(**_batch(step)).loss.backward()
                optimizer.step()
            gradients.append(phi.phi.detach())
    torch.testing.assert_close(gradients[0], gradients[1])


@pytest.mark.parametrize("written", [0, 1, 37, 500, 1 << 22])
def test_theta_and_phi_are_written_the_same_however_many_weights_at_a_time(
    written: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sparse, "_WRITTEN", written)
    model = pico.make_model()
    before = {name: flat(weight).clone() for name, weight in backbone_parameters(model).items()}
    positions = {name: where for name, where in _positions(model, 0.02).items() if len(where)}
    with sparse_parameters(model, positions) as phi:
        with torch.no_grad():
            phi.phi.copy_(torch.arange(1, len(phi.phi) + 1))
        phi.refresh()
        at = 0
        for name, where in positions.items():
            expected = before[name].index_add(0, where, torch.arange(at + 1, at + len(where) + 1.0))
            assert torch.equal(_weight(model, name).reshape(-1), expected)
            at += len(where)


def test_weights_of_several_dtypes_are_each_rounded_once() -> None:
    weights = {"a": torch.ones(2, dtype=torch.bfloat16), "b": torch.ones(2)}
    sparse = SparsePhi(weights, {name: torch.tensor([0]) for name in weights})
    with torch.no_grad():
        sparse.phi.fill_(1 / 512 + 1e-7)
    sparse.write()
    assert weights["a"].tolist() == [1.0, 1.0]
    assert weights["b"].tolist() == [1 + 1 / 512 + float(torch.tensor(1e-7)), 1.0] or weights["b"][0] > 1.0019
    sparse.restore()
    assert all(torch.equal(weight, torch.ones_like(weight)) for weight in weights.values())


@pytest.mark.parametrize("checkpointing", [False, True])
def test_a_layers_gradients_are_gathered_before_those_of_the_layer_below_are_made(checkpointing: bool) -> None:
    model: Any = pico.make_model().train()
    if checkpointing:
        pico.checkpoint_activations(model)
    gathered: list[str] = []
    below: list[str] = []
    with sparse_parameters(model, _positions(model)) as phi:
        names = {delta: name for name, delta in phi.deltas.items()}
        add = phi.add_gradient

        def note(delta: Any, gradient: torch.Tensor, *part: Any) -> None:
            gathered.append(names[delta])
            add(delta, gradient, *part)

        phi.add_gradient = note  # type: ignore[method-assign, assignment]
        for _ in range(2):
            gathered.clear()
            first = model.bert.encoder.layer[0]
            hook = first.register_forward_hook(
                lambda _, __, out: out.register_hook(lambda _: below.append(" ".join(gathered))) and None
            )
            model(**_batch(0)).loss.backward()
            hook.remove()
    upper = [name for name in names.values() if name.startswith("encoder.layer.1.")]
    assert upper
    assert all(name in below[-1] for name in upper)


@pytest.mark.parametrize("padding", [None, 3])
@pytest.mark.parametrize("elements", [1, 40, 1 << 24])
def test_an_embeddings_gradient_is_torchs_own_however_few_rows_are_made_at_a_time(
    padding: int | None, elements: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sftkit.modeling.sparse._ROWS_OF", elements)
    generator = torch.Generator().manual_seed(0)
    weight = torch.randn(30, 8, generator=generator)
    positions = torch.rand(240, generator=generator).lt(0.3).nonzero()[:, 0]
    ids = torch.randint(0, 30, (3, 17), generator=generator)
    leaf = weight.clone().requires_grad_()
    factor = torch.randn(3, 17, 8, generator=generator)
    (torch.nn.functional.embedding(ids, leaf, padding) * factor).sum().backward()
    sparse = SparsePhi({"w": weight}, {"w": positions})
    delta = sparse.deltas["w"]
    looked_up = delta.embed(weight, padding, ids) * factor / 2  # twice, and as a matrix, too
    (looked_up + delta.embed(weight, padding, ids) * factor / 2 + 0 * delta(weight).sum()).sum().backward()
    assert leaf.grad is not None
    torch.testing.assert_close(sparse.phi.grad, leaf.grad.flatten()[positions])


def test_a_weight_without_an_entry_of_phi_is_no_trouble() -> None:
    model = pico.make_model().eval()
    positions = {name: at[:0] if "embeddings" in name else at for name, at in _positions(model).items()}
    with sparse_parameters(model, positions) as phi:
        model(**_batch(0)).loss.backward()
        assert phi.phi.grad is not None
