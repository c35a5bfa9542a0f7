"""Snakemake does the work: how it is called, watched and ended, and what became of each cell.

One sweep at a time has a place. The lock is the system's and is handed on to Snakemake, so that it is held as long as
either lives, and nothing is left of it once both are gone; Snakemake's own, which a killed one leaves behind, is not
used.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from sftkit.errors import SettingsError
from sftkit.sweeps.cells import BEGAN, SweepCell
from sftkit.sweeps.document import Resources
from sftkit.sweeps.states import DONE, states

#: Seconds between two looks at what is done; that Snakemake has to end by itself.
_LOOK, _PATIENCE = 0.5, 60.0
#: Seconds for which a sweep may be on its way out.
_GOING = 15.0
SNAKEFILE, LOG, LOCK = "Snakefile", "snakemake.log", ".lock"


@dataclass(frozen=True)
class Failure:
    """A cell that failed: its log, and the last line there."""

    title: str
    log: str
    line: str


@dataclass(frozen=True)
class WorkflowOutcome:
    """What became of a run of the workflow.

    Attributes:
        status: Snakemake's.
        made: records of the cells that were done in it.
        failures: cells that failed.
        left: titles of those that were not begun, or not ended.
    """

    status: int
    made: tuple[str, ...]
    failures: tuple[Failure, ...]
    left: tuple[str, ...]


def check_engine() -> None:
    """See that Snakemake is there.

    Raises:
        SettingsError: saying how to get it.
    """
    if find_spec("snakemake") is None:
        raise SettingsError(
            "A sweep needs Snakemake, which is not installed here: python -m pip install 'snakemake>=9.10'"
        )


def command(place: Path, jobs: int, resources: Resources, extra: Sequence[str]) -> list[str]:
    """How Snakemake is called.

    Args:
        place: where the workflow is.
        jobs: cells at a time.
        resources: of a cell.
        extra: the user's own arguments; they win.
    """
    elsewhere = any(word.split("=")[0] in ("--profile", "--executor", "-e", "--workflow-profile") for word in extra)
    words = [sys.executable, "-m", "snakemake", "--snakefile", str(place / SNAKEFILE)]
    words += ["--jobs" if elsewhere else "--cores", str(jobs if elsewhere else jobs * resources.threads)]
    if not elsewhere:
        limits = [f"mem_mb={_memory()}"] if resources.memory else []
        limits += [f"gpu={_gpus()}"] if resources.gpu else []
        words += ["--scheduler", "greedy", *(["--resources", *limits] if limits else [])]
    words += ["--keep-going", "--rerun-incomplete", "--rerun-triggers", "mtime", "--nolock", "--printshellcmds"]
    return [*words, *extra]


def _memory() -> int:
    """The machine's memory in MB."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 10**6


def _gpus() -> int:
    """How many cells may have a GPU at a time: all share the first, unless the user tells Snakemake otherwise."""
    return 1


@contextmanager
def locked(place: Path, waiting: Callable[[], None]) -> Iterator[int]:
    """Hold a place; yields the file descriptor that holds it.

    Args:
        place: the folder.
        waiting: is called once if another sweep holds it; one that was killed takes a moment to go.

    Raises:
        SettingsError: if another sweep still does after a while.
    """
    import fcntl

    place.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(place / LOCK, os.O_RDWR | os.O_CREAT, 0o666)
    deadline, told = time.monotonic() + _GOING, False
    try:
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise SettingsError(
                        f"{place}: a sweep is at work there. Wait for it, or choose another --output."
                    ) from None
            if not told:
                waiting()
                told = True
            time.sleep(0.2)
        yield descriptor
    finally:
        os.close(descriptor)


def run(
    words: Sequence[str], place: Path, lock: int, cells: Mapping[str, SweepCell], watch: Callable[[set[str]], None]
) -> WorkflowOutcome:
    """Let Snakemake do what is missing.

    Args:
        words: its command.
        place: where its own output goes.
        lock: descriptor that it keeps open.
        cells: by record.
        watch: is told of the records of the cells that are done, now and then.

    Raises:
        KeyboardInterrupt: as it came, once Snakemake and its cells have ended.
    """
    began = time.time_ns()
    before = {record for record, state in states(cells).items() if state == DONE}
    theirs, ours = os.pipe()  # they read, and see the end of what nobody writes
    watched = [sys.executable, "-m", "sftkit.sweeps.watched", str(theirs), *words]
    try:
        with (place / LOG).open("wb") as log:
            process = subprocess.Popen(
                watched, stdin=subprocess.DEVNULL, stdout=log, stderr=log, pass_fds=(lock, theirs),
                start_new_session=True,
            )  # fmt: skip
        os.close(theirs)
        try:
            while process.poll() is None:
                time.sleep(_LOOK)
                watch(before | _ended(cells, began))
        except BaseException:
            _end(process)
            raise
    finally:
        os.close(ours)
    done = {record for record, state in states(cells).items() if state == DONE}
    failures = tuple(_failure(cell) for cell in cells.values() if cell.record not in done and _changed(cell.log, began))
    failed = {failure.title for failure in failures}
    left = tuple(cell.title for cell in cells.values() if cell.record not in done and cell.title not in failed)
    return WorkflowOutcome(process.returncode, tuple(sorted(done - before)), failures, left)


def _ended(cells: Mapping[str, SweepCell], began: int) -> set[str]:
    return {record for record in cells if _changed(record, began)}


def _end(process: subprocess.Popen[bytes]) -> None:
    """End Snakemake and its cells: in order, and by force if they take long or are asked for once more."""
    try:
        os.killpg(process.pid, signal.SIGINT)
        process.wait(_PATIENCE)
    except ProcessLookupError:
        pass
    except (subprocess.TimeoutExpired, KeyboardInterrupt):
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _changed(name: str, since: int) -> bool:
    """Whether a file was written since."""
    try:
        return Path(name).stat().st_mtime_ns >= since
    except OSError:
        return False


def _failure(cell: SweepCell) -> Failure:
    return Failure(cell.title, cell.log, last_line(Path(cell.log)))


def last_line(path: Path) -> str:
    """The last line of a log that says anything; an error's, if it says that there was one."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - 20_000))
            lines = [line.strip() for line in file.read().decode("utf-8", "replace").splitlines() if line.strip()]
        lines = [line for line in lines if not line.startswith(BEGAN)]
    except OSError:
        return ""
    told = [line for line in lines if line.startswith("error:")]
    return (told or lines or [""])[-1]
