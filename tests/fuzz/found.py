"""Contents that a reader once got wrong, a file each: ``found/TARGET/``, by a hash of what is in it."""

from __future__ import annotations

import tempfile
from hashlib import sha256
from pathlib import Path

_FOLDER = Path(__file__).parent / "found"
#: Of one target: many inputs are wrong in the same way.
_MOST = 20


def folder() -> tempfile.TemporaryDirectory[str]:
    """A folder for a while, in memory where the system has such a place: every input is a file."""
    memory = Path("/dev/shm")
    return tempfile.TemporaryDirectory(prefix="sftkit-fuzz-", dir=memory if memory.is_dir() else None)


def keep(target: str, data: bytes) -> None:
    """Keep an input, unless there are enough of its target."""
    own = _FOLDER / target
    own.mkdir(parents=True, exist_ok=True)
    if len(list(own.iterdir())) < _MOST:
        (own / sha256(data).hexdigest()[:12]).write_bytes(data)


def kept() -> list[tuple[str, Path]]:
    """(target, file) of all that were kept."""
    return [(path.parent.name, path) for path in sorted(_FOLDER.glob("*/*"))]
