"""Mixed precision and gradient checkpointing, through both phases."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sftkit.training.lottery import Result, learn
from sftkit.training.settings import settings_for
from tests.helpers import pico


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Without dropout, so that computing activations twice may not draw twice."""
    folder = tmp_path_factory.mktemp("base")
    return pico.save_base(folder, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0)


def train(base: Path, corpus: Path, **changes: Any) -> Result:
    given: dict[str, Any] = {"steps": 6, "eval_every": 3, "lr": 1e-2, "k": 200, "device": "cpu"} | changes
    return learn(settings_for("mlm", data=(str(corpus),), base=base, base_name="pico", **given))


@pytest.fixture(scope="module")
def plain(base: Path, corpus: Path) -> Result:
    return train(base, corpus)


def test_gradient_checkpointing_gives_the_same_phi(plain: Result, base: Path, corpus: Path) -> None:
    other = train(base, corpus, checkpoint_gradients=True).sft
    assert other.names == plain.sft.names
    for name in other.names:
        (at, values), (wanted_at, wanted) = other.entries(name), plain.sft.entries(name)
        assert np.array_equal(at, wanted_at)
        assert np.array_equal(values, wanted)


@pytest.mark.parametrize("precision", ["bf16", "f16"])
def test_half_precision_learns_about_the_same_in_float32_phi(
    precision: str, plain: Result, base: Path, corpus: Path
) -> None:
    result = train(base, corpus, precision=precision)
    assert result.sft.k == 200
    assert result.phase2.best_value == pytest.approx(plain.phase2.best_value, rel=1e-2)
    assert result.phase2.history[-1][1] < result.phase2.history[0][1]
    values = np.concatenate([matrix.data for matrix in result.sft.parameters.values()])
    assert (values.astype(np.float16) != values).any()
