"""A share of what ``python -m tests.fuzz`` tries: whatever a file holds, it is read, or refused in a line."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.run import sftkit
from tests.fuzz import readers
from tests.fuzz.trial import Tally

SHARES = {"sft": (readers.sfts, 400), "safetensors": (readers.safetensors, 200), "data": (readers.data, 200)}


@pytest.mark.parametrize("target", SHARES)
def test_inputs_changed_at_random_are_read_or_refused_in_a_line(target: str, tmp_path: Path) -> None:
    inputs, count = SHARES[target]
    tally = Tally()
    for name, call in inputs(count, 3, tmp_path):
        tally.attempt(name, call)
    assert tally.failed == []
    assert set(tally.kinds) == {"read", "refused"}
    assert tally.slowest[0] < 5


WRONG = (
    b"k = " + b"[" * 100_000, b"\xff", b"k = [1", b'"a.b" = 1', b"k = {x = 1}", b'seed = "x"', b"mlm = 5", b"k = 1e400",
    b'"\x1b[31m" = 1', b"#" * 2_000_000, b"k = " + b"9" * 5000, b"lr = nan", b"[k]\nx = 1", b'"' + b"x" * 9999 + b'"=1',
)  # fmt: skip


@pytest.mark.parametrize("text", WRONG, ids=range(len(WRONG)))
def test_options_from_a_file_that_is_wrong_are_refused_in_short(text: bytes, tmp_path: Path) -> None:
    path = tmp_path / "x.toml"
    path.write_bytes(text)
    done = sftkit("train", "--mlm", tmp_path / "none.txt", "--base", tmp_path, "--config", path)
    assert done.status in (1, 2), done.stderr
    assert "internal error" not in done.stderr
    assert "\x1b[31m" not in done.stderr
    assert len(done.stderr) < 3000
