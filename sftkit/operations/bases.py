"""Whether SFTs may be put on a base that is not being written: for composing in memory and for ``train --with``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from sftkit.format.checkpoint import Checkpoint
from sftkit.format.fingerprint import fingerprint
from sftkit.operations.arithmetic import Weighted
from sftkit.operations.belong import check_fingerprint, check_shapes
from sftkit.operations.record import Record


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
    notes = check_shapes(checkpoint.parameters, weighted, str(base))
    found = fingerprint(checkpoint)
    record = Record.read(base)
    origin = record.origin(found) if record is not None else ""
    return (*notes, *check_fingerprint(found, checkpoint.dtype, weighted, str(base), origin=origin, force=force))
