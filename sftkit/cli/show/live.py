"""A bar that leaves no trace, and that notes go above. Imported where one is shown: rich's take a while to load."""

from __future__ import annotations

from rich.progress import Progress, ProgressColumn

from sftkit.cli.show import render


class Bar(Progress):
    """A bar on standard error that goes away at its end; while it is up, notes are printed above it."""

    def __init__(self, *columns: str | ProgressColumn) -> None:
        super().__init__(*columns, console=render.stderr(), transient=True, redirect_stdout=False)

    def start(self) -> None:
        """Put it up."""
        super().start()
        if self.console not in render.busy:
            render.busy.append(self.console)

    def stop(self) -> None:
        """Take it away."""
        super().stop()
        if self.console in render.busy:
            render.busy.remove(self.console)
