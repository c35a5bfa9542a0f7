"""Writes ``sftkit/docs/options.md`` from the program, as a test asks: ``python -m tests.options_page``."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import sftkit
from sftkit.cli.app import SUMMARIES, built

PAGE = Path(sftkit.__file__).parent / "docs" / "options.md"
_HEAD = """# Options

All arguments and options of every command; made from the program, as `--help` is. `train` takes all of its options
from a file, too: `--config run.toml`, by their long names (`mlm = ["mt.txt"]`, `density = 0.08`, `pack = false`); those
on the command line win. Every command has `--help`.
"""


def text() -> str:
    """The page."""
    return _HEAD + "".join(f"\n## {name}\n\n{summary}\n\n" + _table(name) for name, summary in SUMMARIES.items())


def _table(command: str) -> str:
    rows = [_row(param) for param in built(command).params if not getattr(param, "hidden", False)]
    return "\n".join(["| option | value | what |", "|---|---|---|", *rows]) + "\n"


def _row(param: Any) -> str:
    if param.param_type_name == "argument":
        return _cells(f"`{param.metavar or param.name.upper()}`", "", param.help or "")
    names = ", ".join(f"`{name}`" for name in (*param.opts, *param.secondary_opts))
    value = "" if param.is_flag else f"`{param.metavar or _kind(param)}`"
    return _cells(names, value, " ".join(_said(param)))


def _kind(param: Any) -> str:
    annotation = param.type_descriptor.annotation
    return str(getattr(annotation, "__name__", "value")).upper()


def _said(param: Any) -> Iterator[str]:
    yield " ".join((param.help or "").split())
    if param.show_default and not param.is_flag and param.default not in (None, "", ()):
        yield f"Default: {param.default}."
    if param.envvar:
        yield f"Else `${param.envvar}`."


def _cells(*cells: str) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


if __name__ == "__main__":
    PAGE.write_text(text(), encoding="utf-8")
