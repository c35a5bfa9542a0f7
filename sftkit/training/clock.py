"""How long the parts of a run take."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager


class Clock:
    """Wall seconds of "phase1", "select" and "phase2": ``with clock("select"): …``."""

    def __init__(self) -> None:
        self.seconds = {"phase1": 0.0, "select": 0.0, "phase2": 0.0}

    @contextmanager
    def __call__(self, name: str) -> Iterator[None]:
        """The part that begins."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[name] += time.perf_counter() - start

    def take(self) -> dict[str, float]:
        """The seconds so far; those of phase 2 start again at 0, for the next SFT's."""
        taken = dict(self.seconds)
        self.seconds["phase2"] = 0.0
        return taken
