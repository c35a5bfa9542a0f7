"""Who has a run's directory: one run at a time, however many processes it has.

The first process holds a lock that ends with it, however it ends, and says in a file beside it who it is. Some file
systems that several machines share do not carry a lock from one to the other. So the file is touched now and then as a
sign of life, and one of another machine that is fresh counts as much as the lock; where there are no locks, any is.
"""

from __future__ import annotations

import json
import os
import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from sftkit.errors import SettingsError
from sftkit.storage.parts import NO_LOCKS
from sftkit.training.engine.checkpoints import claim, writable
from sftkit.training.settings import LOCK, OWNER, Settings

#: Seconds between signs of life, and after how many without one a run on another machine is taken to be dead.
_BEAT, _DEAD = 30.0, 300.0


@contextmanager
def owned(folder: Path) -> Iterator[None]:
    """Have a run's directory for as long as the block lasts.

    Raises:
        SettingsError: if another run has it, naming its process and machine; or if it cannot be written.
    """
    owner, lock = folder / OWNER, FileLock(folder / LOCK, timeout=0)
    with writable(folder):
        folder.mkdir(parents=True, exist_ok=True)
        try:
            lock.acquire()
        except Timeout:
            raise SettingsError(
                f"{folder} is in use by {_named(owner)}. Wait for its end, or take another --run-dir. "
                f"(If there is no such process any more, delete {folder / LOCK}.)"
            ) from None
        except OSError as error:
            if error.errno not in NO_LOCKS:
                raise
    try:
        _check_alive(folder, owner, here=lock.is_locked)
        try:
            with writable(owner):
                said = {"host": socket.gethostname(), "process": os.getpid()}
                owner.write_text(json.dumps(said) + "\n", encoding="utf-8")
            with _beating(owner):
                yield
        finally:
            with suppress(OSError):
                owner.unlink()
    finally:
        lock.release(force=True)


@contextmanager
def claimed(folder: Path, each: Sequence[Settings]) -> Iterator[None]:
    """Have a run's directory, and say in it what run it holds; see :func:`sftkit.training.engine.checkpoints.claim`.

    Raises:
        SettingsError: if another run has it, or it holds another one.
    """
    with owned(folder):
        claim(folder, each)
        yield


def _check_alive(folder: Path, owner: Path, *, here: bool) -> None:
    """Refuse a directory whose owner gave a sign of life; ``here``: none on this machine can live, the lock is ours."""
    host, _ = _said(owner)
    if host == "" or (here and host == socket.gethostname()):
        return
    with suppress(OSError):
        (folder / LOCK).touch()  # both times by the file system's clock
        age = (folder / LOCK).stat().st_mtime - owner.stat().st_mtime
        if age < _DEAD:
            raise SettingsError(
                f"{folder} is in use by {_named(owner)}, which gave a sign of life {max(age, 0):.0f} s ago. If it has "
                f"ended, wait {_DEAD - max(age, 0):.0f} s, or delete {owner}; else take another --run-dir."
            )


def _named(owner: Path) -> str:
    host, process = _said(owner)
    return f"process {process} on {host}" if host else "another process"


def _said(owner: Path) -> tuple[str, str]:
    """Host and process, as they were written; "" if nobody said so, or it was cut off."""
    try:
        said = json.loads(owner.read_text(encoding="utf-8"))
        return str(said["host"]), str(said["process"])
    except (OSError, ValueError, LookupError, TypeError):
        return "", ""


@contextmanager
def _beating(owner: Path) -> Iterator[None]:
    """Give signs of life."""
    ended = threading.Event()

    def beat() -> None:
        while not ended.wait(_BEAT):
            with suppress(OSError):
                os.utime(owner)

    thread = threading.Thread(target=beat, name="sftkit-owner", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
