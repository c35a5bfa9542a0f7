"""DiffPruning: a relaxed mask in phase 1, then exactly K entries that phase 2 goes on with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sftkit.errors import SettingsError
from sftkit.format.sft import CsrDifference
from sftkit.training.lottery import learn, learn_each
from sftkit.training.settings import Settings, settings_for
from tests.training.observers import EndAt


def settings(base: Path, data: Path, objective: str = "mlm", **changes: Any) -> Settings:
    given: dict[str, Any] = {"steps": 6, "eval_every": 3, "lr": 1e-2, "method": "diff", "device": "cpu"} | changes
    if "density" not in given:
        given.setdefault("k", 150)
    return settings_for(objective, data=(str(data),), base=base, base_name="pico", **given)


def mean_size(sft: CsrDifference) -> float:
    return float(np.mean(np.abs(np.concatenate([matrix.data for matrix in sft.parameters.values()]))))


@pytest.mark.parametrize("objective", ["mlm", "pos"])
def test_phi_has_exactly_k_entries(objective: str, pico_base: Path, corpus: Path, treebank: Path) -> None:
    result = learn(settings(pico_base, corpus if objective == "mlm" else treebank, objective))
    assert (result.sft.k, result.sft.metadata.method) == (150, "diff")
    assert result.phase1 is not None
    assert result.phase1.steps == 6


def test_phase_2_goes_on_from_the_values_of_phase_1(pico_base: Path, corpus: Path) -> None:
    long, short = (
        learn(settings(pico_base, corpus, phase1_steps=steps, steps=1, eval_every=100)).sft for steps in (16, 1)
    )
    assert mean_size(short) < 0.021  # a step of phase 1 and one of phase 2 move an entry by at most lr each
    assert mean_size(long) > 0.03


def test_the_penalty_decides_together_with_the_loss(pico_base: Path, corpus: Path) -> None:
    digests = {learn(settings(pico_base, corpus, l0=l0)).sft.digest for l0 in (0.0, 1.0)}
    assert len(digests) == 2


def test_several_densities_give_what_each_alone_gives(pico_base: Path, corpus: Path) -> None:
    densities = (0.01, 0.05)
    together = [result.sft.digest for result in learn_each(settings(pico_base, corpus, density=0.01), densities)]
    assert together == [learn(settings(pico_base, corpus, density=density)).sft.digest for density in densities]


@pytest.mark.parametrize("step", [4, 6, 10])
def test_a_run_that_was_interrupted_ends_the_same(step: int, pico_base: Path, corpus: Path, tmp_path: Path) -> None:
    made = settings(pico_base, corpus)
    with pytest.raises(KeyboardInterrupt):
        learn(made, EndAt(step), run_dir=tmp_path / "run")
    assert learn(made, run_dir=tmp_path / "run").sft.digest == learn(made).sft.digest


@pytest.mark.parametrize(
    "changes",
    [{"criterion": "fisher"}, {"iterations": 2}, {"rewind_to": 3}, {"l0": -1.0}, {"l0": 0.1, "method": "lottery"}],
    ids=str,
)
def test_options_of_the_other_method_are_refused(changes: dict[str, Any], pico_base: Path, corpus: Path) -> None:
    with pytest.raises(SettingsError, match="--"):
        settings(pico_base, corpus, **changes)
