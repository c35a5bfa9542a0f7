"""Runs one input after the other, and keeps count of what came of them."""

from __future__ import annotations

import resource
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from sftkit.errors import SftkitError

#: Seconds after which an input is said to hang.
LONGEST = 20
#: Characters of what is said of a wrong input.
MOST_TOLD = 1500


class Hanging(BaseException):
    """An input took longer than ``LONGEST``."""


@dataclass
class Tally:
    """What came of the inputs.

    Attributes:
        kinds: "read", "refused", or what was raised that should not be -> how many.
        failed: (name of the input, what was raised) of those that were neither read nor refused in a line.
        slowest: seconds, and the input's name.
    """

    kinds: Counter[str] = field(default_factory=Counter)
    failed: list[tuple[str, str]] = field(default_factory=list)
    slowest: tuple[float, str] = (0.0, "")
    begun: float = field(default_factory=time.perf_counter)
    memory: int = field(default_factory=lambda: _memory())

    def attempt(self, name: str, call: Callable[[], Any]) -> None:
        """One input: ``call`` raises a :class:`SftkitError` of a line, or nothing."""
        start = time.perf_counter()
        try:
            with _limited():
                call()
            kind = "read"
        except SftkitError as error:
            told = str(error)
            kind = (
                "refused"
                if told and "\n" not in told.strip() and len(told) < MOST_TOLD
                else f"told at length: {told!r:.300}"
            )
        except (Exception, Hanging) as error:
            kind = f"{type(error).__name__}: {' '.join(str(error).split()):.300}"
        self.kinds[kind.split(":")[0]] += 1
        if kind not in ("read", "refused"):
            self.failed.append((name, kind))
        self.slowest = max(self.slowest, (time.perf_counter() - start, name))

    def figures(self) -> str:
        """Inputs, seconds, what came of them, the slowest, and how much the process grew."""
        kinds = ", ".join(f"{kind} {count:,}" for kind, count in self.kinds.most_common())
        return (
            f"{sum(self.kinds.values()):,} inputs in {time.perf_counter() - self.begun:,.1f} s: {kinds}; "
            f"slowest {self.slowest[0]:.2f} s ({self.slowest[1]}); "
            f"memory grew by {(_memory() - self.memory) / 1e6:,.0f} MB at most"
        )


def _memory() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


@contextmanager
def _limited() -> Iterator[None]:
    def late(*_: Any) -> None:
        raise Hanging(f"more than {LONGEST} s")

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(LONGEST)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
