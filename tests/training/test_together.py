"""What processes do together: scoring in parts, telling whether gradients reach everything, talking on shared GPUs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
import torch
from torch import nn

from sftkit.errors import SettingsError
from sftkit.tasks.base import mean_over_labels
from sftkit.tasks.evaluator import Evaluator
from sftkit.tasks.tally import Tally
from sftkit.training.engine import together
from sftkit.training.engine.ranks import check_launch
from sftkit.training.engine.reached import reaches_all
from sftkit.training.lottery import tell_of_other_devices
from sftkit.training.observer import Observer
from tests.helpers import pico


class Doubling(Evaluator):
    examples = 7

    def predict(self, model: Any, batch_size: int) -> list[Any]:
        del model
        self.seen: list[int] = []

        def look(indices: list[int]) -> list[int]:
            self.seen += indices
            return [2 * i for i in indices]

        return self.by_batch([5, 1, 4, 2, 7, 3, 6], batch_size, look)

    def tally(self, predicted: Sequence[Any]) -> Tally:
        raise NotImplementedError


def test_processes_that_share_the_scoring_each_look_at_a_part_and_have_all_of_it() -> None:
    def rest_of(mine: dict[int, Any]) -> list[dict[int, Any]]:
        return [mine, {i: 2 * i for i in range(7) if i not in mine}]

    processes = [Doubling(), Doubling()]
    for number, process in enumerate(processes):
        process.sharing = (number, 2, rest_of)
        assert process.predict(None, 2) == [0, 2, 4, 6, 8, 10, 12]
        assert process.seen
    assert sorted(processes[0].seen + processes[1].seen) == list(range(7))


def batch_of() -> dict[str, torch.Tensor]:
    ids = torch.arange(5, 17)[None]
    return {"input_ids": ids, "labels": ids}


def loss_of(model: Any, batch: dict[str, torch.Tensor]) -> torch.Tensor:
    labels = batch.pop("labels")
    loss: torch.Tensor = mean_over_labels(model(**batch), labels)
    return loss


def test_gradients_reach_all_of_a_model_that_uses_all_of_its_parameters() -> None:
    model = pico.make_model()
    assert reaches_all(model, model.config, loss_of, batch_of())
    assert all(parameter.grad is None for parameter in model.parameters())


def test_a_parameter_that_nothing_uses_is_seen() -> None:
    model = pico.make_model()
    model.register_parameter("unused", nn.Parameter(torch.zeros(3)))
    assert not reaches_all(model, model.config, loss_of, batch_of())
    model.unused.requires_grad_(False)
    assert reaches_all(model, model.config, loss_of, batch_of())


def test_layers_that_are_dropped_at_random_count_as_unused() -> None:
    model = pico.make_model()
    model.config.encoder_layerdrop = 0.1
    assert not reaches_all(model, model.config, loss_of, batch_of())


@pytest.mark.parametrize(("gpus", "processes", "wanted"), [(1, "2", "gloo"), (2, "2", None), (4, "1", None)])
def test_more_processes_than_gpus_talk_over_gloo(
    gpus: int, processes: str, wanted: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
    monkeypatch.setenv("LOCAL_WORLD_SIZE", processes)
    assert together.backend("cuda") == wanted
    assert together.backend("cpu") is None


def test_a_note_says_how_to_use_several_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    notes: list[str] = []

    class Listener(Observer):
        def note(self, text: str) -> None:
            notes.append(text)

    monkeypatch.setattr(torch.cuda, "device_count", lambda: 4)
    tell_of_other_devices(torch.device("cuda"), Listener())
    assert "one of 4 GPUs is used; all of them with torchrun --nproc-per-node 4 -m sftkit train …" in notes


def test_examples_that_are_scored_in_several_windows_each_are_counted_as_examples() -> None:
    evaluator, told = Doubling(), list[tuple[int, int]]()
    evaluator.examples, evaluator.watch = 5, lambda done, total: told.append((done, total))
    evaluator.by_batch([1] * 10, 4, lambda indices: indices)
    assert told == [(2, 5), (4, 5), (5, 5)]


@pytest.mark.parametrize(
    ("environment", "told"),
    [
        ({"WORLD_SIZE": "x"}, "WORLD_SIZE is 'x'"),
        ({"LOCAL_RANK": ""}, "LOCAL_RANK is ''"),
        ({"WORLD_SIZE": "2", "RANK": "0"}, "and LOCAL_RANK, MASTER_ADDR, MASTER_PORT not set"),
        ({"WORLD_SIZE": "2", "RANK": "5", "LOCAL_RANK": "0", "MASTER_ADDR": "x", "MASTER_PORT": "1"}, "RANK is 5"),
    ],
)
def test_half_an_environment_of_several_processes_is_told(
    environment: dict[str, str], told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError, match=told):
        check_launch()
