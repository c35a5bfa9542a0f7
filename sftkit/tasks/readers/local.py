"""Data that is on this machine: whether it is there, before anything is imported that could read it."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from sftkit.errors import DataError
from sftkit.shown import QUOTED, brief, shown_on_a_line
from sftkit.storage.nearby import nearby, no_such
from sftkit.tasks.readers.encodings import check_begin

#: What the names of data sets begin with that are not on this machine.
HUB = "hf://"
#: Bytes that are looked at before all of a file is read.
_BEGIN = 1 << 16
#: Files of a folder that are named where the folder stands in a file's place.
_NAMED = 3


def local_file(source: str) -> Path:
    """A source that must be a file of data with something in it.

    Raises:
        DataError: if it is missing, a directory, a pipe, empty, or an SFT.
    """
    path = filled_file(source)
    if path.suffix == ".sft":
        raise DataError(f"{source}: an SFT by its name, not a data file.")
    return path


def filled_file(source: str) -> Path:
    """A file with something in it, data or not.

    Raises:
        DataError: if it is missing, a directory, a pipe, or empty.
    """
    path = Path(source)
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        text = " " in source and "/" not in source and not nearby(source)
        raise DataError(no_such(source) + " Text itself is read from a file." * text) from None
    except (OSError, ValueError) as error:  # a name that is too long, a link to itself, a folder that is closed
        raise DataError(f"{shown_on_a_line(source, QUOTED)}: {getattr(error, 'strerror', None) or error}.") from None
    if path.is_dir():
        raise DataError(f"{source}: a directory, not a data file.{_holds(path)}")
    if not path.is_file():
        raise DataError(
            f"{source}: not a file but a pipe or a device, and data is read more than once. Write it into a file first."
        )
    if path.stat().st_size == 0:
        raise DataError(f"{source}: the file is empty.")
    return path


def _holds(folder: Path) -> str:
    """Some files of a folder, one of which may be meant."""
    try:
        names = sorted(entry.name for entry in folder.iterdir() if entry.is_file() and not entry.name.startswith("."))
    except OSError:
        return ""
    return f" It holds {', '.join(map(brief, names[:_NAMED]))}{', …' if names[_NAMED:] else ''}." if names else ""


def check_local(sources: Iterable[str]) -> None:
    """See that those sources that are on this machine are there, and begin as text does.

    Raises:
        DataError: as :func:`local_file` and :func:`check_begin`.
    """
    for source in sources:
        if source.startswith(HUB) or local_file(source).suffix.lower() == ".parquet":
            continue
        with Path(source).open("rb") as file:
            check_begin(source, file.read(_BEGIN))
