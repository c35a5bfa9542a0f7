"""Arrays on disk: all of them or none, whatever the disk does."""

from __future__ import annotations

import json
import os
import resource
import shutil
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pytest

from sftkit.errors import DataError
from sftkit.tasks.corpora.kept import Kept, kept

NUMBERS = np.arange(3000, dtype=np.int64)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path)
    return tmp_path / "sftkit"


def made(times: list[int] | None = None) -> Kept:
    def make() -> Iterator[dict[str, Any]]:
        if times is not None:
            times.append(1)
        yield {"a": NUMBERS[:7], "b": NUMBERS.astype(np.int32)}
        yield {"a": NUMBERS[7:]}

    return kept(["key"], make)


@contextmanager
def disk_with(size: int) -> Iterator[None]:
    """No file can grow beyond so many bytes, as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, before)


def test_what_was_kept_is_read_in_parts_and_made_once() -> None:
    times: list[int] = []
    for _ in range(2):
        found = made(times)
        assert found.sizes == {"a": 3000, "b": 3000}
        assert found.read("a", 5, 9).tolist() == [5, 6, 7, 8]
        assert found.read("b", 2999, 3000).dtype == np.int32
    assert times == [1]


@pytest.mark.parametrize("size", [0, 100, 11_999, 20_480, 23_999])
def test_a_full_disk_is_told_and_leaves_nothing(size: int, cache: Path) -> None:
    with disk_with(size), pytest.raises(DataError, match="cannot be kept there"):
        made()
    assert [path.suffix for path in cache.iterdir()] == [".lock"]
    assert made().read("a", 2999, 3000).tolist() == [2999]


def cut_short(folder: Path) -> None:
    os.truncate(folder / "a", (folder / "a").stat().st_size - 1000)


def longer(folder: Path) -> None:
    with (folder / "b").open("ab") as file:
        file.write(b"\0")


def lost(folder: Path) -> None:
    (folder / "b").unlink()


def of_an_older_layout(folder: Path) -> None:
    (folder / "record.json").unlink()


def with_a_record_of_something_else(folder: Path) -> None:
    (folder / "record.json").write_text(json.dumps(["x"]))


def half_a_record(folder: Path) -> None:
    (folder / "record.json").write_text('{"sizes": {"a": 3')


def a_file(folder: Path) -> None:
    shutil.rmtree(folder)
    folder.write_text("x")


@pytest.mark.parametrize(
    "broken",
    [cut_short, longer, lost, of_an_older_layout, with_a_record_of_something_else, half_a_record, a_file],
    ids=lambda broken: broken.__name__,
)
def test_what_is_not_whole_is_made_anew(broken: Any) -> None:
    times: list[int] = []
    broken(made(times).folder)
    assert made(times).read("a", 0, 3000).tolist() == NUMBERS.tolist()
    assert made(times).read("b", 0, 3000).tolist() == NUMBERS.tolist()
    assert times == [1, 1]


def test_what_goes_away_while_it_is_used_is_told() -> None:
    found = made()
    cut_short(found.folder)
    with pytest.raises(DataError, match="are gone"):
        found.read("a", 2990, 3000)
    lost(found.folder)
    with pytest.raises(DataError, match="are gone"):
        found.read("b", 0, 1)


def test_a_cache_that_may_only_be_read_is_enough(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made()
    monkeypatch.setattr("sftkit.tasks.corpora.kept.FileLock", None)
    assert made().sizes["a"] == 3000
