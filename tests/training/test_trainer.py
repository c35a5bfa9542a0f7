"""What is relied on of transformers' Trainer beyond what it documents."""

from __future__ import annotations

from pathlib import Path

import pytest
from transformers import Trainer

from sftkit.errors import SettingsError
from sftkit.training import loading
from sftkit.training.engine.trainer import PhaseTrainer
from sftkit.training.settings import Settings

#: Of its own, and named like private methods of the Trainer, which must not come to have them.
OWN = {"_callbacks", "_moved_by"}
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
