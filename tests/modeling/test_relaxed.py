"""DiffPruning's relaxed mask: the formulas, checked against autograd, and what it leaves of the model."""

from __future__ import annotations

import math

import pytest
import torch

from sftkit.modeling.backbone import backbone_parameters
from sftkit.modeling.relaxed import HIGH, LOW, RelaxedDelta, l0_slope, relaxed_parameters
from sftkit.training.engine.regularisers import l0_on
from tests.helpers import pico


def _delta(shape: tuple[int, ...] = (40, 50), log_alpha: float = 0.3) -> RelaxedDelta:
    delta = RelaxedDelta(torch.zeros(shape))
    delta.seed = 7
    with torch.no_grad():
        delta.w.normal_(generator=torch.Generator().manual_seed(1))
        delta.log_alpha.fill_(log_alpha)
    return delta


def _plain(delta: RelaxedDelta, theta: torch.Tensor) -> torch.Tensor:
    """The definition, for autograd to differentiate."""
    u = torch.rand(theta.shape, generator=torch.Generator().manual_seed(delta.seed)).clamp(1e-6, 1 - 1e-6)
    s = torch.sigmoid(u.log() - (1 - u).log() + delta.log_alpha)
    return theta + (s * (HIGH - LOW) + LOW).clamp(0, 1) * delta.w


def test_values_and_gradients_are_those_of_the_definition() -> None:
    theta, target = torch.randn(40, 50), torch.randn(40, 50)
    found, wanted = _delta(), _delta()
    results = found(theta), _plain(wanted, theta)
    torch.testing.assert_close(*results)
    for result in results:
        (result - target).square().sum().backward()
    torch.testing.assert_close(found.w.grad, wanted.w.grad)
    torch.testing.assert_close(found.log_alpha.grad, wanted.log_alpha.grad)


@pytest.mark.parametrize("log_alpha", [-2.0, 0.0, 1.5])
def test_z_is_0_as_often_as_the_expected_l0_norm_says(log_alpha: float) -> None:
    delta = _delta((400, 500), log_alpha)
    with torch.no_grad():
        delta.w.fill_(1.0)
    z = delta(torch.zeros(400, 500)).detach()
    expected = torch.tensor(log_alpha - math.log(-LOW / HIGH)).sigmoid()
    assert float((z != 0).float().mean()) == pytest.approx(float(expected), abs=0.005)
    assert bool((z == 1).any())
    assert float(z.min()) == 0.0


def test_the_penaltys_gradient_is_that_of_the_expected_l0_norm() -> None:
    log_alpha = torch.nn.Parameter(torch.linspace(-4, 6, 11))
    (0.5 * torch.sigmoid(log_alpha - math.log(-LOW / HIGH)).sum()).backward()
    assert log_alpha.grad is not None
    torch.testing.assert_close(0.5 * l0_slope(log_alpha.detach()), log_alpha.grad)
    before = log_alpha.grad.clone()
    regularise = l0_on([log_alpha], 0.5)
    assert regularise is not None
    regularise()
    torch.testing.assert_close(log_alpha.grad, 2 * before)


def test_masks_are_drawn_while_training_and_fixed_otherwise() -> None:
    model = pico.make_model(hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0)
    ids = torch.randint(5, pico.VOCABULARY, (2, 9))
    with relaxed_parameters(model, backbone_parameters(model)) as deltas, torch.no_grad():
        for delta in deltas.values():
            delta.w.normal_()
            delta.log_alpha.zero_()
        model.train()
        assert not torch.equal(model(ids).logits, model(ids).logits)
        model.eval()
        assert torch.equal(model(ids).logits, model(ids).logits)


def test_a_pass_has_one_mask_with_gradient_checkpointing_too() -> None:
    gradients = []
    for checkpointing in (False, True):
        model = pico.make_model(hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0).train()
        if checkpointing:
            pico.checkpoint_activations(model)
        ids = torch.randint(5, pico.VOCABULARY, (2, 9), generator=torch.Generator().manual_seed(3))
        with relaxed_parameters(model, backbone_parameters(model)) as deltas:
            with torch.no_grad():
                for delta in deltas.values():
                    delta.w.fill_(0.01)
            torch.manual_seed(5)
            model(ids, labels=ids).loss.backward()
            gradients.append(torch.cat([d.w.grad.reshape(-1) for d in deltas.values() if d.w.grad is not None]))
    torch.testing.assert_close(gradients[0], gradients[1])


def test_afterwards_the_model_is_as_it_was() -> None:
    model = pico.make_model()
    before = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    with relaxed_parameters(model, backbone_parameters(model)) as deltas, torch.no_grad():
        for delta in deltas.values():
            delta.w.normal_()
        model(torch.arange(5, 12)[None])
    after = dict(model.named_parameters())
    assert sorted(after) == sorted(before)
    assert all(torch.equal(after[name], value) for name, value in before.items())
    assert all(parameter.requires_grad for parameter in after.values())
