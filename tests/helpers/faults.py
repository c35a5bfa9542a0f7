"""Makes what a program asks of the file system fail, or kills it just before: the n-th request that changes a folder.

Covered are the functions of ``os``, files that Python opens, ``renameat2``, and, as wholes, torch's and safetensors'
own writers. Not covered: requests of other libraries' C code, for which ``RLIMIT_FSIZE`` stands in.
"""

from __future__ import annotations

import builtins
import errno
import io
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

from sftkit.storage import renames

_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT
#: Functions of os whose first argument is a path or a descriptor, and those that have a second path.
_ONE = (
    "remove", "unlink", "mkdir", "rmdir", "chmod", "utime", "truncate", "write", "pwrite", "fsync", "ftruncate",
    "sendfile",
)  # fmt: skip
_TWO = ("rename", "replace", "link", "symlink", "copy_file_range")


class Faults:
    """Counts requests that change a folder, and lets one of them fail, or the program end there."""

    def __init__(self, folder: Path, at: int = -1, number: int = errno.ENOSPC, *, kill: bool = False) -> None:
        """Say which.

        Args:
            folder: the folder, without links in its path.
            at: which request, from 0; -1: none of them.
            number: the error, as in ``errno``.
            kill: send SIGKILL to this process instead.
        """
        self.count = 0
        self.at_what = ""
        self._folder, self._at, self._number, self._kill = str(folder), at, number, kill

    def ask(self, what: str, *paths: str, named: bool = False) -> None:
        """A request.

        Raises:
            OSError: if this is the one; it names the paths where the system would.
        """
        if not any(path.startswith(self._folder) for path in paths):
            return
        self.count += 1
        if self.count - 1 != self._at:
            return
        self.at_what = f"{what} {' '.join(paths)}"
        if self._kill:
            os.kill(os.getpid(), signal.SIGKILL)
        names = (paths[0], None, *paths[1:]) if named else ()
        raise OSError(self._number, os.strerror(self._number), *names)

    @contextmanager
    def injected(self) -> Iterator[Faults]:
        """In the block, requests are asked for."""
        with ExitStack() as stack:
            for name in (name for name in (*_ONE, *_TWO) if hasattr(os, name)):
                paths = 2 if name in _TWO else 1
                stack.enter_context(patch.object(os, name, self._before(name, getattr(os, name), paths)))
            stack.enter_context(patch.object(os, "open", self._opening(os.open)))
            stack.enter_context(patch.object(renames, "_renameat2", self._before("renameat2", renames._renameat2, 2)))
            if "torch" in sys.modules:
                self._native(stack)
            opened = self._opened(io.open)
            stack.enter_context(patch.object(io, "open", opened))
            stack.enter_context(patch.object(builtins, "open", opened))
            yield self

    def _native(self, stack: ExitStack) -> None:
        """Writers that are no Python: half a file, and then what they raise on a full disk."""
        import torch
        from safetensors import SafetensorError
        from safetensors.torch import save_file

        def halved(call: Callable[..., Any], raised: Exception) -> Callable[..., Any]:
            def asked(what: Any, path: Any, *arguments: Any, **more: Any) -> Any:
                try:
                    self.ask("native write", _path(path, None) if isinstance(path, str | os.PathLike) else "")
                except OSError:
                    call(what, path, *arguments, **more)
                    os.truncate(path, Path(path).stat().st_size // 2)
                    raise raised from None
                return call(what, path, *arguments, **more)

            return asked

        full = RuntimeError("[enforce fail at inline_container.cc:672] . unexpected pos 704 vs 598")
        stack.enter_context(patch.object(torch, "save", halved(torch.save, full)))
        rust = SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)")
        stack.enter_context(patch("sftkit.training.engine.snapshot.save_file", halved(save_file, rust)))

    def _before(self, what: str, call: Callable[..., Any], paths: int) -> Callable[..., Any]:
        def asked(*arguments: Any, **more: Any) -> Any:
            below = more.get("dir_fd")
            named = not isinstance(arguments[0], int)
            self.ask(what, *(_path(each, below) for each in arguments[:paths]), named=named)
            return call(*arguments, **more)

        return asked

    def _opening(self, call: Callable[..., int]) -> Callable[..., int]:
        def asked(path: Any, flags: int, *arguments: Any, **more: Any) -> int:
            if flags & _WRITING:
                self.ask("open", _path(path, more.get("dir_fd")), named=True)
            return call(path, flags, *arguments, **more)

        return asked

    def _opened(self, call: Callable[..., Any]) -> Callable[..., Any]:
        def asked(file: Any, mode: str = "r", buffering: int = -1, *arguments: Any, **more: Any) -> Any:
            if not set(mode) & set("wax+") or not _path(file, None).startswith(self._folder):
                return call(file, mode, buffering, *arguments, **more)
            path = _path(file, None)
            self.ask("open", path, named=True)
            raw = _Raw(file, mode.replace("b", "").replace("t", ""))
            raw.asking = lambda what: self.ask(what, path)
            if buffering == 0:
                return raw
            buffered = io.BufferedRandom(raw) if "+" in mode else io.BufferedWriter(raw)
            return buffered if "b" in mode else io.TextIOWrapper(buffered, *arguments, **more)

        return asked


class _Raw(io.FileIO):
    """A file whose writes are asked for."""

    asking: Callable[[str], None]

    def write(self, data: Any, /) -> int:
        self.asking("write")
        return super().write(data)

    def truncate(self, size: int | None = None, /) -> int:
        self.asking("truncate")
        return super().truncate(size)


def _path(what: Any, below: int | None) -> str:
    """A path or a descriptor as a path; "" for what is none."""
    if isinstance(what, int):
        return str(_of(what)) if what > 2 else ""
    path = Path(os.fsdecode(what))
    return str(_of(below) / path if below is not None else path.absolute())


def _of(descriptor: int) -> Path:
    return Path(f"/proc/self/fd/{descriptor}").readlink()
