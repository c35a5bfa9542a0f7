"""Exactly K, the largest, ties to the lowest position."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from sftkit.algebra import topk
from sftkit.errors import SettingsError
from sftkit.training.engine.snapshot import Snapshot
from sftkit.training.selection.ranking import Mask, at_random, changes, check_finite, highest


def _moved(path: Path, deltas: dict[str, list[float]]) -> tuple[dict[str, nn.Parameter], Snapshot]:
    snapshot = Snapshot(path / "start.safetensors")
    snapshot.save({name: torch.zeros(len(values)) for name, values in deltas.items()})
    return {name: nn.Parameter(torch.tensor(values)) for name, values in deltas.items()}, snapshot


def most_changed(maskable: dict[str, nn.Parameter], before: Snapshot, k: int) -> Mask:
    return highest(maskable, changes(maskable, before), k)


def test_takes_the_largest_over_all_parameters_together(tmp_path: Path) -> None:
    maskable, start = _moved(tmp_path, {"b": [0.0, 3.0, -5.0], "a": [4.0, -0.1]})
    chosen = most_changed(maskable, start, 3)
    assert {name: where.tolist() for name, where in chosen.positions.items()} == {"a": [0], "b": [1, 2]}


def test_ties_go_to_the_lowest_position_of_the_first_name(tmp_path: Path) -> None:
    maskable, start = _moved(tmp_path, {"b": [1.0, 1.0], "a": [-1.0, 2.0, 1.0]})
    chosen = most_changed(maskable, start, 3)
    assert {name: where.tolist() for name, where in chosen.positions.items()} == {"a": [0, 1, 2]}


def test_entries_that_did_not_move_are_taken_last_and_counted(tmp_path: Path) -> None:
    maskable, start = _moved(tmp_path, {"a": [0.0, 0.0, 2.0, 0.0]})
    chosen = most_changed(maskable, start, 3)
    assert (chosen.k, chosen.unmoved, chosen.positions["a"].tolist()) == (3, 2, [0, 1, 2])


@pytest.mark.parametrize("candidates", [0, 1 << 22], ids=["third pass", "two passes"])
@pytest.mark.parametrize("k", [1, 3_000, 200_000, 600_000, 600_001])
@pytest.mark.parametrize("kind", ["equal", "close", "any"])
def test_is_exact_in_many_blocks(
    kind: str, k: int, candidates: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(topk, "_CANDIDATES", candidates)
    rng = np.random.default_rng(0)
    whole = rng.integers(-3, 4, 600_001).astype(np.float32)
    values = {"equal": whole, "close": 1 + whole * np.float32(2**-20), "any": rng.standard_normal(600_001, np.float32)}[
        kind
    ]
    snapshot = Snapshot(tmp_path / "start.safetensors")
    snapshot.save({"a": torch.zeros(len(values))})
    chosen = most_changed({"a": nn.Parameter(torch.from_numpy(values.copy()))}, snapshot, k)
    wanted = np.sort(np.lexsort((np.arange(len(values)), -np.abs(values)))[:k])
    assert np.array_equal(chosen.positions["a"], wanted)


def test_a_diverged_phase_is_an_error_and_not_a_selection(tmp_path: Path) -> None:
    maskable, _ = _moved(tmp_path, {"a": [1.0, float("nan")]})
    with pytest.raises(SettingsError, match="diverged"):
        check_finite(maskable)


def test_a_random_mask_has_exactly_k_entries_and_follows_its_seed() -> None:
    maskable = {"a": nn.Parameter(torch.zeros(300, 7)), "b": nn.Parameter(torch.zeros(50))}
    first, again, other = (at_random(maskable, 333, seed) for seed in (1, 1, 2))
    assert first.k == other.k == 333
    assert all(np.array_equal(first.positions[name], again.positions[name]) for name in first.positions)
    assert any(not np.array_equal(first.positions[name], other.positions[name]) for name in first.positions)


def test_a_random_mask_spreads_over_parameters_by_their_size() -> None:
    maskable = {"a": nn.Parameter(torch.zeros(30_000)), "b": nn.Parameter(torch.zeros(10_000))}
    chosen = at_random(maskable, 4_000, seed=0)
    assert 2_850 < len(chosen.positions["a"]) < 3_150  # 3,000 expected, standard deviation 26
