"""Ctrl-C, SIGTERM and SIGHUP end a command in order: temporary files are removed, and a line says so.

An exception that is raised by a signal can be lost: Python drops it where it hits a destructor or a callback, and
prints it, which is kept from it here. So a request to end is also remembered, and long work asks for it with
:func:`check` now and then.
"""

from __future__ import annotations

import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_asked: list[KeyboardInterrupt] = []
_asked_at = 0.0
_patient = False
#: Launchers pass on a Ctrl-C that their processes have got themselves: within so many seconds it is the same one.
_SAME = 1.0


class Terminated(KeyboardInterrupt):
    """A signal asked the program to end. A KeyboardInterrupt: whoever cleans up after Ctrl-C does it here, too."""

    number: int = signal.SIGTERM


@contextmanager
def ended_in_order() -> Iterator[None]:
    """Raise KeyboardInterrupt on SIGINT and :class:`Terminated` on SIGTERM and SIGHUP inside the block.

    Does nothing outside the main thread.
    """
    _asked.clear()
    be_patient(False)
    names = [name for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]
    if threading.current_thread() is not threading.main_thread():
        names = []
    before = {name: signal.signal(getattr(signal, name), _end) for name in names}
    print_lost = sys.unraisablehook
    sys.unraisablehook = lambda lost: None if lost.exc_value in _asked else print_lost(lost)
    try:
        yield
    finally:
        sys.unraisablehook = print_lost
        for name, handler in before.items():
            signal.signal(getattr(signal, name), handler)


def be_patient(patient: bool) -> None:
    """From now on a first signal is only remembered, for :func:`check`, and a second one ends at once; or no longer."""
    global _patient
    _patient = patient


def check() -> None:
    """Raise again what a signal asked for, in case it was lost on the way.

    Raises:
        KeyboardInterrupt: if a signal asked the program to end.
    """
    if _asked:
        raise _asked[-1]


@contextmanager
def kept() -> Iterator[None]:
    """Take an error inside the block that came after a signal for the signal: C code that is hit makes one of its own.

    Raises:
        KeyboardInterrupt: in the error's place.
    """
    try:
        yield
    except Exception:
        check()
        raise


def _end(number: int, frame: FrameType | None) -> None:
    global _asked_at
    del frame
    repeated = bool(_asked) and time.monotonic() - _asked_at > _SAME
    if number == signal.SIGINT:
        _asked.append(KeyboardInterrupt("interrupted"))
    else:
        stop = Terminated(f"ended by {signal.Signals(number).name}")
        stop.number = number
        _asked.append(stop)
    _asked_at = time.monotonic()
    if not _patient or repeated:
        raise _asked[-1]
