"""A share of what ``python -m tests.fuzz`` tries: whatever a file holds, it is read, or refused in a line."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.run import sftkit
from tests.fuzz.found import kept
from tests.fuzz.readers import TARGETS
from tests.fuzz.trial import Tally


@pytest.mark.parametrize("name", TARGETS)
def test_inputs_changed_at_random_are_read_or_refused_in_a_line(name: str, tmp_path: Path) -> None:
    target, tally = TARGETS[name], Tally(longest=5)
    path = target.prepare(tmp_path)
    for called, data in target.mutants(400 if name == "sft" else 100, 3):
        target.attempt(tally, path, called, data)
    assert tally.failed == []
    assert set(tally.kinds) == {"read", "refused"}


@pytest.mark.parametrize(("name", "file"), kept(), ids=lambda value: value if isinstance(value, str) else value.name)
def test_an_input_that_was_once_got_wrong_is_read_or_refused_in_a_line(name: str, file: Path, tmp_path: Path) -> None:
    tally = Tally(longest=5)
    assert TARGETS[name].attempt(tally, TARGETS[name].prepare(tmp_path), file.name, file.read_bytes()), tally.failed


@pytest.mark.parametrize("name", TARGETS)
def test_the_inputs_that_others_are_made_from_are_read(name: str, tmp_path: Path) -> None:
    target = TARGETS[name]
    for data in target.right:
        path = target.prepare(tmp_path)
        path.write_bytes(data)
        target.call(path)


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
