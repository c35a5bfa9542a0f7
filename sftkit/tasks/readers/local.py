"""Data that is on this machine: whether it is there, before anything is imported that could read it."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from sftkit.errors import DataError
from sftkit.shown import QUOTED, shown_on_a_line
from sftkit.storage.nearby import no_such

#: What the names of data sets begin with that are not on this machine.
HUB = "hf://"


def local_file(source: str) -> Path:
    """A source that must be a file with something in it.

    Raises:
        DataError: if it is missing, a directory, a pipe, or empty.
    """
    path = Path(source)
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        raise DataError(no_such(source)) from None
    except (OSError, ValueError) as error:  # a name that is too long, a link to itself, a folder that is closed
        raise DataError(f"{shown_on_a_line(source, QUOTED)}: {getattr(error, 'strerror', None) or error}.") from None
    if path.is_dir():
        raise DataError(f"{source}: a directory, not a data file.")
    if not path.is_file():
        raise DataError(
            f"{source}: not a file but a pipe or a device, and data is read more than once. Write it into a file first."
        )
    if path.stat().st_size == 0:
        raise DataError(f"{source}: the file is empty.")
    return path


def check_local(sources: Iterable[str]) -> None:
    """See that those sources that are on this machine are there.

    Raises:
        DataError: as :func:`local_file`.
    """
    for source in sources:
        if not source.startswith(HUB):
            local_file(source)
