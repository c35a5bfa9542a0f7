"""What ``completions/`` holds: Typer's completion scripts for bash, zsh and fish, as text.

``python -m sftkit.cli.options.completions FOLDER`` writes them; a test fails when the folder is stale.
"""

from __future__ import annotations

import sys
from pathlib import Path

from typer.completion import get_completion_script  # type: ignore[attr-defined]  # not in its __all__

#: File name -> shell, by the names under which the shells look for them.
FILES = {"sftkit.bash": "bash", "_sftkit": "zsh", "sftkit.fish": "fish"}


def scripts() -> dict[str, str]:
    """File name -> content."""
    return {
        name: get_completion_script(prog_name="sftkit", complete_var="_SFTKIT_COMPLETE", shell=shell) + "\n"
        for name, shell in FILES.items()
    }


def write(folder: Path) -> None:
    """Write every script into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in scripts().items():
        (folder / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    write(Path(sys.argv[1]))
