"""What is relied on of transformers' Trainer beyond what it documents."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import pytest
import torch
from transformers import Trainer

from sftkit.errors import SettingsError
from sftkit.training import loading
from sftkit.training.engine.trainer import PhaseTrainer
from sftkit.training.lottery import learn
from sftkit.training.settings import Settings, settings_for
from tests.helpers import pico

#: Of its own, and named like private methods of the Trainer, which must not come to have them.
OWN = {"_callbacks", "_divide_by_labels_alone", "_moved_by"}
#: Overridden where there is one: ``--fsdp`` asks for it.
LATER = {"_defer_fsdp_gradient_reduction"}


def test_every_private_method_that_is_overridden_is_one_of_the_trainers() -> None:
    private = {name for name in vars(PhaseTrainer) if name.startswith("_") and not name.startswith("__")}
    assert {name for name in private if not hasattr(Trainer, name)} - LATER == OWN


def test_a_trainer_that_cannot_share_out_is_refused_with_the_version_that_can(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loading, "world", lambda: 2)
    monkeypatch.delattr(Trainer, "_defer_fsdp_gradient_reduction", raising=False)
    with pytest.raises(SettingsError, match=r"--fsdp needs transformers 5\.18 or later; this is \d"):
        loading.check_processes(Settings("mlm", ("x.txt",), tmp_path, "b", fsdp=True))


@pytest.mark.parametrize("model_type", ["gpt2", "llama"])
def test_a_steps_loss_is_divided_by_all_its_labels_and_by_nothing_else(
    model_type: str, corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shares, norms = list[float](), list[float]()
    compute, clip = PhaseTrainer.compute_loss, cast("Any", PhaseTrainer)._clip_grad_norm

    def counted(trainer: Any, model: Any, inputs: Any, *arguments: Any, **more: Any) -> Any:
        shares.append(int((inputs["labels"] != -100).sum()) / float(more["num_items_in_batch"]))
        return compute(trainer, model, inputs, *arguments, **more)

    def clipped(trainer: Any, model: torch.nn.Module) -> Any:
        norms.append(float(clip(trainer, model)))
        return norms[-1]

    monkeypatch.setattr(PhaseTrainer, "compute_loss", counted)
    monkeypatch.setattr(PhaseTrainer, "_clip_grad_norm", clipped)
    base = pico.save_base(tmp_path / "base", model_type, **_NO_DROPOUT[model_type])
    for batches in (1, 4):
        settings = settings_for(
            "clm", data=(str(corpus),), base=base, base_name="pico", steps=1, method="random", k=200, device="cpu",
            max_length=16, batch_size=8 // batches, accumulate=batches,
        )  # fmt: skip
        learn(settings)
    assert shares[0] == pytest.approx(1)
    assert sum(shares[1:]) == pytest.approx(1)
    assert norms[0] == pytest.approx(norms[1], rel=1e-4)


_NO_DROPOUT: dict[str, dict[str, Any]] = {
    "gpt2": dict.fromkeys(("attn_pdrop", "embd_pdrop", "resid_pdrop"), 0.0),
    "llama": {},
}
