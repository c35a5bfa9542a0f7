"""Bases held in bfloat16 while φ and the head are float32."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from sftkit.algebra.arithmetic import Weighted
from sftkit.checkpoints.checkpoint import Checkpoint
from sftkit.checkpoints.fingerprint import fingerprint
from sftkit.composing.compose import compose
from sftkit.errors import SettingsError
from sftkit.evaluation.run import Scoring, evaluate
from sftkit.format.files import SftFile
from sftkit.format.writing import write
from sftkit.training.loading import load
from sftkit.training.lottery import learn
from sftkit.training.observer import Observer
from sftkit.training.settings import Settings, settings_for
from tests.helpers import pico
from tests.training.observers import EndAt

STREAMING = {"selection": "streaming"}


def save_bf16(path: Path, model_type: str) -> Path:
    pico.make_model(model_type).bfloat16().save_pretrained(path)
    pico.make_tokenizer().save_pretrained(path)
    return path


def settings(base: Path, corpus: Path, objective: str = "clm", **changes: Any) -> Settings:
    given: dict[str, Any] = {
        "steps": 8, "eval_every": 4, "lr": 1e-2, "k": 200, "device": "cpu", "max_length": 64, "base_dtype": "bf16",
        "dev": (str(corpus),),
    }  # fmt: skip
    return settings_for(objective, data=(str(corpus),), base=base, base_name="pico", **(given | changes))


@pytest.mark.parametrize(
    ("model_type", "objective", "how"),
    [("gpt2", "clm", STREAMING), ("llama", "clm", STREAMING), ("llama", "clm", {"method": "random"}),
     ("bert", "mlm", STREAMING), ("gpt2", "clm", {"method": "diff"})],
    ids=lambda value: "-".join(value.values()) if isinstance(value, dict) else value,
)  # fmt: skip
def test_it_trains_and_composes_into_the_bfloat16_base(
    model_type: str, objective: str, how: dict[str, str], corpus: Path, tmp_path: Path
) -> None:
    base = save_bf16(tmp_path / "base", model_type)
    result = learn(settings(base, corpus, objective, **how))
    assert result.sft.k == 200
    assert result.sft.metadata.base is not None
    assert result.sft.metadata.base.fingerprint == fingerprint(Checkpoint(base))
    assert {spec.dtype for spec in result.sft.metadata.parameters.values()} == {"bfloat16"}
    item = Weighted(SftFile(write(tmp_path / "x.sft", result.sft)), 1.0, "x.sft")
    compose(base, [item], tmp_path / "model")
    assert Checkpoint(tmp_path / "model").dtype == "bfloat16"
    before, after = (
        evaluate(Scoring(objective, max_length=64, device="cpu"), (str(corpus),), model).metrics["loss"]
        for model in (base, tmp_path / "model")
    )
    assert after < before
    assert after == pytest.approx(result.phase2.best_value, rel=1e-3)  # float32 arithmetic here, bfloat16 there


@pytest.mark.parametrize("model_type", ["gpt2", "llama"])
def test_weights_are_bfloat16_and_optimizer_states_are_those_of_phi(
    model_type: str, corpus: Path, tmp_path: Path
) -> None:
    base = save_bf16(tmp_path / "base", model_type)
    made = settings(base, corpus, **STREAMING)
    model = load(made, Observer()).tunable.model
    assert {parameter.dtype for parameter in model.parameters()} == {torch.bfloat16}
    with pytest.raises(KeyboardInterrupt):
        learn(made, EndAt(8 + 5), run_dir=tmp_path / "run")
    state = torch.load(tmp_path / "run" / "phase2-200" / "checkpoint-5" / "optimizer.pt")["state"]
    moments = [moment[key] for moment in state.values() for key in ("exp_avg", "exp_avg_sq")]
    assert sum(moment.numel() for moment in moments) == 2 * 200
    assert {moment.dtype for moment in moments} == {torch.float32}


def test_a_head_is_float32(corpus: Path, tmp_path: Path) -> None:
    base = save_bf16(tmp_path / "base", "bert")
    tunable = load(settings(base, corpus, "mlm", **STREAMING), Observer()).tunable
    assert {tensor.dtype for tensor in tunable.head().values()} == {torch.float32}
    assert {parameter.dtype for parameter in tunable.movable.maskable.values()} == {torch.bfloat16}


@pytest.mark.parametrize(
    "changes", [{}, {"base_dtype": "f64"}, {"precision": "f16", "method": "random"}], ids=["full", "f64", "f16"]
)
def test_what_does_not_go_with_it_is_refused(changes: dict[str, Any], corpus: Path, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="--base-dtype"):
        settings(tmp_path, corpus, **changes)


def test_the_device_that_is_found_takes_bfloat16_as_one_that_is_named(corpus: Path, tmp_path: Path) -> None:
    base = save_bf16(tmp_path / "base", "gpt2")
    assert learn(settings(base, corpus, device="auto", steps=2, **STREAMING)).sft.k == 200
