"""The Typer application: which commands there are, in which order, and what becomes of an error.

Commands import what they need when they run, so that ``--help`` and the light commands never pay for torch.
"""

from __future__ import annotations

import errno
import os
from typing import Any

import typer
from typer.core import TyperGroup

from sftkit import __version__
from sftkit.cli import _render
from sftkit.cli._signals import Terminated, ended_in_order
from sftkit.errors import SftkitError


class _Group(TyperGroup):
    """Keeps the commands in the order of registration and turns exceptions into one line and an exit status."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Names in the order in which they were registered."""
        del ctx
        return list(self.commands)

    def invoke(self, ctx: Any) -> Any:
        """Run the command; what goes wrong becomes a line and a status. SFTKIT_DEBUG=1 lets tracebacks through."""
        try:
            with ended_in_order():
                return super().invoke(ctx)
        except (typer.TyperException, typer.Exit, typer.Abort):
            raise
        except (Exception, KeyboardInterrupt) as error:
            if isinstance(error, Exception) and os.environ.get("SFTKIT_DEBUG") == "1":
                raise
            raise typer.Exit(_explained(error)) from None


def _explained(error: Exception | KeyboardInterrupt) -> int:
    """Say what went wrong on standard error; returns the exit status."""
    if isinstance(error, KeyboardInterrupt):
        _render.error(str(error) or "interrupted")
        return 128 + error.number if isinstance(error, Terminated) else 130
    if isinstance(error, BrokenPipeError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # the reader went away, as `head` does
        return 0
    if isinstance(error, SftkitError):
        _render.error(str(error))
    elif isinstance(error, OSError):
        where = f"{error.filename}: " if error.filename else ""
        hint = " Make room, or choose an --output elsewhere." if error.errno == errno.ENOSPC else ""
        _render.error(f"{where}{error.strerror or error}.{hint}")
    else:
        _render.error(
            f"internal error: {type(error).__name__}: {' '.join(str(error).split())[:300]}\n"
            "This is a bug in sftkit. SFTKIT_DEBUG=1 shows where; please report it."
        )
    return 1


app = typer.Typer(
    name="sftkit",
    cls=_Group,
    help="Learn, add, subtract and look into sparse fine-tunings (SFTs) of language models.",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(value: bool) -> None:
    if value:
        typer.echo(f"sftkit {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: bool = typer.Option(
        False, "--version", callback=_version, is_eager=True, help="Show the version and exit."
    ),
) -> None:
    del version


def _register() -> None:
    """Commands in the order in which ``--help`` shows them."""
    # their modules import nothing heavy until they run
    from sftkit.cli.compose import compose
    from sftkit.cli.convert import convert
    from sftkit.cli.demo import demo
    from sftkit.cli.evaluate import evaluate
    from sftkit.cli.inspect import inspect
    from sftkit.cli.overlap import overlap
    from sftkit.cli.subtract import subtract
    from sftkit.cli.train import train

    app.command()(demo)
    app.command()(train)
    app.command()(compose)
    app.command()(subtract)
    app.command()(inspect)
    app.command()(overlap)
    app.command()(evaluate)
    app.command()(convert)
    # push, pull


_register()
