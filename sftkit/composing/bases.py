"""Whether SFTs may be put on a base that is not being written: for composing in memory and for ``train --with``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from sftkit.algebra.arithmetic import Weighted
from sftkit.checkpoints.checkpoint import Checkpoint
from sftkit.checkpoints.fingerprint import fingerprint
from sftkit.checkpoints.names import heads_of, modern
from sftkit.composing.belong import check_fingerprint, check_shapes
from sftkit.composing.record import Record
from sftkit.composing.renamed import parameters_as_learned
from sftkit.storage.dtypes import FLOAT_CODES


def check_belongs(base: Path, weighted: Sequence[Weighted], *, force: bool = False) -> tuple[str, ...]:
    """Compare names, shapes and fingerprints, as ``compose`` does. Reads the base once if there are SFTs.

    A model that ``compose`` made counts as the base that it was made from, too, unless it was changed since.

    Returns:
        Notes for the user.

    Raises:
        MismatchError: if an SFT does not fit; a fingerprint alone is overruled by ``force``.
    """
    if not weighted:
        return ()
    checkpoint = Checkpoint(base)
    notes = check_shapes(parameters_as_learned(checkpoint, weighted), weighted, str(base), set_aside(checkpoint))
    found = fingerprint(checkpoint)
    return (*notes, *check_origin(Record.read(base), found, checkpoint, weighted, str(base), force=force))


def set_aside(checkpoint: Checkpoint) -> frozenset[str]:
    """Names within the backbone of what is stored as if it were a parameter, and is a buffer or a copy of another."""
    heads = heads_of(checkpoint.model_type) if not checkpoint.prefix else ()
    return frozenset(
        modern(key.removeprefix(checkpoint.prefix))
        for key in (*checkpoint.ignored, *checkpoint.copies)
        if key.startswith(checkpoint.prefix)
        and not (heads and key.startswith(heads))
        and checkpoint.spec(key).code in FLOAT_CODES
    )


def check_origin(
    record: Record | None, found: str, checkpoint: Checkpoint, weighted: Sequence[Weighted], base: str, *, force: bool
) -> tuple[str, ...]:
    """A composed model counts as the base that it was made from, too, as long as nobody changed it since.

    Args:
        record: what the model says of itself, if it was composed.
        found: its fingerprint.
        checkpoint: its files.
        weighted: the SFTs.
        base: what to call the model.
        force: turn a mismatch into a note.

    Returns:
        Notes, also on SFTs that the model was composed with already.

    Raises:
        MismatchError: if an SFT belongs to another base.
    """
    origin = record.origin(found) if record is not None else ""
    notes = check_fingerprint(
        found, checkpoint.dtype, weighted, base, origin=origin, aside=set_aside(checkpoint), force=force
    )
    return (*notes, *record.again(weighted, base)) if record is not None and origin else notes
