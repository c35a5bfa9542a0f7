"""Writes ``sftkit/docs/options.md`` from the program, as a test asks: ``python -m tests.options_page``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import sftkit
from sftkit.cli.app import SUMMARIES, built
from sftkit.cli.show.help import said, value_of

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
    what = " ".join(" ".join(said(param)).split())
    if param.param_type_name == "argument":
        return _cells(f"`{param.metavar or param.name.upper()}`", "", what)
    names = ", ".join(f"`{name}`" for name in (*param.opts, *param.secondary_opts))
    return _cells(names, "" if param.is_flag else f"`{value_of(param)}`", what)


def _cells(*cells: str) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


if __name__ == "__main__":
    PAGE.write_text(text(), encoding="utf-8")
