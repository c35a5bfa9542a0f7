"""What tensors in a file may be called."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from sftkit.errors import FormatError
from sftkit.shown import is_name, quoted


def check_names(names: Iterable[str], where: Path) -> None:
    """Refuse names of tensors that a terminal would obey, that break lines, or that fill pages; no real one does.

    Raises:
        FormatError: quoting the name.
    """
    for name in names:
        if not is_name(name):
            raise FormatError(f"{where}: a tensor is called {quoted(name)}: too long for a name, or not plain text.")
