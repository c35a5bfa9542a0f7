"""What a model was composed of: its ``sftkit.json``, and whether the weights are still those that it speaks of."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sftkit.checkpoints.checkpoint import Checkpoint
from sftkit.checkpoints.fingerprint import fingerprint
from sftkit.composing.layout import BaseView, is_untied
from sftkit.composing.record import Record
from sftkit.sharing.hub import is_published


@dataclass(frozen=True)
class ComposedModel:
    """A model directory.

    Attributes:
        label: what the user called it.
        model_type: of its config.
        dtype: of its backbone.
        fingerprint: of its backbone as it is now.
        record: what it was composed of; None where sftkit did not compose it.
        architecture: of its config, or "".
        parameters: how many numbers its backbone has.
        head_parameters: how many are outside it, an output matrix of its own included.
        tied_output: whether the output matrix of a language model is its input embedding; None where there is none.
        vocabulary: rows of the input embedding, as its config says; None where it does not.
        size: of its files, in bytes.
    """

    label: str
    model_type: str
    dtype: str
    fingerprint: str
    record: Record | None
    architecture: str
    parameters: int
    head_parameters: int
    tied_output: bool | None
    vocabulary: int | None
    size: int

    @property
    def changed(self) -> bool:
        """Whether the weights are others than those that were composed."""
        return self.record is not None and self.record.fingerprint not in ("", self.fingerprint)

    @property
    def notes(self) -> tuple[str, ...]:
        """What the user may want to know."""
        if self.record is None:
            return (f"{self.label} has no sftkit.json: it was not composed by sftkit.",)
        if self.changed:
            return (f"{self.label} was changed since it was composed: what is in it now, its sftkit.json cannot say.",)
        return ()

    def document(self) -> dict[str, Any]:
        """The document that ``inspect --json`` prints."""
        record = self.record
        return {
            "file": self.label,
            "model_type": self.model_type,
            "architecture": self.architecture,
            "parameters": self.parameters,
            "head_parameters": self.head_parameters,
            "tied_output": self.tied_output,
            "vocabulary": self.vocabulary,
            "bytes": self.size,
            "dtype": self.dtype,
            "fingerprint": self.fingerprint,
            "base": dict(record.base) if record else None,
            "method": dict(record.method) if record else None,
            "sfts": [dict(sft) for sft in record.sfts] if record else [],
            "changed": self.changed,
        }


def is_model(path: Path) -> bool:
    """Whether a path is a model's directory, and no SFT that was published as one."""
    return (path / "config.json").is_file() and not is_published(path)


def composed_model(path: Path, label: str = "") -> ComposedModel:
    """Look at a model directory; reads all of its weights, a block at a time.

    Args:
        path: the directory.
        label: what to call it; by default its path.

    Raises:
        CheckpointError: if it is no model, or its ``sftkit.json`` is malformed.
    """
    checkpoint, record = Checkpoint(path), Record.read(path)
    view, vocabulary = BaseView.of(checkpoint), checkpoint.config.get("vocab_size")
    return ComposedModel(
        label=label or str(path),
        model_type=checkpoint.model_type,
        dtype=checkpoint.dtype,
        fingerprint=fingerprint(checkpoint),
        record=record,
        architecture=checkpoint.architecture,
        parameters=sum(spec.size for spec in checkpoint.parameters.values()),
        head_parameters=sum(checkpoint.spec(key).size for key in checkpoint.heads),
        tied_output=not is_untied(view) if view.has_lm_head else None,
        vocabulary=vocabulary if type(vocabulary) is int else None,  # true is none
        size=sum(each.stat().st_size for each in path.iterdir() if each.is_file()),
    )
