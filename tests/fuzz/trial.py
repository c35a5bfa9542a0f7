"""Runs one input after the other, and keeps count of what came of them."""

from __future__ import annotations

import resource
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from sftkit.errors import SftkitError

#: Seconds of the clock after which an input is said to hang.
LONGEST = 20
#: Characters of what is said of a wrong input.
MOST_TOLD = 1500
#: How many failures are told.
_MOST_FAILED = 20


class Hanging(BaseException):
    """An input took longer than ``LONGEST``."""


@dataclass
class Tally:
    """What came of the inputs.

    Attributes:
        longest: seconds of the processor that an input may take.
        most_memory: bytes by which the process may grow, over ten times the input's own.
        kinds: "read", "refused", or what was raised that should not be -> how many.
        failed: (name of the input, what was raised) of the first of those that were neither read nor refused in a line.
        slowest: seconds of the processor, and the input's name.
        grown: bytes by which the process grew at most, since it began.
    """

    longest: float = 1.0
    most_memory: int = 100_000_000
    kinds: Counter[str] = field(default_factory=Counter)
    failed: list[tuple[str, str]] = field(default_factory=list)
    slowest: tuple[float, str] = (0.0, "")
    grown: int = 0
    _begun: float = field(default_factory=time.perf_counter)
    _memory: int = field(default_factory=lambda: _most_resident())

    def attempt(self, name: str, call: Callable[[], Any], size: int = 0) -> bool:
        """One input of so many bytes; gives whether ``call`` raised a :class:`SftkitError` of a line, or nothing."""
        start = time.process_time()
        kind = _kind(call)
        seconds = time.process_time() - start
        grown = _most_resident() - self._memory
        if kind in ("read", "refused") and seconds > self.longest:
            kind = f"slow: {seconds:.2f} s"
        if kind in ("read", "refused") and grown - self.grown > self.most_memory + 10 * size:
            kind = f"large: {grown - self.grown:,} bytes"
        self.kinds[kind.split(":")[0]] += 1
        self.slowest, self.grown = max(self.slowest, (seconds, name)), max(self.grown, grown)
        right = kind in ("read", "refused")
        if not right and len(self.failed) < _MOST_FAILED:
            self.failed.append((name, kind))
        return right

    def tell(self, what: str) -> int:
        """Print the figures, and what failed; gives how many did."""
        for name, kind in self.failed:
            print(f"{name}\n    {kind}")
        print(f"{what}: {self.figures()}")
        sys.stdout.flush()
        return sum(count for kind, count in self.kinds.items() if kind not in ("read", "refused"))

    def figures(self) -> str:
        """Inputs, seconds, what came of them, the slowest, and how much the process grew."""
        kinds = ", ".join(f"{kind} {count:,}" for kind, count in self.kinds.most_common())
        return (
            f"{sum(self.kinds.values()):,} inputs in {time.perf_counter() - self._begun:,.1f} s: {kinds}; "
            f"slowest {self.slowest[0]:.3f} s ({self.slowest[1]}); memory grew by {self.grown / 1e6:,.0f} MB at most"
        )


def _kind(call: Callable[[], Any]) -> str:
    try:
        with _limited():
            call()
    except SftkitError as error:
        told = str(error).strip()
        return "refused" if told and "\n" not in told and len(told) < MOST_TOLD else f"told at length: {told!r:.300}"
    except (Exception, Hanging) as error:
        return f"{type(error).__name__}: {' '.join(str(error).split()):.300}"
    return "read"


def _most_resident() -> int:
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
        signal.signal(signal.SIGALRM, before or signal.SIG_DFL)
