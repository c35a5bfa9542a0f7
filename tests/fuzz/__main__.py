"""``python -m tests.fuzz TARGET COUNT [SEED]``: mutated inputs for a reader, and the figures of what came of them.

Targets: sft, safetensors, data, toml, models. Every input follows from the seed and its number, so what is found can be
made again. Ends with status 1 if an input was neither read nor refused in a line.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from tests import conftest as conftest  # no network
from tests.fuzz import readers
from tests.fuzz.models import Bench
from tests.fuzz.trial import Tally

READERS = {"sft": readers.sfts, "safetensors": readers.safetensors, "data": readers.data, "toml": readers.toml}


def main(target: str, count: str = "1000", seed: str = "0") -> int:
    """Try them, and print the figures."""
    with tempfile.TemporaryDirectory(prefix="sftkit-fuzz-") as name:
        folder = Path(name)
        inputs = (
            Bench(folder).mutants(int(count), int(seed))
            if target == "models"
            else READERS[target](int(count), int(seed), folder)
        )
        tally = Tally()
        for called, call in inputs:
            tally.attempt(called, call)
    for called, kind in tally.failed:
        print(f"{called}\n    {kind}")
    print(f"{target}: {tally.figures()}")
    return int(bool(tally.failed))


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
