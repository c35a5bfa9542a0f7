"""The Typer application: which commands there are, in which order, and what becomes of an error.

A command's module is imported, and its options are built, when that command is called; what it needs is imported when
it runs. So ``--help`` and the light commands pay neither for each other nor for torch.
"""

from __future__ import annotations

import os
import re
import time
from importlib import import_module
from pathlib import Path
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

from sftkit import __version__
from sftkit.cli.options.arguments import expanded
from sftkit.cli.options.completions import ASKED, complete_files, complete_quickly
from sftkit.cli.run import usage
from sftkit.cli.run.failures import line
from sftkit.cli.run.signals import Terminated, ended_in_order
from sftkit.cli.show import render
from sftkit.errors import SftkitError
from sftkit.shown import meant, shown_on_a_line

#: Commands in the order in which ``--help`` shows them, and the first line of their docstrings. Each is the function of
#: its name in ``sftkit.cli.commands.<name>``.
SUMMARIES = {
    "demo": "Show the whole method in miniature: offline, on invented languages, in about three minutes.",
    "data": "Look at data before training: counts, labels, pieces, what windows cut, duplicates, what is suspicious.",
    "train": "Learn one SFT: tune all, keep the K entries that moved most, rewind, tune only those.",
    "compose": "Add SFTs to a base model, or to each other.",
    "subtract": "Take SFTs out of a model, an SFT from another, or the difference of two models.",
    "inspect": "Show what an SFT holds: K, density, where in the model, how large, which tokens, where it comes from.",
    "overlap": "Show how much SFTs overlap, for every pair of them, and what chance would give.",
    "evaluate": "Score a model on labelled data, or a base with SFTs that are added in memory.",
    "predict": "Label text that has no labels: a sentence a line, or what the task's own files are, with blanks.",
    "convert": "Convert an SFT published as pytorch_diff.bin to .sft, or an .sft file back to that layout.",
    "push": "Upload an SFT to the hub, with a model card made from what it says of itself.",
    "pull": "Download an SFT from the hub, and check it; one that was published as pytorch_diff.bin is converted.",
    "sweep": "Train and score a grid of languages, tasks, methods, densities and seeds; what is done already stays.",
    "plot": "Draw the paper's figures from a sweep's results, or write its tables.",
    "report": "Write one page about SFTs: what they are, where their entries sit, how they were learned and overlap.",
    "help": "Show the documentation's pages: getting started, the method, transfer, troubleshooting and the rest.",
}
#: Seconds by which one of a launcher's processes may be slower than another.
_PATIENCE = 10.0
_CONTEXT = {"help_option_names": ["-h", "--help"]}


def _switches_off(params: list[Any]) -> list[Any]:
    """Options as they are; the default of Typer's own is None, for which it imports pydantic."""
    for param in params:
        if not param.expose_value:
            param.default = param.default or False
    return params


class _Command(TyperCommand):
    """Shows its help as sftkit does."""

    def get_params(self, ctx: Any) -> list[Any]:
        """The options and arguments."""
        return _switches_off(super().get_params(ctx))

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Print the help; the formatter stays empty."""
        del formatter
        _show_help(self, ctx)

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        """What follows the command's name."""
        arguments = (each for each in self.get_params(ctx) if each.param_type_name == "argument")
        return ["[OPTIONS]", *(each.metavar or each.name.upper() for each in arguments)]

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Options and arguments; a ~ in them is the home folder."""
        ctx.obj = list(args)  # as typed, for what is told of it and a command that is suggested next
        rest = super().parse_args(ctx, args)
        ctx.params.update({name: expanded(value) for name, value in ctx.params.items()})
        named = {each.name: each for each in self.params if each.param_type_name == "argument" or each.name == "output"}
        called = {name: str(each.opts[0] if name == "output" else each.metavar) for name, each in named.items()}
        usage.check_named(ctx.params, called, ctx.obj)
        return rest


def _answer_ourselves() -> None:
    from sftkit.cli.options.shells import offer

    offer()


def _show_help(command: Any, ctx: Any) -> None:
    from sftkit.cli.show.help import show_help

    show_help(command, ctx)


class _Group(TyperGroup):
    """Lists commands by summary, builds the one that is called, and turns exceptions into a line and an exit status."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        for name, summary in SUMMARIES.items():
            self.add_command(TyperCommand(name, help=summary))

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Print the help; the formatter stays empty."""
        del formatter
        _show_help(self, ctx)

    def get_params(self, ctx: Any) -> list[Any]:
        """The options."""
        return _switches_off(super().get_params(ctx))

    def main(self, *args: Any, **settings: Any) -> Any:
        """Run the command line, or answer a shell that asks what there could be."""
        if os.environ.get(ASKED):
            _answer_ourselves()
        return super().main(*args, **settings)

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Options of the program itself."""
        if args and args[0].endswith("-completion"):
            _answer_ourselves()
        alone = not args
        try:
            return super().parse_args(ctx, args)
        except typer.TyperException as error:
            if alone:  # then the help is shown
                raise
            raise typer.Exit(_told(error)) from None

    def list_commands(self, ctx: Any) -> list[str]:
        """Names in the order of ``SUMMARIES``."""
        del ctx
        return list(self.commands)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """The command that is called, with its options."""
        if args and args[0] not in self.commands and not args[0].startswith("-"):
            near = meant(args[0], self.commands) or _page(args[0])
            file = Path(args[0]).suffix == ".sft" or Path(args[0]).exists()
            near = f" A file is looked into by sftkit inspect {args[0]}" if file else near
            ctx.fail(f"{args[0]}: there is no such command.{near}")
        name, listed, rest = super().resolve_command(ctx, args)
        return name, built(name) if name and listed else listed, rest

    def invoke(self, ctx: Any) -> Any:
        """Run the command; what goes wrong becomes a line and a status. SFTKIT_DEBUG=1 lets tracebacks through."""
        try:
            with ended_in_order():
                return super().invoke(ctx)
        except (typer.Exit, typer.Abort):
            raise
        except typer.TyperException as error:
            _let_the_first_say_it()
            raise typer.Exit(_told(error)) from None
        except (Exception, KeyboardInterrupt) as error:
            if isinstance(error, Exception) and os.environ.get("SFTKIT_DEBUG") == "1":
                raise
            raise typer.Exit(_explained(error, ctx.invoked_subcommand or "")) from None


def _told(error: Any) -> int:
    """Say what is wrong with a command line; returns the exit status."""
    if hasattr(error, "message"):
        error.message = shown_on_a_line(str(error.message) + _nearest(error))  # names of files are in it
    return usage.tell(error)


def _nearest(error: Any) -> str:
    """What may have been meant by an option that there is not."""
    if re.match(r"-\d", str(getattr(error, "option_name", ""))):
        return ". A negative weight is written x.sft:-0.5"
    if not getattr(error, "possibilities", None) or error.ctx is None:
        return ""
    error.possibilities = ()
    return "." + meant(error.option_name, (name for each in error.ctx.command.params for name in each.opts))


def _explained(error: Exception | KeyboardInterrupt, command: str) -> int:
    """Say what went wrong on standard error; returns the exit status."""
    if isinstance(error, KeyboardInterrupt):
        render.error(str(error) or "interrupted")
        return 128 + error.number if isinstance(error, Terminated) else 130
    if isinstance(error, BrokenPipeError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # the reader went away, as `head` does
        return 0
    if isinstance(error, SftkitError):
        _let_the_first_say_it()
        render.error(*map(str, error.args[:2]))  # what is wrong; what else there is to say
    else:
        render.error(*line(error, command).split("\n", 1))
    return 1


def _let_the_first_say_it() -> None:
    """Wait, in all but the first of a launcher's processes: what is wrong is most often wrong in each of them.

    The launcher ends this process meanwhile, if the first one fails. Else there is something that it does not know of.
    """
    if os.environ.get("LOCAL_RANK", "0") != "0":
        time.sleep(_PATIENCE)


#: What the first words are of what a newcomer sees.
_HELP = """Learn, add, subtract and look into sparse fine-tunings (SFTs) of language models.

\b
First:      sftkit demo            the whole method in three minutes, offline
The pages:  sftkit help            getting started, the method, transfer, …
A command:  sftkit COMMAND --help  all its options, with examples
"""

app = typer.Typer(
    name="sftkit",
    cls=_Group,
    help=_HELP,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings=_CONTEXT,
)


def _version(value: bool) -> None:
    if value:
        typer.echo(f"sftkit {__version__}")
        raise typer.Exit


def _page(word: str) -> str:
    """Where a word is a page of the documentation and no command."""
    from importlib.resources import files

    there = word.isalpha() and (files("sftkit") / f"docs/{word}.md").is_file()
    return f" It is a page: sftkit help {word}" if there else ""


@app.callback()
def _root(
    version: bool = typer.Option(
        False, "--version", callback=_version, is_eager=True, help="Show the version and exit."
    ),
) -> None:
    del version


def built(name: str) -> TyperCommand:
    """One command with its options and arguments, from its function."""
    alone = typer.Typer(add_completion=False)
    module = import_module(f"sftkit.cli.commands.{name}")
    settings = _CONTEXT | getattr(module, "CONTEXT", {})
    alone.command(name, cls=_Command, context_settings=settings)(getattr(module, name))
    command = typer.main.get_command(alone)
    assert isinstance(command, TyperCommand)
    for param in command.params:
        complete_files(param)
        complete_quickly(param)
    return command
