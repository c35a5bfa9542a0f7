"""``python -m tests.fuzz TARGET COUNT [SEED]``: wrong inputs for a reader, and the figures of what came of them.

Targets: the readers of ``tests/fuzz/readers.py`` by name, ``all`` of them, COUNT inputs each, or ``models``: whole
model directories, given to every command. Inputs are right ones, changed at random; each follows from the seed and its
number, so what is found can be made again. With ``--coverage``, they are those that reach new lines of the program
(needs atheris, which nothing else here does). Contents that were neither read nor refused in a line are kept under
``tests/fuzz/found``, where a test takes them up; then the status is 1.
"""

from __future__ import annotations

import argparse
import signal
import sys
from importlib.util import find_spec
from pathlib import Path

from tests import conftest as conftest  # no network
from tests.fuzz import found


def main() -> int:
    """Try them, and print the figures."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("target")
    parser.add_argument("count", type=int, nargs="?", default=1000)
    parser.add_argument("seed", type=int, nargs="?", default=0)
    parser.add_argument("--coverage", action="store_true", help="let atheris choose the inputs")
    asked = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # by way of what removes folders
    if asked.coverage and find_spec("atheris") is None:
        parser.error("--coverage needs atheris: python -m pip install atheris. Without it, inputs are drawn at random.")
    if asked.coverage:
        from tests.fuzz import guided

        return guided.run(asked.target, asked.count, asked.seed)
    return _models(asked.count, asked.seed) if asked.target == "models" else _readers(parser, asked)


def _readers(parser: argparse.ArgumentParser, asked: argparse.Namespace) -> int:
    from tests.fuzz.readers import TARGETS
    from tests.fuzz.trial import Tally

    if asked.target not in (*TARGETS, "all"):
        parser.error(f"there is no target {asked.target}. There are: all, models, {', '.join(TARGETS)}.")
    wrong = 0
    for name in TARGETS if asked.target == "all" else [asked.target]:
        target, tally = TARGETS[name], Tally()
        with found.folder() as folder:
            path = target.prepare(Path(folder))
            for called, data in target.mutants(asked.count, asked.seed):
                if not target.attempt(tally, path, called, data):
                    found.keep(name, data)
        wrong += tally.tell(name)
    return int(bool(wrong))


def _models(count: int, seed: int) -> int:
    from tests.fuzz.models import Bench
    from tests.fuzz.trial import Tally

    tally = Tally(longest=20, most_memory=1 << 33)
    with found.folder() as folder:
        for called, call in Bench(Path(folder)).mutants(count, seed):
            tally.attempt(called, call)
    return int(bool(tally.tell("models")))


if __name__ == "__main__":
    sys.exit(main())
