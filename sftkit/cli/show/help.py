"""What ``--help`` shows: usage, what the command does, and its arguments, options and commands in panels.

Two columns, what an option is called and what it does, so that eighty characters are enough for whole words.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from sftkit.cli.show import render
from sftkit.declared import GROUPS

#: The fewest characters of a line, and the most: longer ones are hard to read.
_NARROWEST, _WIDEST = 50, 100
#: Options of a command that are seen at a glance: more stand in groups.
_FEW = 12


def show_help(command: Any, ctx: Any) -> None:
    """Print a command's help to standard output."""
    console = render.stdout()
    console.width = max(_NARROWEST, min(shutil.get_terminal_size().columns, _WIDEST))
    console.print(Text(f"\n {command.get_usage(ctx)}\n", "bold"))
    for paragraph in (command.help or "").split("\n\n"):
        as_typed = paragraph.startswith("\b\n")
        text = Text(paragraph[2:] if as_typed else " ".join(paragraph.split()))
        for line in text.split() if as_typed else text.wrap(console, console.width - 2):  # a command is never broken
            console.print(Text(" ").append_text(line), soft_wrap=True)
        console.print()
    params = [each for each in command.get_params(ctx) if not getattr(each, "hidden", False)]
    options = [each for each in params if each.param_type_name == "option"]
    titles = ["Arguments", *(GROUPS if len(options) > _FEW else ["Options"])]
    groups: dict[str, list[Any]] = {title: [] for title in titles}
    for each in params:
        group = getattr(each, "rich_help_panel", None)
        groups[group if group in groups else titles[-1 if each in options else 0]].append(each)
    width = max((len(_left(each)) for each in params), default=0)
    for title, some in groups.items():
        _panel(console, title, ((_left(each), " ".join(said(each))) for each in some), width)
    commands: Mapping[str, Any] = getattr(command, "commands", {})
    _panel(
        console,
        "Commands",
        ((Text(name), each.help) for name, each in commands.items()),
        max(map(len, commands), default=0),
    )


def _panel(console: Any, title: str, rows: Iterable[tuple[Text, str]], width: int) -> None:
    table = Table.grid(padding=(0, 2, 0, 0), expand=True)
    table.add_column(no_wrap=True, width=width, style="bold cyan")
    table.add_column(ratio=1, overflow="fold")
    for left, right in rows:
        table.add_row(left, Text(right))
    if table.row_count:
        console.print(Panel(table, title=title, title_align="left", border_style="dim"))


def _left(param: Any) -> Text:
    """What a parameter is called, and its value."""
    if param.param_type_name == "argument":
        return Text(param.metavar or param.name.upper())
    names = Text(", ".join((*sorted(param.opts, key=len, reverse=True), *param.secondary_opts)))
    return names if param.is_flag else names.append(f" {value_of(param)}", "yellow")


def value_of(param: Any) -> str:
    """What an option's value is called."""
    kind = getattr(param.type_descriptor.annotation, "__name__", "value")
    return str(param.metavar or {"int": "N", "float": "X", "str": "TEXT", "Path": "FILE"}.get(kind, kind.upper()))


def said(param: Any) -> Iterator[str]:
    """What is to be said of a parameter: what it does, and its default."""
    yield " ".join((param.help or "").split())
    is_option = param.param_type_name == "option"
    if is_option and param.show_default and not param.is_flag and param.default not in (None, "", ()):
        yield f"Default: {getattr(param.default, 'value', param.default)}."
    if is_option and param.required:
        yield "Needed."
