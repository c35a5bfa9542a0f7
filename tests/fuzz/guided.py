"""Inputs by coverage: libFuzzer, by way of atheris, keeps those that reach new lines and changes them further."""

from __future__ import annotations

import os
import random
import sys
from pathlib import Path
from typing import Any

import atheris

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
    with found.folder() as folder:
        corpus = Path(folder, "corpus")
        corpus.mkdir()
        for number, data in enumerate(target.right):
            (corpus / str(number)).write_bytes(data)
        path, tally = target.prepare(Path(folder)), Tally()

        def one(data: bytes) -> None:
            if not target.attempt(tally, path, f"input {sum(tally.kinds.values())}", data):
                found.keep(name, data)
            if sum(tally.kinds.values()) == count:
                reached = len(list(corpus.iterdir()))
                wrong = tally.tell(f"{name}, by coverage ({reached:,} kept by libFuzzer)")
                os._exit(int(bool(wrong)))

        def changed(data: bytes, most: int, number: int) -> bytes:
            draw = random.Random(number)
            if draw.random() < 0.5:
                return bytes(atheris.Mutate(data, most))
            return target.change(data, draw)[:most]

        options = [f"-seed={seed + 1}", f"-max_len={_MOST_BYTES}", "-timeout=0", "-rss_limit_mb=0", "-verbosity=0"]
        fuzz(one, changed, [sys.argv[0], *options, str(corpus)])
    return 0


def fuzz(one: Any, changed: Any, arguments: list[str]) -> None:
    """Hand over to libFuzzer."""
    atheris.Setup(arguments, one, custom_mutator=changed)
    atheris.Fuzz()
