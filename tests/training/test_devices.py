"""One process computes on one device; processes, and phases, draw for themselves."""

from __future__ import annotations

import copy
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from transformers import TrainingArguments

from sftkit.modeling.backbone import backbone_parameters
from sftkit.modeling.sparse import sparse_parameters
from sftkit.training.engine.trainer import PhaseTrainer
from sftkit.training.lottery import learn
from sftkit.training.observer import Observer
from sftkit.training.settings import settings_for
from tests.helpers import pico


def replica_of(module: Any) -> Any:
    """A copy as torch's replicate makes them: new modules and parameters, everything else as it is."""
    made = {each: each._replicate_for_data_parallel() for each in module.modules()}
    for original, replica in made.items():
        for name, child in original._modules.items():
            replica._modules[name] = made[child] if child is not None else None
        for name, parameter in original._parameters.items():
            setattr(replica, name, parameter.clone() if parameter is not None else None)
    return made[module]


def test_a_replica_computes_with_theta_and_phi_after_a_fused_step() -> None:
    model = pico.make_model().eval()
    ids = torch.arange(5, 17)[None]
    positions = {name: torch.arange(min(50, p.numel())) for name, p in backbone_parameters(model).items()}
    with sparse_parameters(model, positions) as phi:
        optimizer = torch.optim.AdamW([phi.phi], lr=0.1, fused=True)
        model(input_ids=ids, labels=ids).loss.backward()
        optimizer.step()
        replica: Any = replica_of(model)
        with torch.no_grad():
            assert torch.equal(replica(input_ids=ids).logits, model(input_ids=ids).logits)


def test_one_process_gives_the_model_to_one_device_however_many_there_are(
    pico_base: Path, corpus: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_up: Any = TrainingArguments._setup_devices

    def with_four(self: TrainingArguments) -> torch.device:
        device: torch.device = set_up.func(self)
        self._n_gpu = 4
        return device

    wrapped = []

    def forward(self: nn.DataParallel[nn.Module], **batch: Any) -> Any:
        wrapped.append(self)
        return self.module(**batch)

    cached = cached_property(with_four)
    cached.__set_name__(TrainingArguments, "_setup_devices")
    monkeypatch.setattr(TrainingArguments, "_setup_devices", cached)
    monkeypatch.setattr(nn.DataParallel, "forward", forward)
    settings = settings_for("mlm", data=(str(corpus),), base=pico_base, base_name="pico", steps=2, k=50, device="cpu")
    assert learn(settings).phase2.steps == 2
    assert not wrapped


def test_processes_draw_dropout_from_generators_of_their_own(
    pico_base: Path, corpus: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seeds: dict[str, list[int]] = {}

    class Seeds(Observer):
        def step(self, step: int, loss: float | None) -> None:
            del step, loss
            seeds.setdefault(rank, []).append(torch.initial_seed())

    settings = settings_for("mlm", data=(str(corpus),), base=pico_base, base_name="pico", steps=1, k=50, device="cpu")
    monkeypatch.setattr("sftkit.training.loading.check_launch", lambda: None)  # that the other process is not there
    for rank in ("0", "1"):
        monkeypatch.setenv("RANK", rank)
        learn(settings, Seeds())
    assert len({seed for each in seeds.values() for seed in each}) == 4  # two processes, two phases


def test_phases_draw_other_examples_and_other_masks(
    pico_base: Path, corpus: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[list[list[int]]] = []

    class Spy(PhaseTrainer):
        def training_step(self, *args: Any, **kwargs: Any) -> torch.Tensor:
            seen[-1].append(args[1]["input_ids"].flatten().tolist())
            loss: torch.Tensor = super().training_step(*args, **kwargs)
            return loss

        def train(self, *args: Any, **kwargs: Any) -> Any:
            seen.append([])
            return super().train(*args, **kwargs)

    monkeypatch.setattr("sftkit.training.engine.running.PhaseTrainer", Spy)
    settings = settings_for("mlm", data=(str(corpus),), base=pico_base, base_name="pico", steps=3, k=50, device="cpu")
    learn(settings)
    first = copy.deepcopy(seen)
    seen.clear()
    learn(settings)
    assert seen == first
    assert not [batch for batch in first[0] if batch in first[1]]


@pytest.mark.parametrize("model_type", ["nomic_bert", "jina_embeddings_v3"])
def test_models_whose_query_key_and_value_are_one_matrix_learn_both_phases(
    model_type: str, corpus: Path, tmp_path: Path
) -> None:
    base = pico.save_base(tmp_path / "base", model_type)
    settings = settings_for(
        "mlm", data=(str(corpus),), base=base, base_name="pico", steps=4, density=0.3, lr=1e-2, device="cpu"
    )
    found = learn(settings)
    assert found.phase2.steps == 4
    assert "layers.0.self_attn.v_proj.weight" in found.sft.names
