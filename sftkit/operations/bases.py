"""Whether SFTs may be put on a base that is not being written: for composing in memory and for ``train --with``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from sftkit.format.checkpoint import Checkpoint
from sftkit.format.fingerprint import fingerprint
from sftkit.operations.arithmetic import Weighted
from sftkit.operations.belong import check_fingerprint, check_shapes
from sftkit.operations.record import Record
from sftkit.operations.renamed import lacks_names


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
    found = fingerprint(checkpoint)
    # what was learned on this very checkpoint, transformers having renamed its weights, is looked at once it is loaded
    stored = [item for item in weighted if not (_learned_on(found, item) and lacks_names(checkpoint, item))]
    notes = check_shapes(checkpoint.parameters, stored, str(base))
    return (*notes, *check_origin(Record.read(base), found, checkpoint.dtype, weighted, str(base), force=force))


def _learned_on(found: str, item: Weighted) -> bool:
    return item.sft.metadata.base is not None and item.sft.metadata.base.fingerprint == found


def check_origin(
    record: Record | None, found: str, dtype: str, weighted: Sequence[Weighted], base: str, *, force: bool
) -> tuple[str, ...]:
    """A composed model counts as the base that it was made from, too, as long as nobody changed it since.

    Args:
        record: what the model says of itself, if it was composed.
        found: its fingerprint.
        dtype: of most of its backbone.
        weighted: the SFTs.
        base: what to call the model.
        force: turn a mismatch into a note.

    Returns:
        Notes, also on SFTs that the model was composed with already.

    Raises:
        MismatchError: if an SFT belongs to another base.
    """
    origin = record.origin(found) if record is not None else ""
    notes = check_fingerprint(found, dtype, weighted, base, origin=origin, force=force)
    return (*notes, *record.again(weighted, base)) if record is not None and origin else notes
