"""The Typer application: which commands there are, in which order, and what becomes of an error.

Commands import what they need when they run, so that ``--help`` and the light commands never pay for torch.
"""

from __future__ import annotations

import os
from typing import Any

import typer
from typer.core import TyperGroup

from sftkit import __version__
from sftkit.cli import _render
from sftkit.errors import SftkitError


class _Group(TyperGroup):
    """Keeps the commands in the order of registration and turns exceptions into one line and an exit status."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Names in the order in which they were registered."""
        del ctx
        return list(self.commands)

    def invoke(self, ctx: Any) -> Any:
        """Run it: status 1 if it could not be done, 130 after Ctrl-C. SFTKIT_DEBUG=1 lets tracebacks through."""
        debug = os.environ.get("SFTKIT_DEBUG") == "1"
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt as interrupt:
            _render.error(str(interrupt) or "interrupted")
            raise typer.Exit(130) from None
        except SftkitError as error:
            if debug:
                raise
            _render.error(str(error))
            raise typer.Exit(1) from None
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # the reader went away, as `head` does
            raise typer.Exit(0) from None
        except OSError as error:
            if debug:
                raise
            where = f"{error.filename}: " if error.filename else ""
            _render.error(f"{where}{error.strerror or error}")
            raise typer.Exit(1) from None
        except (typer.TyperException, typer.Exit, typer.Abort):
            raise
        except Exception as error:
            if debug:
                raise
            _render.error(
                f"internal error: {type(error).__name__}: {' '.join(str(error).split())[:300]}\n"
                "This is a bug in sftkit. SFTKIT_DEBUG=1 shows where; please report it."
            )
            raise typer.Exit(1) from None


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
