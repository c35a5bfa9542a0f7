"""Work on the pieces of several files, shared out to threads so that two write into one file as seldom as can be.

A system lets one write into a file at a time, and lets the others burn the processor until it is their turn. Where
there are as many files as threads, each thread has one of its own; the last file is shared.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import Lock
from typing import TypeVar, cast

#: Threads for work on arrays: numpy lets go of the interpreter for most of it, but not for all.
THREADS = min(4, os.cpu_count() or 1)

P = TypeVar("P")
R = TypeVar("R")


def in_turns(files: Sequence[Sequence[P]], work: Callable[[int, P], R], close: Callable[[int], None]) -> list[list[R]]:
    """Do the work of every piece, several at a time, and close each file once its pieces are done.

    Args:
        files: the pieces of each file, in the order in which they are begun.
        work: takes a file's number and a piece; called on threads, as ``close`` is.
        close: takes a file's number. So many files as there are threads are begun and not closed, at most.

    Returns:
        What ``work`` returned, in the order of ``files``.

    Raises:
        Exception: the first that ``work`` or ``close`` raised; nothing is begun after it.
    """
    turns = _Turns([len(pieces) for pieces in files])
    results: list[list[R | None]] = [[None] * len(pieces) for pieces in files]

    def worker() -> None:
        try:
            while (turn := turns.take()) is not None:
                file, place = turn
                if place < len(files[file]):
                    results[file][place] = work(file, files[file][place])
                if turns.give_back(file):
                    close(file)
        except BaseException:
            turns.stop()
            raise

    count = THREADS + 1  # for one or another waits for the disk
    with ThreadPoolExecutor(count) as pool:
        try:
            for each in [pool.submit(worker) for _ in range(count)]:
                each.result()
        finally:
            turns.stop()
    return cast("list[list[R]]", results)


class _Turns:
    """Whose turn it is: the next piece of the file on which the fewest are at work."""

    def __init__(self, sizes: Sequence[int]) -> None:
        self._left = [deque(range(size or 1)) for size in sizes]  # a file without pieces is to be closed, too
        self._busy, self._lock, self._stopped = [0] * len(sizes), Lock(), False

    def take(self) -> tuple[int, int] | None:
        """A file and the place of a piece in it; None if there is nothing more to do."""
        with self._lock:
            open_files = [number for number, left in enumerate(self._left) if left]
            if self._stopped or not open_files:
                return None
            file = min(open_files, key=lambda number: self._busy[number])
            self._busy[file] += 1
            return file, self._left[file].popleft()

    def give_back(self, file: int) -> bool:
        """Say that a piece of a file is done: whether it was the file's last."""
        with self._lock:
            self._busy[file] -= 1
            return not self._left[file] and not self._busy[file]

    def stop(self) -> None:
        """Give out nothing more."""
        self._stopped = True
