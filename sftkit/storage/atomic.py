"""Outputs that are whole or not there: written beside their final place, then renamed.

Covers one file or one directory on one file system. Does not cover several outputs at once. A symbolic link is
followed: what it points to is what is written. Nothing is ever replaced that is not of the output's own kind, nor,
without leave, what appeared under the name meanwhile. What a process that was killed left of an output is removed when
the same output is written again.
"""

from __future__ import annotations

import errno
import os
import re
import stat
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from safetensors import SafetensorError

from sftkit.errors import OutputExistsError
from sftkit.storage.parts import folder_of, part_of, prefix_of, spare_of, unheard_signals
from sftkit.storage.places import at_home, check_inputs, check_name, check_parent, check_replaceable
from sftkit.storage.renames import put_new, put_over

#: What writing meets: no room, none left to this user, none for so large a file, a disk for reading or that fails.
_WRITING = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO)
#: Refuses to replace a directory: given how the user called it, and where it is.
Replaceable = Callable[[Path, Path], None]


def check_output(
    path: Path,
    *,
    overwrite: bool,
    inputs: Sequence[Path] = (),
    directory: bool | None = None,
    replaceable: Replaceable | None = None,
) -> None:
    """Refuse early, before any work is done, what could not be written at the end.

    Args:
        path: the output.
        overwrite: whether it may be replaced.
        inputs: what it is made from: an output that is, or holds, one of them would destroy it.
        directory: whether the output is a directory; None if either would do.
        replaceable: refuses to replace a directory that is not of the output's kind; None: that is no model.

    Raises:
        OutputExistsError: if it exists and may not be replaced, or is of another kind than what would replace it.
    """
    check_name(path)
    final = _final(path)
    check_parent(path, final)
    if not final.exists():
        return
    if directory is True and not final.is_dir():
        raise OutputExistsError(f"{path} is a file, and the output a directory. Choose another name.")
    if directory is False and final.is_dir():
        raise OutputExistsError(f"{path} is a directory, and the output a file. Choose another name.")
    if not overwrite:
        raise _taken(path)
    check_inputs(path, final, inputs)
    if final.is_dir():
        (replaceable or check_replaceable)(path, final)


def check_folder(path: Path) -> None:
    """Refuse early a folder to write into that is none, and cannot be made.

    Raises:
        OutputExistsError: naming what is in the way.
    """
    check_parent(path, _final(path) / "file")


def _final(path: Path) -> Path:
    """Where the output really goes: "..", "." and links resolved, so that renaming cannot lose the way."""
    return Path(os.path.realpath(at_home(path)))


def _taken(path: Path) -> OutputExistsError:
    text = f"{path} exists already. Choose another name, or replace it with --overwrite."
    return OutputExistsError(text, path=str(path))


@contextmanager
def atomic_file(path: Path, *, overwrite: bool = False) -> Iterator[Path]:
    """Yield a temporary path in the same folder; on success it becomes ``path``, on any failure it is removed.

    Folders above it that are missing are made; on a failure they go again.

    A file that is replaced leaves its permissions to the new one.

    Raises:
        OutputExistsError: as :func:`check_output`; also if the output appeared meanwhile and may not be replaced.
        OSError: of the system, with the output's name.
    """
    check_output(path, overwrite=overwrite, directory=False)
    final = _final(path)
    with named(path, final), folder_of(final), part_of(final) as part:
        mode = _mode(final) if overwrite else None
        os.close(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666 if mode is None else 0o600))
        yield part
        if mode is not None:
            part.chmod(mode)
        if overwrite:
            os.replace(part, final)
        else:
            _put_new(path, part, final)


@contextmanager
def atomic_directory(path: Path, *, overwrite: bool = False, replaceable: Replaceable | None = None) -> Iterator[Path]:
    """Yield a temporary folder beside ``path``; on success it becomes ``path``, on any failure it is removed.

    A directory that is replaced leaves its permissions to the new one; ``replaceable`` is as for :func:`check_output`.

    Raises:
        OutputExistsError: as :func:`check_output`; also if the output, or something else in it, appeared meanwhile.
        OSError: of the system, with the output's name.
    """
    check_output(path, overwrite=overwrite, directory=True, replaceable=replaceable)
    final = _final(path)
    with named(path, final), folder_of(final), part_of(final) as part:  # which may give an old output its name back
        check_output(path, overwrite=overwrite, directory=True, replaceable=replaceable)
        mode = _mode(final) if overwrite else None
        part.mkdir(0o777 if mode is None else 0o700)
        yield part
        if mode is not None:
            part.chmod(mode)
        with unheard_signals():
            if overwrite:
                put_over(part, final, spare_of(part), lambda old: (replaceable or check_replaceable)(path, old))
            else:
                _put_new(path, part, final)


@contextmanager
def temporary_folder() -> Iterator[Path]:
    """Yield a folder that is removed afterwards, where the system keeps such ones (``TMPDIR``).

    Raises:
        OSError: of the system, with the folder's name.
    """
    with tempfile.TemporaryDirectory(prefix="sftkit-") as name, named(Path(name), Path(name)):
        yield Path(name)


def _put_new(path: Path, part: Path, final: Path) -> None:
    try:
        put_new(part, final)
    except FileExistsError:
        raise _taken(path) from None


def _mode(final: Path) -> int | None:
    """The permissions of what is to be replaced; None if there is nothing."""
    return stat.S_IMODE(final.stat().st_mode) if final.exists() else None


@contextmanager
def named(path: Path, final: Path) -> Iterator[None]:
    """What the system says of a part, or of no file by name while something is written, is said of the output.

    Args:
        path: the output, as the user called it.
        final: where it is.

    Raises:
        OSError: in the place of any; safetensors' library has an error of its own for it.
    """
    try:
        with _as_the_system_says():
            yield
    except OSError as error:
        names = [name for name in (error.filename, error.filename2) if name is not None]
        shown = next((said for name in names if (said := _said(name, path, final)) is not None), None)
        if not names and error.errno in _WRITING:
            shown = path
        if shown is not None:
            error.filename = str(shown)
            del error.filename2  # None would be shown
        raise


@contextmanager
def _as_the_system_says() -> Iterator[None]:
    try:
        yield
    except SafetensorError as error:
        if (number := re.search(r"\(os error (\d+)\)", str(error))) is None:
            raise
        raise OSError(int(number[1]), os.strerror(int(number[1]))) from error


def _said(name: object, path: Path, final: Path) -> Path | None:
    """A part's file as it would be called in the output; None if it is of no part."""
    if not isinstance(name, str | bytes | os.PathLike):
        return None
    try:
        first, *rest = Path(os.fsdecode(name)).relative_to(final.parent).parts
    except ValueError:
        return None
    return path.joinpath(*rest) if first.startswith(prefix_of(final)) else None
