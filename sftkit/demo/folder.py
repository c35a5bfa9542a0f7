"""The folder of a demonstration: what may be written into it, and what an earlier one left there. No torch."""

from __future__ import annotations

import shutil
from pathlib import Path

from sftkit.errors import CheckpointError, OutputExistsError
from sftkit.storage.atomic import check_folder
from sftkit.storage.documents import read_object

MARKER = "demo.json"


def check(folder: Path, *, overwrite: bool) -> None:
    """Refuse a folder in which other things lie, or an earlier demonstration that may not be replaced.

    Raises:
        OutputExistsError: naming what is in the way.
    """
    check_folder(folder)
    if not folder.is_dir() or not any(folder.iterdir()):
        return
    try:
        sfts = [str(name) for name in read_object(folder / MARKER)["sfts"]]
    except (OSError, CheckpointError, KeyError, TypeError):
        raise OutputExistsError(f"{folder} holds other things than a demonstration. Choose another --output.") from None
    if not overwrite:
        raise OutputExistsError(f"{folder} exists already. Choose another --output, or replace it with --overwrite.")
    own = {MARKER, "demo.png", "base", "text", "treebank", "model", *sfts}
    foreign = sorted(entry.name for entry in folder.iterdir() if entry.name not in own)
    if foreign:
        raise OutputExistsError(
            f"{folder} also holds {foreign[0]}, which the demonstration did not make. Move it away."
        )


def prepare(folder: Path, *, overwrite: bool) -> None:
    """Make the folder, and clear it of what an earlier demonstration left.

    Raises:
        OutputExistsError: as :func:`check`.
    """
    check(folder, overwrite=overwrite)
    folder.mkdir(parents=True, exist_ok=True)
    for entry in folder.iterdir():
        shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
