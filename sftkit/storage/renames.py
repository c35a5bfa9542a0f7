"""Giving a finished file or directory its name: never over what appeared there meanwhile, and whole at every moment.

Linux can refuse to replace, and can exchange two directories, in one step (``renameat2``). Where the system or the file
system cannot, files are linked, which replaces nothing either; of a directory the old one is put aside first, and
whoever writes the output next puts it back if this process was killed in between (see ``parts``).
"""

from __future__ import annotations

import errno
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

_AT_FDCWD, _NOREPLACE, _EXCHANGE = -100, 1, 2  # linux/fcntl.h, linux/fs.h
#: How a system or a file system says that it cannot do that.
_CANNOT = (errno.ENOSYS, errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EPERM)
#: How it says that a directory's name is taken.
_TAKEN = (errno.EEXIST, errno.ENOTEMPTY, errno.ENOTDIR, errno.EISDIR)
#: So many others may come between, one after the other, before it is given up.
_TRIES = 100


def put_new(part: Path, final: Path) -> None:
    """Give a file or a directory its name; of a file, the old name may stay.

    Raises:
        FileExistsError: if something has that name. Nothing is changed then.
    """
    if _renameat2(part, final, _NOREPLACE):
        return
    try:
        if part.is_dir():
            part.rename(final)  # at most an empty directory is replaced
        else:
            final.hardlink_to(part)
    except OSError as error:
        if error.errno in _TAKEN or os.path.lexists(final):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(final)) from None
        if part.is_dir() or error.errno not in (*_CANNOT, errno.EMLINK):
            raise
        part.rename(final)  # a file system without links


def put_over(part: Path, final: Path, spare: Path, check: Callable[[Path], None]) -> None:
    """Give a directory its name; the one that has it is removed.

    Args:
        part: the directory.
        final: its name.
        spare: where the old one may be for a moment; free.
        check: raises what it likes if the old one must not be removed; it is back in its place then.
    """
    for _ in range(_TRIES):
        try:
            put_new(part, final)
        except FileExistsError:
            try:
                _exchange(part, final, spare, check)
            except (FileNotFoundError, FileExistsError):
                continue  # another writer of this output came between
        return
    raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(final))


def _exchange(part: Path, final: Path, spare: Path, check: Callable[[Path], None]) -> None:
    check(final)
    if _renameat2(part, final, _EXCHANGE):
        try:
            check(part)  # once more: what came until now came into this one
        except BaseException:
            _renameat2(part, final, _EXCHANGE)
            raise
        remove(part)
        return
    final.rename(spare)
    try:
        check(spare)
        put_new(part, final)
    except FileExistsError:  # another writer's output, which is whole
        remove(spare)
        raise
    except BaseException:
        put_new(spare, final)
        raise
    remove(spare)


def remove(path: Path) -> None:
    """Remove a file or a directory, if it is there and as far as that can be done."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        try:
            path.unlink(missing_ok=True)
        except OSError:
            return


def _renameat2(source: Path, target: Path, flags: int) -> bool:
    """Rename in one step under a condition; False where that cannot be had.

    Raises:
        OSError: as ``os.rename``; FileExistsError where the name is taken.
    """
    if sys.platform != "linux":
        return False
    import ctypes

    try:
        call = ctypes.CDLL(None, use_errno=True).renameat2
    except (OSError, AttributeError):
        return False
    call.argtypes = (ctypes.c_int, ctypes.c_char_p, ctypes.c_int, ctypes.c_char_p, ctypes.c_uint)
    if call(_AT_FDCWD, os.fsencode(source), _AT_FDCWD, os.fsencode(target), flags) == 0:
        return True
    number = ctypes.get_errno()
    if number in _CANNOT:
        return False
    raise OSError(number, os.strerror(number), str(source), None, str(target))
