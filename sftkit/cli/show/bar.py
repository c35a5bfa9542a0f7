"""How far the writing of a model, or the scoring of one, is: a bar on a terminal, else a line now and then."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.markup import escape

from sftkit.cli.run import signals
from sftkit.cli.show import render
from sftkit.cli.show.plan import duration

if TYPE_CHECKING:
    from rich.progress import Progress

#: Seconds between lines where no bar can be watched.
_PLAIN_EVERY = 10.0


def watched(*, quiet: bool) -> bool:
    """Whether a bar would be seen: not in a file, nor on a terminal that cannot move its cursor."""
    return not quiet and render.stderr().is_interactive


@contextmanager
def bytes_bar(what: str, *, quiet: bool) -> Iterator[Callable[[int, int], None]]:
    """For the length of a ``with`` block, a function that takes the bytes done and the bytes in all."""
    if not watched(quiet=quiet):
        yield _lines(what, quiet=quiet)
        return
    from rich.progress import BarColumn, DownloadColumn, TextColumn, TimeRemainingColumn

    from sftkit.cli.show.live import Bar

    columns = TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn(), TextColumn("left")
    with Bar(*columns) as bar:
        task = bar.add_task(what, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def _lines(what: str, *, quiet: bool) -> Callable[[int, int], None]:
    spoke = time.monotonic()

    def watch(done: int, total: int) -> None:
        nonlocal spoke
        if not quiet and time.monotonic() - spoke > _PLAIN_EVERY:
            spoke = time.monotonic()
            render.said(f"{what}  {done / 1e9:.1f} of {total / 1e9:.1f} GB")

    return watch


class CountingBar:
    """Counts examples, or windows of them, under a title that may change."""

    def __init__(self, progress: Progress | None, *, quiet: bool = False) -> None:
        self._progress, self._quiet = progress, quiet
        self._name, self._spoke = "", time.monotonic()
        self._task = progress.add_task("scoring", total=None, visible=False, count="") if progress is not None else None

    def begin(self, name: str) -> None:
        """The turn of a language."""
        self._name = f" {name}"
        if self._progress is not None and self._task is not None:
            self._progress.reset(self._task, description=escape(f"scoring {name}"), total=None, visible=True)

    def reading(self, what: str, lines: int, share: float | None) -> None:
        """So many lines of a long text were read."""
        signals.check()
        parts = [*([f"{lines:,} lines"] if lines else []), *([] if share is None else [f"{100 * share:.0f} %"])]
        told = f"{what}  {', '.join(parts)}"
        if self._progress is not None and self._task is not None:
            self._progress.update(self._task, description=escape(told), count="", visible=True)
        else:
            self._line(told)

    def watch(self, done: int, total: int) -> None:
        """So many are done of so many."""
        signals.check()
        if self._progress is not None and self._task is not None:
            told = escape(f"scoring{self._name}")
            count = f"{done:,}/{total:,}"
            self._progress.update(self._task, description=told, completed=done, total=total, count=count, visible=True)
        else:
            self._line(f"scoring{self._name}  {done:,} of {total:,}")

    def _line(self, text: str) -> None:
        if not self._quiet and time.monotonic() - self._spoke > _PLAIN_EVERY:
            self._spoke = time.monotonic()
            render.said(text)


@contextmanager
def counting_bar(*, quiet: bool) -> Iterator[CountingBar]:
    """A bar for scoring on a terminal, a line now and then where it is none."""
    if not watched(quiet=quiet):
        yield CountingBar(None, quiet=quiet)
        return
    from rich.progress import BarColumn, TextColumn, TimeRemainingColumn

    from sftkit.cli.show.live import Bar

    columns = TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[count]}"), TimeRemainingColumn()
    with Bar(*columns) as progress:
        yield CountingBar(progress)


@contextmanager
def cells_bar(todo: Mapping[str, float], *, quiet: bool) -> Iterator[Callable[[set[str]], None]]:
    """For the length of a ``with`` block, a function that takes which cells of a sweep are done.

    Args:
        todo: expected seconds of those that are not done yet, by record.
        quiet: show nothing.
    """
    console = render.stderr()
    whole, began, spoke = sum(todo.values()), time.monotonic(), time.monotonic()

    def told(done: set[str]) -> tuple[float, str]:
        """Expected seconds of what was done of it, and how it is said."""
        count = len(todo) - len(todo.keys() - done)
        return sum(each for record, each in todo.items() if record in done), f"{count} of {len(todo)} cells"

    if quiet or not console.is_terminal:

        def lines(done: set[str]) -> None:
            nonlocal spoke
            signals.check()
            if quiet or time.monotonic() - spoke < _PLAIN_EVERY:
                return
            spoke = time.monotonic()
            share, text = told(done)
            left = (whole - share) * (spoke - began) / share if share else None
            console.print(f"{text}{f', about {duration(left)} left' if left is not None else ''}", soft_wrap=True)

        yield lines
        return
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    columns = TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn(), TextColumn("left")
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task(f"0 of {len(todo)} cells", total=whole or None)

        def watch(done: set[str]) -> None:
            signals.check()
            share, text = told(done)
            bar.update(task, completed=share, description=text)

        yield watch
