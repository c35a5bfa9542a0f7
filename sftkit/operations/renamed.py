"""Bases whose weights transformers fuses or renames while loading, such as a mixture's experts, stored one by one.

An SFT learned on such a model names what transformers made of the checkpoint. The base is then loaded with transformers
and written to a temporary folder under those names, so that the result is what loading it and adding φ gives. This
needs the whole model in memory; it is only done where the SFT's fingerprint says that the base is the right one.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sftkit.errors import CheckpointError
from sftkit.format.checkpoint import SAFETENSORS, Checkpoint
from sftkit.format.fingerprint import fingerprint
from sftkit.format.names import is_pooler
from sftkit.operations.arithmetic import Weighted


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
    strangers = [item for item in weighted if lacks_names(checkpoint, item)]
    recorded = {item.sft.metadata.base.fingerprint for item in strangers if item.sft.metadata.base}
    found = fingerprint(checkpoint) if recorded - {None} else None
    if found is None or found not in recorded:
        yield Source(base)  # another architecture, if anything: that is said elsewhere
        return
    with tempfile.TemporaryDirectory(prefix="sftkit-") as folder:
        _save_as_loaded(checkpoint, Path(folder))
        yield Source(Path(folder), found)


def lacks_names(checkpoint: Checkpoint, item: Weighted) -> bool:
    """Whether an SFT names parameters that the checkpoint does not have, as it is stored."""
    return any(name not in checkpoint.parameters and not is_pooler(name) for name in item.sft.metadata.parameters)


def _save_as_loaded(checkpoint: Checkpoint, folder: Path) -> None:
    import transformers
    from safetensors.torch import save_file

    architecture = str((checkpoint.config.get("architectures") or ["AutoModel"])[0])
    model_class: Any = getattr(transformers, architecture, None)
    if model_class is None:
        raise CheckpointError(f"{checkpoint.path}: transformers has no {architecture} to load it with.")
    try:
        model = model_class.from_pretrained(checkpoint.path, dtype="auto")
    except (OSError, ValueError, RuntimeError, KeyError) as error:
        line = " ".join(str(error).split())[:200]
        raise CheckpointError(f"{checkpoint.path}: transformers cannot load it ({line}).") from error
    tied = set(model.all_tied_weights_keys or ()) if getattr(model.config, "tie_word_embeddings", False) else set()
    state = {name: tensor.contiguous() for name, tensor in model.state_dict().items() if name not in tied}
    save_file(state, folder / SAFETENSORS, {"format": "pt"})
    shutil.copyfile(checkpoint.path / "config.json", folder / "config.json")
