"""sftkit: composable sparse fine-tuning. The Python interface is ``sftkit.read`` and what ``sftkit.api`` offers."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sftkit.api import SFT

__version__ = "0.1.0"


def read(path: str | Path) -> SFT:
    """Read a whole ``.sft`` file into memory.

    Raises:
        FormatError: if anything in it is not what the format asks for.
    """
    from sftkit.api import read as read_file  # numpy and scipy come in here, not when a command starts

    return read_file(path)
