"""A share of what ``python -m tests.fuzz`` tries: whatever a file holds, it is read, or refused in a line."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.run import sftkit
from tests.fuzz import found
from tests.fuzz.readers import TARGETS
from tests.fuzz.trial import Tally


@pytest.mark.parametrize("target", TARGETS)
def test_inputs_changed_at_random_are_read_or_refused_in_a_line(target: str, tmp_path: Path) -> None:
    tally = Tally(longest=5)
    path = TARGETS[target].prepare(tmp_path)
    for name, data in TARGETS[target].mutants(300 if target == "sft" else 60, 3):
        TARGETS[target].attempt(tally, path, name, data)
    assert tally.failed == []
    assert set(tally.kinds) == {"read", "refused"}


@pytest.mark.parametrize(("target", "kept"), found.kept(), ids=lambda value: getattr(value, "name", value))
def test_what_a_fuzzer_once_found_is_read_or_refused_in_a_line(target: str, kept: Path, tmp_path: Path) -> None:
    tally = Tally(longest=5)
    TARGETS[target].attempt(tally, TARGETS[target].prepare(tmp_path), kept.name, kept.read_bytes())
    assert tally.failed == []


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
