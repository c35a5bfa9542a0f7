"""What an output is written to before it has its name, each part with a lock that ends with its writer.

Beside an output ``x`` that is being written lie ``.sftkit-x-TOKEN.lock``, made and locked first, and
``.sftkit-x-TOKEN.part``. Whoever gets the lock of another one's part knows that its writer was killed, and removes
both; ``.sftkit-x-TOKEN.old`` is an output that was put aside when that happened: it gets its name back if nothing has
it.
"""

from __future__ import annotations

import errno
import os
import re
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from sftkit.storage.renames import put_new, remove

#: How a file system says that it has no locks.
NO_LOCKS = (errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOTSUP, errno.EINVAL)
#: How often a name of a part is drawn anew: one that somebody else holds is rare.
_TRIES = 100

if TYPE_CHECKING:
    from filelock import BaseFileLock


def prefix_of(final: Path) -> str:
    """How the names of an output's parts begin; a name has 255 bytes at most, not characters."""
    name = os.fsencode(final.name)
    if len(name) <= 100:
        return f".sftkit-{final.name}-"
    import xxhash

    return f".sftkit-{name[:80].decode('utf-8', 'ignore')}.{xxhash.xxh3_64_hexdigest(name)}-"


@contextmanager
def part_of(final: Path) -> Iterator[Path]:
    """Yield a free path beside an output that no other writer touches; afterwards nothing is left there.

    What writers of this output left that were killed is cleared away before.
    """
    clear(final)
    lock, part = _reserved(final)
    try:
        yield part
    finally:
        with unheard_signals():
            remove(part)
            _give_back(lock, left=os.path.lexists(part))


@contextmanager
def folder_of(final: Path) -> Iterator[None]:
    """Make the folders above an output that are not there yet; they go again if it does not come to be."""
    missing = [each for each in (final.parent, *final.parent.parents) if not each.exists()]
    final.parent.mkdir(parents=True, exist_ok=True)
    try:
        yield
    except BaseException:
        with suppress(OSError):  # somebody else put something into them
            for each in missing:
                each.rmdir()
        raise


def clear(final: Path) -> None:
    """Remove what killed writers of an output left; give an old output that one of them put aside its name back."""
    own = re.compile(re.escape(prefix_of(final)) + r"[0-9a-z_]+\.(part|old|lock)")
    with suppress(OSError):
        names = {entry.name for entry in os.scandir(final.parent) if own.fullmatch(entry.name)}
        for stem in sorted({final.parent / name.rpartition(".")[0] for name in names}):
            if (lock := _lock(stem)) is not None:
                with unheard_signals():
                    old, part = _with(stem, "old"), _with(stem, "part")
                    with suppress(OSError):
                        if os.path.lexists(old):
                            put_new(old, final)
                    remove(old)
                    remove(part)
                    _give_back(lock, left=os.path.lexists(old) or os.path.lexists(part))


def spare_of(part: Path) -> Path:
    """Where what a part replaces may be put aside."""
    return part.with_name(part.name.removesuffix(".part") + ".old")


def _reserved(final: Path) -> tuple[BaseFileLock | None, Path]:
    for _ in range(_TRIES):
        stem = final.parent / f"{prefix_of(final)}{os.urandom(4).hex()}"
        try:
            lock = _lock(stem)
        except OSError as error:
            if error.errno not in NO_LOCKS:
                raise
            remove(_with(stem, "lock"))
            return None, _with(stem, "part")  # nobody gets a lock there, so nobody takes it for a dead one's
        if lock is not None and os.path.lexists(lock.lock_file):  # else somebody who clears up took it for a dead one's
            return lock, _with(stem, "part")
    part = _with(stem, "part")
    part.touch(exist_ok=False)  # where nothing can be made, as in /proc, the system says so
    remove(part)
    return None, part


def _lock(stem: Path) -> BaseFileLock | None:
    """A lock that no other process has; None if one has it."""
    from filelock import FileLock, Timeout

    lock = FileLock(_with(stem, "lock"), timeout=0)
    try:
        lock.acquire()
    except Timeout:
        return None
    return lock


def _give_back(lock: BaseFileLock | None, *, left: bool) -> None:
    if lock is None:
        return
    with suppress(OSError):
        if not left and os.name == "posix":
            Path(lock.lock_file).unlink()  # while it is held: who waits for it finds that it is gone
    lock.release(force=True)
    with suppress(OSError):
        if not left and os.name != "posix":  # where nobody can remove what is open
            Path(lock.lock_file).unlink()


def _with(stem: Path, ending: str) -> Path:
    return stem.with_name(f"{stem.name}.{ending}")


@contextmanager
def unheard_signals() -> Iterator[None]:
    """Let no Ctrl-C or request to end come between: half a removal would leave what nobody looks for."""
    main = threading.current_thread() is threading.main_thread()
    names = [name for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)] if main else []
    before = {name: signal.signal(getattr(signal, name), signal.SIG_IGN) for name in names}
    try:
        yield
    finally:
        for name, handler in before.items():
            signal.signal(getattr(signal, name), handler)
