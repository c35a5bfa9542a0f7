"""How long the parts of a run take."""

from __future__ import annotations

import time


class Clock:
    """Wall seconds of "phase1", "select" and "phase2": ``with clock("select"): …``."""

    def __init__(self) -> None:
        self.seconds = {"phase1": 0.0, "select": 0.0, "phase2": 0.0}
        self._name = ""
        self._start = 0.0

    def __call__(self, name: str) -> Clock:
        """Name the part that begins."""
        self._name = name
        return self

    def __enter__(self) -> None:
        self._start = time.perf_counter()

    def __exit__(self, *_: object) -> None:
        self.seconds[self._name] += time.perf_counter() - self._start

    def take(self) -> dict[str, float]:
        """The seconds so far; those of phase 2 start again at 0, for the next SFT's."""
        taken = dict(self.seconds)
        self.seconds["phase2"] = 0.0
        return taken
