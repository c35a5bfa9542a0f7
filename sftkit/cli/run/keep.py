"""Where a result goes whose place is not to be had any more: it took hours, so it is kept wherever it can be.

Values that do not fit the dtype that they were to be stored in are kept as f32.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from sftkit.errors import FormatError, SftkitError
from sftkit.format.writing import write

if TYPE_CHECKING:
    from sftkit.format.sft import CsrDifference


def write_or_keep(
    output: Path, sft: CsrDifference, *, values: str, overwrite: bool, run_dir: Path | None
) -> tuple[Path, str]:
    """Write an SFT; if that fails, write it somewhere else.

    Args:
        output: where it was meant to go.
        sft: what.
        values: how φ is stored.
        overwrite: whether the output may be replaced. Nothing else is.
        run_dir: the run's directory, if it has one.

    Returns:
        Where it is; and "", or what was in the way.

    Raises:
        SftkitError, OSError: what was in the way, if there is no place at all.
    """
    try:
        write(output, sft, values=values, overwrite=overwrite)
    except (SftkitError, OSError) as error:
        for place in _places(output, run_dir):
            try:
                write(place, sft, values="f32" if isinstance(error, FormatError) else values)
            except (SftkitError, OSError):
                continue
            reason = f"{output}: {error.strerror or error}." if isinstance(error, OSError) else str(error)
            return place, f"{reason} What was learned is in {place}: move it from there with mv."
        raise
    return output, ""


def _places(output: Path, run_dir: Path | None) -> Iterator[Path]:
    """The run's directory, beside the output, the temporary folder: a short name that is free in each."""
    folders = [*([run_dir] if run_dir is not None else []), output.parent, Path(tempfile.gettempdir())]
    stem = os.fsencode(output.stem)[:80].decode("utf-8", "ignore") or "learned"
    for folder in folders:
        names = (folder / f"{stem}{number}.sft" for number in ("", *(f"-{n}" for n in range(2, 1000))))
        place = next((name for name in names if not os.path.lexists(name) and name != output), None)
        if place is not None and folder.is_dir():
            yield place
