"""Inputs by coverage: libFuzzer, by way of atheris, keeps those that reach new lines and changes them further."""

from __future__ import annotations

import os
import random
import shutil
import signal
import sys
from pathlib import Path
from typing import Any, NoReturn

import atheris

from tests import conftest
from tests.fuzz import found

#: What is watched for coverage.
_WATCHED = ["sftkit", "conllu", "tomllib", "tomli"]
#: Bytes that an input may have.
_MOST_BYTES = 20_000


def run(name: str, count: int, seed: int) -> int:
    """Try ``count`` inputs of one target, and print the figures. The process ends here: libFuzzer does not return."""
    with atheris.instrument_imports(include=_WATCHED):
        from tests.fuzz.readers import TARGETS, Target
        from tests.fuzz.trial import Tally
    target: Target | None = TARGETS.get(name)
    if target is None:
        print(f"With --coverage there are: {', '.join(TARGETS)}.", file=sys.stderr)
        return 2
    with found.folder() as name_of_folder:
        folder = Path(name_of_folder)
        corpus = folder / "corpus"
        corpus.mkdir()
        for number, data in enumerate(target.right):
            (corpus / str(number)).write_bytes(data)
        path, tally = target.prepare(folder), Tally()

        def end(*_: Any) -> NoReturn:
            reached = len(list(corpus.iterdir()))
            wrong = tally.tell(f"{name}, by coverage, {reached:,} that reach something new")
            shutil.rmtree(folder)
            conftest.tidy()
            os._exit(int(bool(wrong)))

        def one(data: bytes) -> None:
            if not target.attempt(tally, path, f"input {sum(tally.kinds.values())}", data):
                found.keep(name, data)
            if sum(tally.kinds.values()) == count:
                end()

        def changed(data: bytes, most: int, number: int) -> bytes:
            return target.change(data, random.Random(number), lambda some, _: bytes(atheris.Mutate(some, most)))[:most]

        options = [
            f"-seed={seed + 1}", f"-max_len={_MOST_BYTES}", "-timeout=0", "-rss_limit_mb=0", "-verbosity=0",
            "-handle_int=0", "-handle_term=0",
        ]  # fmt: skip
        atheris.Setup([sys.argv[0], *options, str(corpus)], one, custom_mutator=changed)
        for number in (signal.SIGINT, signal.SIGTERM):  # whoever has no more time wants the figures so far
            signal.signal(number, end)
        atheris.Fuzz()
    return 0
