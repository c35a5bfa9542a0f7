"""How long the parts of a run take, in all its sessions together."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from sftkit.errors import SettingsError
from sftkit.training.engine.checkpoints import write_json

#: In a run's directory: seconds of its parts so far.
SECONDS = "seconds.json"


class Clock:
    """Wall seconds of "phase1", "select" and the phase 2 of each K: ``with clock("select"): …``.

    A run that goes on in its directory counts the time before, up to the last checkpoint of a session that was killed.
    """

    def __init__(self, path: Path | None = None) -> None:
        """Begin at 0, or at what an earlier session kept.

        Args:
            path: where the seconds are kept; None: nowhere.
        """
        self._path, self._seconds = path, dict[str, float]()
        self._running: dict[str, float] = {}
        if path is not None:
            with suppress(OSError, ValueError, TypeError, AttributeError):  # a time is worth no error
                before = json.loads(path.read_text(encoding="utf-8"))
                self._seconds = {str(part): float(seconds) for part, seconds in before.items()}

    @contextmanager
    def __call__(self, name: str) -> Iterator[None]:
        """The part that begins."""
        self._running[name] = time.perf_counter()
        try:
            yield
        finally:
            self.keep()
            del self._running[name]

    def keep(self) -> None:
        """Count what is under way up to now, and write it where it is kept."""
        now = time.perf_counter()
        for name, since in self._running.items():
            self._seconds[name] = self._seconds.get(name, 0.0) + now - since
            self._running[name] = now
        if self._path is not None and self._path.parent.is_dir():
            with suppress(OSError, SettingsError):
                write_json(self._path, self._seconds)

    def of(self, k: int) -> dict[str, float]:
        """Seconds of "phase1", "select" and "phase2" of the SFT that has K entries."""
        parts = {"phase1": "phase1", "select": "select", "phase2": phase2_of(k)}
        return {part: self._seconds.get(name, 0.0) for part, name in parts.items()}


def phase2_of(k: int) -> str:
    """What phase 2 of a K is called, and its folder."""
    return f"phase2-{k}"
