"""What phase 1 ranks by, where gradients are not finite."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from sftkit.errors import SettingsError
from sftkit.training.engine.regularisers import l1_towards
from sftkit.training.engine.snapshot import Snapshot
from sftkit.training.selection.criteria import criterion_of


def observed(name: str, tmp_path: Path, *gradients: list[float]) -> tuple[dict[str, nn.Parameter], torch.Tensor]:
    weight = nn.Parameter(torch.tensor([1.0, 2.0, 3.0]))
    theta = {"w": torch.zeros(3)}
    criterion = criterion_of(name, {"w": weight}, Snapshot(tmp_path / "none"), theta)
    assert criterion.observe is not None
    for gradient in gradients:
        weight.grad = torch.tensor(gradient)
        criterion.observe()
    return {"w": weight}, criterion.tensors["score:w"]


@pytest.mark.parametrize(("name", "wanted"), [("fisher", [1.0, 4.0, 9.0]), ("movement", [-1.0, -4.0, -9.0])])
@pytest.mark.parametrize("skipped", [float("nan"), float("inf")])
def test_a_step_that_the_optimizer_skips_is_left_out(
    name: str, wanted: list[float], skipped: float, tmp_path: Path
) -> None:
    _, sums = observed(name, tmp_path, [0.0, skipped, 1.0], [1.0, 2.0, 3.0], [skipped, 0.0, 0.0])
    assert sums.tolist() == wanted


def test_scores_that_are_not_finite_are_refused(tmp_path: Path) -> None:
    criterion = criterion_of("fisher", {"w": nn.Parameter(torch.ones(2))}, Snapshot(tmp_path / "none"), {})
    criterion.tensors["score:w"][0] = float("inf")
    with pytest.raises(SettingsError, match="w is not finite"):
        criterion.scores()


@pytest.mark.parametrize("shape", [(), (3,), (4, 5)])
def test_l1_adds_the_sign_of_what_moved_however_many_tensors_are_worked_on_at_a_time(
    shape: tuple[int, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sftkit.training.engine.regularisers._AT_A_TIME", 7)
    generator = torch.Generator().manual_seed(0)
    weights = {str(i): nn.Parameter(torch.randn(shape, generator=generator)) for i in range(5)}
    theta = {name: weight.detach() + torch.randn(shape, generator=generator) for name, weight in weights.items()}
    for weight in list(weights.values())[1:]:
        weight.grad = torch.zeros(shape)
    regularise = l1_towards(weights, theta, 0.5)
    assert regularise is not None
    regularise()
    assert weights["0"].grad is None
    for name, weight in list(weights.items())[1:]:
        assert weight.grad is not None
        wanted = 0.5 * (weight.detach() - theta[name]).sign()
        np.testing.assert_array_equal(weight.grad.numpy(), wanted.numpy())
