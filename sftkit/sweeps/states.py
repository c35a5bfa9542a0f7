"""Which cells are done: all that they write is there and no older than what they read. As Snakemake sees it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from sftkit.sweeps.cells import SweepCell

#: What is there, what has to be made again since something that it was made from changed, what was begun, what is not.
DONE, OLD, BEGUN, MISSING = "done", "old", "begun", "missing"


def states(cells: Mapping[str, SweepCell]) -> dict[str, str]:
    """Record -> state, of cells in the order in which they need each other or in any."""
    makers = {output: cell for cell in cells.values() for output in cell.outputs}
    found: dict[str, str] = {}

    def state(cell: SweepCell) -> str:
        if cell.record not in found:
            found[cell.record] = MISSING  # whatever needs itself is never done
            found[cell.record] = _state(
                cell, any(state(makers[name]) != DONE for name in cell.inputs if name in makers)
            )
        return found[cell.record]

    for cell in cells.values():
        state(cell)
    return found


def _state(cell: SweepCell, waits: bool) -> str:
    times = [_time(name) for name in cell.outputs]
    if any(time is None for time in times):
        return BEGUN if cell.resume and Path(cell.resume).is_dir() else MISSING
    read = [time for name in cell.inputs if (time := _time(name)) is not None]
    newest, oldest = max(read, default=0), min(time for time in times if time is not None)
    return OLD if waits or newest > oldest else DONE


def _time(name: str) -> int | None:
    try:
        return Path(name).stat().st_mtime_ns
    except OSError:
        return None
