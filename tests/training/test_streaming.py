"""Selection from gradients at θ(0): nothing dense but the scores, exactly K entries, mostly those of phase 1."""

from __future__ import annotations

import weakref
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from sftkit.errors import SettingsError
from sftkit.tasks.options import TaskOptions
from sftkit.training.lottery import Result, learn
from sftkit.training.selection.streaming import GradientSums
from sftkit.training.settings import Settings, settings_for
from tests.helpers import pico
from tests.training.observers import EndAt


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Without dropout, so that the gradients are those of the text alone."""
    folder = tmp_path_factory.mktemp("base")
    return pico.save_base(folder, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0)


def settings(base: Path, corpus: Path, **changes: Any) -> Settings:
    given: dict[str, Any] = {
        "steps": 12, "eval_every": 6, "lr": 1e-3, "k": 400, "device": "cpu", "selection": "streaming", "l1": 0.0,
    }  # fmt: skip
    return settings_for("mlm", data=(str(corpus),), base=base, base_name="pico", **(given | changes))


def positions(result: Result) -> set[tuple[str, int]]:
    return {(name, int(at)) for name in result.sft.names for at in result.sft.entries(name)[0]}


@pytest.mark.parametrize("criterion", ["change", "fisher"])
def test_phi_has_exactly_k_entries(criterion: str, base: Path, corpus: Path) -> None:
    result = learn(settings(base, corpus, criterion=criterion, steps=3))
    assert result.sft.k == 400
    assert result.phase1 is not None
    assert result.phase1.steps == 3


def test_it_shares_many_times_more_entries_with_full_fine_tuning_than_chance_would(base: Path, corpus: Path) -> None:
    few = TaskOptions(pack=False)  # tokens a step: where there are many, every row of the embeddings moves
    streamed, full = (learn(settings(base, corpus, selection=each, options=few)) for each in ("streaming", "full"))
    shared = len(positions(streamed) & positions(full)) / 400
    specs = full.sft.metadata.parameters
    maskable = sum(spec.size for name, spec in specs.items() if "LayerNorm" not in name)
    assert shared > 5 * 400 / maskable  # 7.4 times when this was written


def test_no_two_dense_gradients_are_there_at_once(base: Path, corpus: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[weakref.ref[torch.Tensor]] = []
    sizes = set[int]()
    add = GradientSums.add

    def checked(self: GradientSums, name: str, gradient: torch.Tensor) -> None:
        with_one = [name for name, parameter in self._maskable.items() if parameter.grad is not None]
        assert with_one == [name]
        assert not [each for each in seen if each() is not None]
        seen.append(weakref.ref(gradient))
        sizes.add(len(self._maskable))
        add(self, name, gradient)

    monkeypatch.setattr(GradientSums, "add", checked)
    learn(settings(base, corpus, steps=2))
    assert [len(seen)] == [2 * size for size in sizes]  # every maskable parameter in both steps


def test_theta_does_not_move_while_gradients_are_added_up(
    base: Path, corpus: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    held: list[dict[str, torch.Tensor]] = []
    scores, made = GradientSums.scores, GradientSums.__init__

    def values(maskable: Mapping[str, nn.Parameter]) -> dict[str, torch.Tensor]:
        return {name: parameter.detach().clone() for name, parameter in maskable.items()}

    def at_the_start(self: GradientSums, maskable: Mapping[str, nn.Parameter], criterion: str) -> None:
        made(self, maskable, criterion)
        held.append(values(maskable))

    def at_the_end(self: GradientSums) -> Any:
        held.append(values(self._maskable))
        return scores(self)

    monkeypatch.setattr(GradientSums, "__init__", at_the_start)
    monkeypatch.setattr(GradientSums, "scores", at_the_end)
    learn(settings(base, corpus, steps=2))
    first, last = held
    assert all(torch.equal(first[name], last[name]) for name in first)


def test_the_score_is_the_sum_over_the_root_mean_square_that_row_and_column_give() -> None:
    maskable = {"w": nn.Parameter(torch.zeros(3, 4)), "b": nn.Parameter(torch.zeros(5))}
    sums = GradientSums(maskable, "change")
    gradients = [{name: torch.randn(p.shape) for name, p in maskable.items()} for _ in range(4)]
    for each in gradients:
        for name, gradient in each.items():
            sums.add(name, gradient)
    scores = sums.scores()
    for name in maskable:
        total = torch.stack([each[name] for each in gradients]).sum(0).abs()
        squares = torch.stack([each[name] for each in gradients]).square().sum(0)
        if name == "w":
            squares = squares.sum(1, keepdim=True) * squares.sum(0, keepdim=True) / squares.sum()
        wanted = (total / squares.sqrt()).reshape(-1).numpy()
        np.testing.assert_allclose(scores(name, 0, total.numel()), wanted, rtol=1e-5)


def test_an_entry_that_no_gradient_reached_scores_0() -> None:
    sums = GradientSums({"w": nn.Parameter(torch.zeros(2, 3))}, "change")
    sums.add("w", torch.tensor([[0.0, 0.0, 0.0], [1.0, 0.0, -2.0]]))
    scores = sums.scores()("w", 0, 6)
    assert np.isfinite(scores).all()
    assert scores[[0, 1, 2, 4]].tolist() == [0, 0, 0, 0]


@pytest.mark.parametrize("criterion", ["change", "fisher"])
def test_a_run_that_was_interrupted_in_it_ends_the_same(
    criterion: str, base: Path, corpus: Path, tmp_path: Path
) -> None:
    made = settings(base, corpus, criterion=criterion, steps=4, eval_every=2)
    with pytest.raises(KeyboardInterrupt):
        learn(made, EndAt(3), run_dir=tmp_path / "run")
    assert learn(made, run_dir=tmp_path / "run").sft.digest == learn(made).sft.digest


def test_where_no_head_moves_phase_1_is_scored_at_its_start_and_its_end_alone_and_a_run_that_was_ended_in_it_goes_on(
    corpus: Path, tmp_path: Path
) -> None:
    base = pico.save_base(tmp_path / "gpt2", "gpt2")
    given: dict[str, Any] = {"steps": 6, "eval_every": 2, "k": 100, "device": "cpu", "selection": "streaming"}
    made = settings_for("clm", data=(str(corpus),), base=base, base_name="pico", **given)
    whole = learn(made)
    assert whole.phase1 is not None
    assert [step for step, _ in whole.phase1.history] == [0, 6]
    assert [step for step, _ in whole.phase2.history] == [0, 2, 4, 6]
    with pytest.raises(KeyboardInterrupt):
        learn(made, EndAt(5), run_dir=tmp_path / "run")
    assert (tmp_path / "run" / "phase1" / "checkpoint-4").exists()
    assert learn(made, run_dir=tmp_path / "run").sft.digest == whole.sft.digest


@pytest.mark.parametrize(
    "changes",
    [{"method": "random"}, {"criterion": "movement"}, {"rewind_to": 2}, {"precision": "f16"}, {"selection": "some"}],
    ids=str,
)
def test_what_does_not_go_with_it_is_refused(changes: dict[str, Any], base: Path, corpus: Path) -> None:
    with pytest.raises(SettingsError, match="--"):
        settings(base, corpus, **changes)


def test_several_processes_are_refused(base: Path, corpus: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(SettingsError, match="one process"):
        learn(settings(base, corpus))
