"""The memory and the traffic that a run's header promises are what training takes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from sftkit.modeling.backbone import backbone_parameters
from sftkit.modeling.sparse import sparse_parameters
from sftkit.training import memory
from sftkit.training.lottery import learn
from sftkit.training.observer import Observer, RunPlan
from sftkit.training.selection.movable import freeze
from sftkit.training.selection.ranking import at_random
from sftkit.training.settings import settings_for
from tests.helpers import pico

K = 300


@pytest.fixture
def sizes() -> memory.Sizes:
    return memory.Sizes(weights=4000, maskable=900, largest=500, head=50, k=K)


def bytes_of(optimizer: torch.optim.Optimizer, parameters: list[nn.Parameter]) -> tuple[int, int]:
    """Bytes of gradients and of moments."""
    moments = sum(state[name].nbytes for state in optimizer.state.values() for name in ("exp_avg", "exp_avg_sq"))
    return sum(p.grad.nbytes for p in parameters if p.grad is not None), moments


def test_phi_takes_16_bytes_an_entry_and_its_positions_and_theta_4_each() -> None:
    model = pico.make_model()
    maskable = freeze(model, is_task=True, patterns=()).maskable
    chosen = at_random(maskable, K, 0).positions
    with sparse_parameters(model, {name: torch.from_numpy(at) for name, at in chosen.items()}) as phi:
        optimizer = torch.optim.AdamW([phi.phi])
        model(input_ids=torch.arange(5, 100)[None, :60], labels=torch.arange(5, 65)[None]).loss.backward()
        optimizer.step()
        gradients, moments = bytes_of(optimizer, [phi.phi])
        needed = memory.phase2(memory.Sizes(0, 0, 0, head=0, k=K))
        assert phi.phi.nbytes + gradients + moments == needed["φ"] == 16 * K
        assert sum(delta.positions.nbytes for delta in phi.deltas.values()) == needed["positions"] == 4 * K
        assert sum(delta.theta.nbytes for delta in phi.deltas.values()) == needed["θ at φ"] == 4 * K


def test_phase_1_takes_a_gradient_and_two_moments_of_all_that_moves() -> None:
    model = pico.make_model()
    freeze(model, is_task=True, patterns=())
    moving = [parameter for parameter in model.parameters() if parameter.requires_grad]
    maskable = sum(parameter.numel() for parameter in backbone_parameters(model).values())
    optimizer = torch.optim.AdamW(moving)
    model(input_ids=torch.arange(5, 100)[None, :60], labels=torch.arange(5, 65)[None]).loss.backward()
    optimizer.step()
    head = sum(parameter.numel() for parameter in moving) - maskable
    needed = memory.phase1(memory.Sizes(0, maskable, 0, head, K), settings_for("pos"))
    assert bytes_of(optimizer, moving) == (needed["gradients"], needed["moments"])


@pytest.mark.parametrize(
    ("changes", "more"), [({}, set()), ({"l1": 0.1}, {"θ(0)"}), ({"criterion": "fisher"}, {"scores"})]
)
def test_what_else_phase_1_keeps_is_named(changes: dict[str, Any], more: set[str], sizes: memory.Sizes) -> None:
    plain = memory.phase1(sizes, settings_for("pos"))
    assert set(memory.phase1(sizes, settings_for("pos", **changes))) - set(plain) == more


def test_streaming_takes_weights_a_score_a_parameter_and_one_gradient() -> None:
    sizes = memory.Sizes(weights=2000, maskable=900, largest=500, head=50, k=K, width=2)
    made = settings_for("mlm", selection="streaming", base_dtype="bf16")
    assert memory.phase1(sizes, made) == {"weights": 2000, "scores": 3600, "one gradient": 1000, "head": 600}
    assert memory.phase2(sizes)["θ at φ"] == 2 * K


def test_sharing_out_divides_everything_but_positions_and_one_gradient() -> None:
    sizes = {"weights": 2000, "maskable": 900, "largest": 500, "head": 50, "k": K}
    alone, shared = (memory.phase2(memory.Sizes(**sizes, processes=n, fsdp=n > 1)) for n in (1, 2))
    whole = {"positions", "one gradient"}
    assert shared == {what: count if what in whole else count // 2 for what, count in alone.items()}


def test_phase_2_sums_the_gradients_of_phi_and_the_head_over_processes(sizes: memory.Sizes) -> None:
    assert memory.reduced1(sizes, settings_for("pos")) == 4 * (900 + 50)
    assert memory.reduced2(sizes) == 4 * (K + 50)


class _Plans(Observer):
    def __init__(self) -> None:
        self.plans: list[RunPlan] = []

    def planned(self, plan: RunPlan) -> None:
        self.plans.append(plan)


@pytest.mark.parametrize(("method", "phases"), [("lottery", ["phase 1", "phase 2"]), ("random", ["phase 2"])])
def test_a_run_promises_the_memory_of_its_phases(method: str, phases: list[str], pico_base: Path, corpus: Path) -> None:
    plans = _Plans()
    given: dict[str, Any] = {"steps": 1, "k": K, "device": "cpu", "method": method}
    learn(settings_for("mlm", data=(str(corpus),), base=pico_base, base_name="pico", **given), plans)
    (plan,) = plans.plans
    assert list(plan.memory) == phases
    assert (plan.device, plan.processes, plan.reduced) == ("cpu", 1, {})
