"""What a training run leaves: the SFT with its metadata, made from the model, the positions and φ.

Nothing in it says when or where it was made, so that the same run gives the same bytes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers

from sftkit import __version__
from sftkit.algebra.topk import Positions
from sftkit.checkpoints.fingerprint import identify
from sftkit.format.difference import density
from sftkit.format.encoding import UNMOVED, Values
from sftkit.format.metadata import Metadata, ParameterSpec
from sftkit.format.sft import CsrDifference, to_csr
from sftkit.modeling.backbone import backbone_parameters, head_names, output_name
from sftkit.tasks.options import options_about
from sftkit.tasks.readers.sources import digest
from sftkit.training.engine.judge import Outcome
from sftkit.training.engine.ranks import world
from sftkit.training.loading import Equipment
from sftkit.training.settings import Settings


@dataclass(frozen=True)
class Trained:
    """A model after phase 2, without φ on it but with the tuned head, and what is to be told of it.

    Attributes:
        settings: of the SFT.
        equipment: the run's model and data.
        phase1, phase2: what the phases did.
    """

    settings: Settings
    equipment: Equipment
    phase1: Outcome | None
    phase2: Outcome


def make_sft(trained: Trained, positions: Mapping[str, Positions], values: Mapping[str, Values]) -> CsrDifference:
    """The SFT of a training run.

    Args:
        trained: the run.
        positions: canonical name -> ``[n]``.
        values: canonical name -> φ, float32 ``[n]``; entries that did not move are kept as ``UNMOVED``.
    """
    settings, objective, tunable = trained.settings, trained.equipment.data.objective, trained.equipment.tunable
    untied = tunable.movable.untied
    specs, k = _specs(trained), sum(map(len, positions.values()))
    parameters = {
        name: to_csr(at.astype(np.int64), np.where(values[name] == 0, UNMOVED, values[name]), specs[name], name)
        for name, at in positions.items()
    }
    metadata = Metadata(
        parameters=specs,
        k=k,
        density=density(k, specs.values()),
        base=identify(trained.equipment.checkpoint, settings.base_name)(),
        objective=objective.name,
        method=settings.method,
        labels=objective.labels,
        head=type(tunable.model).__name__,
        tied_embeddings=untied and replace(untied, output=output_name(tunable.model, untied.output)),
        trained_with=tuple(dict.fromkeys(sft.digest for sft in trained.equipment.sfts if sft is not None)),
        training=_record(trained, k, density(k, specs.values())),
    )
    state = tunable.model.state_dict()
    names = head_names(tunable.model, untied)
    return CsrDifference(parameters, metadata, {name: state[name].cpu().numpy().copy() for name in names})


def _specs(trained: Trained) -> dict[str, ParameterSpec]:
    stored = trained.equipment.checkpoint.parameters
    return {
        name: ParameterSpec(tuple(parameter.shape), stored[name].dtype if name in stored else "float32")
        for name, parameter in backbone_parameters(trained.equipment.tunable.model).items()
    }


def _record(trained: Trained, k: int, share: float) -> dict[str, Any]:
    settings, objective, tunable = trained.settings, trained.equipment.data.objective, trained.equipment.tunable
    record = asdict(settings)
    for key in ("base", "base_name", "objective", "method", "source_sft", "device", "mask_from", "avoid", "report_to"):
        del record[key]
    phase1, phase2 = trained.phase1, trained.phase2
    start = (phase1 or phase2).start
    return record | {
        "k": k,
        "density": share,
        "options": options_about(settings.options, objective.name),
        "data": [digest(source) for source in settings.data],
        "dev": [digest(source) for source in settings.dev],
        "sources": [
            {"name": each.name, "data": digest(each.data), "sft": _digest(each.sft)} for each in settings.sources
        ],
        "source_sft": _digest(settings.source_sft),
        "mask_from": _digest(settings.mask_from),
        "avoid": [_digest(path) for path in settings.avoid],
        "max_length": trained.equipment.data.max_length,
        "pad_token_id": tunable.model.config.pad_token_id,
        "steps": {"phase1": phase1.steps if phase1 else 0, "phase2": phase2.steps},
        "start": None if start is None else {"metric": objective.best_metric, "value": start},
        "best": {"step": phase2.best_step, "metric": objective.best_metric, "value": phase2.best_value},
        "history": {"phase1": phase1.history if phase1 else [], "phase2": phase2.history},
        "losses": {"phase1": phase1.losses if phase1 else [], "phase2": phase2.losses},
        "frozen": tunable.movable.frozen,
        "processes": world(),
        "versions": {"sftkit": __version__, "torch": torch.__version__, "transformers": transformers.__version__},
    }


def _digest(path: Path | None) -> dict[str, str] | None:
    return digest(str(path)) if path is not None else None
