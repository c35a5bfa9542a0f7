"""What a model was composed of: its ``sftkit.json``, and whether the weights are still those that it speaks of."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sftkit.checkpoints.checkpoint import Checkpoint
from sftkit.checkpoints.fingerprint import fingerprint
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
        facts: what else is known of it, in words: parameters, head, vocabulary, size.
    """

    label: str
    model_type: str
    dtype: str
    fingerprint: str
    record: Record | None
    facts: tuple[tuple[str, str], ...] = ()

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
    found = fingerprint(checkpoint)
    return ComposedModel(
        label or str(path), checkpoint.model_type, checkpoint.dtype, found, record, tuple(_facts(checkpoint, path))
    )


def _facts(checkpoint: Checkpoint, path: Path) -> Iterator[tuple[str, str]]:
    """What one would like to know of any model."""
    heads = sum(checkpoint.spec(key).size for key in checkpoint.heads)
    yield "architecture", checkpoint.architecture
    yield "parameters", f"{sum(spec.size for spec in checkpoint.parameters.values()):,}, and {heads:,} of its head"
    yield "input and output embedding", "one matrix" if checkpoint.tied else "two matrices, or no output"
    if isinstance(vocabulary := checkpoint.config.get("vocab_size"), int):
        yield "vocabulary", f"{vocabulary:,}"
    yield "size", f"{sum(each.stat().st_size for each in path.iterdir() if each.is_file()) / 1e6:,.1f} MB"
