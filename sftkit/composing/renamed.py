"""Models whose weights transformers fuses or renames while loading, such as a mixture's experts, stored one by one.

An SFT names what transformers makes of a checkpoint. Such a model is therefore loaded with transformers and written to
a temporary folder under those names, so that the result is what loading it and adding φ gives. This needs the whole
model in memory; where names and shapes are enough, the model is made without its numbers. Every command that asks what
a base is called when it is loaded asks here.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sftkit.algebra.arithmetic import Weighted
from sftkit.checkpoints.checkpoint import SAFETENSORS, Checkpoint
from sftkit.checkpoints.classes import type_facts
from sftkit.checkpoints.fingerprint import fingerprint
from sftkit.checkpoints.names import dotted, is_pooler, model_prefix
from sftkit.composing.layout import BaseView
from sftkit.errors import CheckpointError
from sftkit.format.metadata import ParameterSpec
from sftkit.storage.atomic import temporary_folder


@dataclass(frozen=True)
class Source:
    """Where a base's tensors are read from.

    Attributes:
        path: the base, or a temporary folder with the same model under other names.
        fingerprint: of the base as it is stored, where that is another folder; else None.
    """

    path: Path
    fingerprint: str | None = None

    @property
    def notes(self) -> tuple[str, ...]:
        """What the user may want to know."""
        if self.fingerprint is None:
            return ()
        return (
            "transformers renames this base's weights while loading them: it was loaded whole, and saved as loaded.",
        )


@contextmanager
def named_as_learned(base: Path, weighted: Sequence[Weighted]) -> Iterator[Source]:
    """The base, under the names that the SFTs know.

    Raises:
        CheckpointError: if transformers cannot load it.
    """
    checkpoint = Checkpoint(base)
    strangers = [item for item in weighted if _lacks_names(checkpoint, item)]
    recorded = {item.sft.metadata.base.fingerprint for item in strangers if item.sft.metadata.base}
    found = fingerprint(checkpoint) if recorded - {None} else None
    if found is None or found not in recorded:
        yield Source(base)  # another architecture, if anything: that is said elsewhere
        return
    with temporary_folder() as folder:
        _save_as_loaded(checkpoint, folder)
        yield Source(folder, found)


@contextmanager
def as_loaded(model: Path) -> Iterator[Path]:
    """A model's folder, or a temporary one with the same model under the names that it has when it is loaded.

    Raises:
        CheckpointError: if transformers cannot load it.
    """
    checkpoint = Checkpoint(model)
    if not type_facts(checkpoint.model_type).get("converted") or not _renames(checkpoint):
        yield model
        return
    with temporary_folder() as folder:
        _save_as_loaded(checkpoint, folder)
        yield folder


def parameters_as_learned(checkpoint: Checkpoint, weighted: Sequence[Weighted]) -> Mapping[str, ParameterSpec]:
    """The base's parameters under the names that the SFTs know; made from its config where loading changes them."""
    strangers = [item for item in weighted if _lacks_names(checkpoint, item)]
    recorded = {item.sft.metadata.base.fingerprint for item in strangers if item.sft.metadata.base}
    if not recorded - {None} or fingerprint(checkpoint) not in recorded:
        return BaseView.of(checkpoint).parameters
    loaded = {name: ParameterSpec(shape, checkpoint.dtype) for name, shape in _loaded_shapes(checkpoint).items()}
    return {**BaseView.of(checkpoint).parameters, **loaded}


def _lacks_names(checkpoint: Checkpoint, item: Weighted) -> bool:
    metadata = item.sft.metadata
    own = {*checkpoint.parameters, metadata.output}
    return any(name not in own and not is_pooler(name) for name in metadata.parameters)


def _renames(checkpoint: Checkpoint) -> bool:
    """Whether the backbone has other names, or other shapes, when it is loaded."""
    loaded = _loaded_shapes(checkpoint)
    return any(loaded.get(name) != spec.shape for name, spec in checkpoint.parameters.items() if not is_pooler(name))


def _loaded_shapes(checkpoint: Checkpoint) -> dict[str, tuple[int, ...]]:
    """Canonical name -> shape of every parameter of the backbone when transformers loads it; no weight is read."""
    import torch

    from sftkit.pretrained.bounds import bounded
    from sftkit.pretrained.loading import pretrained_config, understood

    maker, config = _class(checkpoint), pretrained_config(checkpoint.path)
    with understood(checkpoint.path, "it", False), torch.device("meta"), bounded(checkpoint):
        model = maker._from_config(config)
    prefix = dotted(model_prefix(checkpoint.model_type, type(model).__name__))
    named = ((name, tuple(parameter.shape)) for name, parameter in model.named_parameters())
    return {name.removeprefix(prefix): shape for name, shape in named if name.startswith(prefix)}


def _class(checkpoint: Checkpoint) -> Any:
    import transformers

    architecture = checkpoint.architecture or str(type_facts(checkpoint.model_type).get("base", ""))
    found: Any = getattr(transformers, architecture or "-", None)
    if not (isinstance(found, type) and issubclass(found, transformers.PreTrainedModel)):  # a stranger chose the name
        raise CheckpointError(f"{checkpoint.path}: transformers has no {architecture or 'model'} to load it with.")
    return found


def _save_as_loaded(checkpoint: Checkpoint, folder: Path) -> None:
    from safetensors.torch import save_file

    from sftkit.pretrained.bounds import bounded
    from sftkit.pretrained.loading import pretrained_model

    with bounded(checkpoint):
        model, info = pretrained_model(checkpoint.path, _class(checkpoint), dtype="auto", output_loading_info=True)
    state, ties = model.state_dict(), dict(model.all_tied_weights_keys or {})
    tied = {
        name for name, other in ties.items() if other in state and state[name].data_ptr() == state[other].data_ptr()
    }
    left_out = tied | set(info["missing_keys"])  # what the checkpoint lacks would be random
    state = {name: tensor.contiguous() for name, tensor in state.items() if name not in left_out}
    save_file(state, folder / SAFETENSORS, {"format": "pt"})
    shutil.copyfile(checkpoint.path / "config.json", folder / "config.json")
