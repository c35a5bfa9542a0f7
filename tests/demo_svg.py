"""Records the demo's last screen as the README's picture: ``python -m tests.demo_svg`` (some minutes)."""

from __future__ import annotations

import io
import os
import pty
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.terminal_theme import MONOKAI
from rich.text import Text

import sftkit

PICTURE = Path(sftkit.__file__).parent / "docs" / "demo.svg"
_WIDTH = 88


def recorded() -> str:
    """What ``sftkit demo`` prints on a terminal of that width, with its colours."""
    main, terminal = pty.openpty()
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "sftkit", "demo"]
        environment = os.environ | {"COLUMNS": str(_WIDTH), "TERM": "xterm-256color"}
        process = subprocess.Popen(command, cwd=folder, stdout=terminal, stderr=subprocess.DEVNULL, env=environment)
        os.close(terminal)
        pieces = []
        try:
            while piece := os.read(main, 1 << 16):
                pieces.append(piece)
        except OSError:  # how the end of a terminal is told
            pass
        if process.wait():
            raise SystemExit("the demo failed: run it by hand")
    return b"".join(pieces).decode()


def drawn(screen: str) -> str:
    """The screen's two tables as SVG, in whatever monospaced font there is."""
    console = Console(record=True, width=_WIDTH, file=io.StringIO())
    console.print(Text("$ sftkit demo", "bold"))
    console.print(Text.from_ansi(screen.replace("\r", "").partition("In sftkit-demo/")[0].rstrip()))
    made = console.export_svg(title="sftkit demo", theme=MONOKAI, unique_id="demo")
    made = made.replace("Fira Code, monospace", "monospace")
    return re.sub(r"@font-face \{.*?\}\s*", "", made, flags=re.DOTALL)


if __name__ == "__main__":
    PICTURE.write_text(drawn(recorded()), encoding="utf-8")
