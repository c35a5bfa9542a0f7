"""Outputs that are whole or not there: written beside their final place, then renamed.

Covers one file or one directory on one file system. Does not cover several outputs at once.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sftkit.errors import OutputExistsError


def check_output(path: Path, *, overwrite: bool) -> None:
    """Refuse early, before any work is done, what could not be written at the end.

    Raises:
        OutputExistsError: if ``path`` exists and may not be replaced, or is a directory that is not a model's.
    """
    if not path.exists() and not path.is_symlink():
        _check_parent(path)
        return
    if not overwrite:
        raise OutputExistsError(f"{path} exists already. Choose another --output, or replace it with --overwrite.")
    if path.is_dir() and any(path.iterdir()) and not (path / "config.json").is_file():
        # --overwrite on a home directory must not delete it
        raise OutputExistsError(
            f"{path} is a directory that holds no model, so it is not replaced. Choose another --output."
        )


def _check_parent(path: Path) -> None:
    parent = path.absolute().parent
    while not parent.exists():
        parent = parent.parent
    if not parent.is_dir():
        raise OutputExistsError(f"{path} cannot be made: {parent} is a file, not a directory.")
    if not os.access(parent, os.W_OK):
        raise OutputExistsError(f"{path} cannot be made: no permission to write in {parent}.")


@contextmanager
def atomic_file(path: Path, *, overwrite: bool = False) -> Iterator[Path]:
    """Yield a temporary path in the same folder; on success it becomes ``path``, on any failure it is removed.

    Raises:
        OutputExistsError: as :func:`check_output`.
    """
    check_output(path, overwrite=overwrite)
    if path.is_dir():
        raise OutputExistsError(f"{path} is a directory; the output is a file. Choose another --output.")
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent)
    os.close(handle)
    part = Path(name)
    try:
        yield part
        part.chmod(0o666 & ~_umask())
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


@contextmanager
def atomic_directory(path: Path, *, overwrite: bool = False) -> Iterator[Path]:
    """Yield a temporary folder beside ``path``; on success it becomes ``path``, on any failure it is removed.

    Raises:
        OutputExistsError: as :func:`check_output`.
    """
    check_output(path, overwrite=overwrite)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = Path(tempfile.mkdtemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent))
    old = part.with_suffix(".old")
    try:
        yield part
        part.chmod(0o777 & ~_umask())
        if path.exists():
            os.replace(path, old)
        try:
            os.replace(part, path)
        except BaseException:
            if old.exists():
                os.replace(old, path)
            raise
    finally:
        shutil.rmtree(part, ignore_errors=True)
        if old.is_dir():
            shutil.rmtree(old, ignore_errors=True)
        else:
            old.unlink(missing_ok=True)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
