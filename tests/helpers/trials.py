"""Commands that make one output, run again and again while the file system fails them or they are killed.

Run as a script with one JSON document as its argument, it forks, so that imports are paid for once: ``folder``, where
it works, ``step``, every how many requests one is the last, and ``trials``: each a name and what :class:`Trial` takes.
It prints what went wrong, a line each, and last the number of kills.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

from tests.cli.run import Outcome, sftkit
from tests.helpers.faults import Faults

#: What a folder is like: a file's bytes by its path below the folder; or a file's own under "".
State = dict[str, bytes]
_FOREIGN, _RUN = "thesis.doc", "run"


@dataclass(frozen=True)
class Trial:
    """A command, and what stands under its output's name before.

    Attributes:
        arguments: the command line, without ``-o`` and ``--overwrite``.
        output: the name.
        old: what is copied there first; "" for nothing.
        run_dir: whether it is a training that goes on in a directory of its own.
    """

    arguments: Sequence[str]
    output: str
    old: str = ""
    run_dir: bool = False

    def prepare(self, work: Path) -> Path:
        """An empty folder, but for the old output and somebody's file; gives the output's path."""
        shutil.rmtree(work, ignore_errors=True)
        work.mkdir(parents=True)
        (work / _FOREIGN).write_text("five years")
        output = work / self.output
        if self.old:
            (shutil.copytree if Path(self.old).is_dir() else shutil.copyfile)(self.old, output)
        return output

    def run(self, output: Path, *, again: bool = False) -> Outcome:
        """Run the command."""
        more = ["--overwrite"] if self.old or again else []
        more += ["--run-dir", str(output.parent / _RUN)] if self.run_dir else []
        return sftkit(*self.arguments, "-o", output, *more)

    def wrong(self, work: Path, before: State, after: State, outcome: Outcome | None) -> list[str]:
        """What is wrong after a fault, or after the command was killed, and after it was then run again.

        Args:
            work: the folder.
            before, after: what stands under the name before the command, and after it.
            outcome: how it ended; None if it was killed.
        """
        found, output = list[str](), work / self.output
        now = state(output)
        if now not in (before, after) or (outcome is not None and outcome.status == 0 and now != after):
            found.append(f"neither old nor new: {sorted(now)}")
        if outcome is not None and outcome.status != 0:
            found += _unclear(outcome, work)
        again = self.run(output, again=True)
        if again.status != 0 or state(output) != after:
            found.append(f"the next run: {again.status} {again.stderr}")
        if (work / _FOREIGN).read_text() != "five years":
            found.append("somebody's file is lost")
        left = {path.name for path in work.iterdir()} - {_FOREIGN, self.output, *([_RUN] if self.run_dir else [])}
        left |= {path.name for path in work.rglob("*") if path.suffix == ".part" or path.name.startswith("checkpoint-")}
        return [*found, *(f"{name} is left" for name in sorted(left))]


def _unclear(outcome: Outcome, work: Path) -> list[str]:
    lines = [line for line in outcome.stderr.splitlines() if line.startswith("error:")]
    if len(lines) != 1 or "internal error" in lines[0] or str(work) not in lines[0] or ".sftkit-" in lines[0]:
        return [f"says: {outcome.stderr}"]
    return []


def state(path: Path) -> State:
    """What stands under a name, but for what is hidden until it is whole."""
    if path.is_dir():
        files = (each for each in sorted(path.rglob("*")) if each.is_file() and ".sftkit-" not in str(each))
        return {str(each.relative_to(path)): each.read_bytes() for each in files}
    return {"": path.read_bytes()} if path.exists() else {}


def undisturbed(trial: Trial, work: Path) -> tuple[State, State, int]:
    """What stands under the name before and after a run, and how many requests it makes."""
    output = trial.prepare(work)
    before = state(output)
    with Faults(work).injected() as faults:
        done = trial.run(output)
    assert done.status == 0, done.stderr
    return before, state(output), faults.count


def failing(trial: Trial, work: Path, number: int, step: int = 1, first: int = 0) -> tuple[list[str], int]:
    """Let every so many-th request of a command fail; gives what went wrong, and how many did fail."""
    before, after, total = undisturbed(trial, work)
    found = []
    for at in range(first, total, step):
        output = trial.prepare(work)
        with Faults(work, at, number).injected() as faults:
            outcome = trial.run(output)
        where = f"{trial.arguments[0]}, {at} of {total}, {os.strerror(number)}, {faults.at_what}"
        found += [f"{where}: {what}" for what in trial.wrong(work, before, after, outcome)]
    return found, len(range(first, total, step))


def killed(trial: Trial, work: Path, step: int = 1, first: int = 0) -> tuple[list[str], int]:
    """Kill a command before every so many-th request; gives what went wrong, and how many were killed."""
    before, after, total = undisturbed(trial, work)
    found = []
    for at in range(first, total, step):
        output = trial.prepare(work)
        process = os.fork()
        if process == 0:
            with Faults(work, at, kill=True).injected():
                trial.run(output)
            os._exit(0)
        ended = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
        wrong = trial.wrong(work, before, after, None)
        wrong += [f"was not killed but ended with {ended}"] if ended != -signal.SIGKILL else []
        found += [f"{trial.arguments[0]}, killed at {at} of {total}: {what}" for what in wrong]
    return found, len(range(first, total, step))


def main(folder: str, step: int, trials: list[list[object]]) -> None:
    """Kill each."""
    for module in ("sftkit.composing.compose", "sftkit.sharing.convert", "torch"):
        import_module(module)  # what every fork needs
    kills = 0
    for number, trial in enumerate(trials):
        found, count = killed(Trial(*trial), Path(folder, str(number)), step, number % step)  # type: ignore[arg-type]
        kills += count
        print("".join(f"{line}\n" for line in found), end="")
    print(kills)


if __name__ == "__main__":
    main(**json.loads(sys.argv[1]))
