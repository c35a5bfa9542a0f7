"""SIGTERM and SIGHUP end a command as Ctrl-C does: temporary files are removed, and a line says so."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class Terminated(KeyboardInterrupt):
    """A signal asked the program to end. A KeyboardInterrupt: whoever cleans up after Ctrl-C does it here, too."""

    number: int = signal.SIGTERM


@contextmanager
def terminated_in_order() -> Iterator[None]:
    """Raise :class:`Terminated` on SIGTERM and SIGHUP inside the block; does nothing outside the main thread."""
    names = [name for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]
    if threading.current_thread() is not threading.main_thread():
        names = []
    before = {name: signal.signal(getattr(signal, name), _terminate) for name in names}
    try:
        yield
    finally:
        for name, handler in before.items():
            signal.signal(getattr(signal, name), handler)


def _terminate(number: int, frame: FrameType | None) -> None:
    del frame
    stop = Terminated(f"ended by {signal.Signals(number).name}")
    stop.number = number
    raise stop
