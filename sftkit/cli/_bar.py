"""How far the writing of a model is: a bar of bytes on a terminal, a line now and then where it is none."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from sftkit.cli import _render

_PLAIN_EVERY = 10.0  # seconds


@contextmanager
def bytes_bar(what: str, *, quiet: bool) -> Iterator[Callable[[int, int], None]]:
    """For the length of a ``with`` block, a function that takes the bytes done and the bytes in all."""
    console = _render.stderr()
    if quiet or not console.is_terminal:
        yield _lines(what, quiet=quiet)
        return
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

    columns = TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn(), TextColumn("left")
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task(what, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def _lines(what: str, *, quiet: bool) -> Callable[[int, int], None]:
    spoke = time.monotonic()

    def watch(done: int, total: int) -> None:
        nonlocal spoke
        if not quiet and time.monotonic() - spoke > _PLAIN_EVERY:
            spoke = time.monotonic()
            _render.stderr().print(f"{what}  {done / 1e9:.1f} of {total / 1e9:.1f} GB", soft_wrap=True)

    return watch
