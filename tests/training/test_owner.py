"""Two runs in one directory: the second is refused, and a dead one is told from one that lives."""

from __future__ import annotations

import errno
import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from filelock import FileLock

from sftkit.errors import SettingsError
from sftkit.training.engine import owner
from sftkit.training.engine.owner import owned
from sftkit.training.lottery import learn
from sftkit.training.observer import Observer
from sftkit.training.settings import LOCK, OWNER, settings_for


def said_by(folder: Path, host: str, ago: float) -> None:
    folder.mkdir(exist_ok=True)
    (folder / OWNER).write_text(json.dumps({"host": host, "process": 4321}))
    os.utime(folder / OWNER, (time.time() - ago,) * 2)


def test_a_directory_has_one_owner_who_is_named_with_process_and_machine(tmp_path: Path) -> None:
    expected = rf"is in use by process {os.getpid()} on {socket.gethostname()}\. .*--run-dir"
    with owned(tmp_path / "run"):
        with pytest.raises(SettingsError, match=expected), owned(tmp_path / "run"):
            pass
        assert (tmp_path / "run" / OWNER).exists()  # whoever was refused left it
    assert [path.name for path in (tmp_path / "run").iterdir()] == [LOCK]
    with owned(tmp_path / "run"):
        pass


def test_whoever_fails_leaves_it_free(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), owned(tmp_path):
        raise KeyboardInterrupt
    assert not (tmp_path / OWNER).exists()
    with owned(tmp_path):
        pass


_KILLED = """
import os, signal, sys
from pathlib import Path
from sftkit.training.engine.owner import owned
with owned(Path(sys.argv[1])):
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.skipif(os.name != "posix", reason="kills")
def test_an_owner_that_was_killed_here_is_none(tmp_path: Path) -> None:
    assert subprocess.run([sys.executable, "-c", _KILLED, tmp_path], check=False).returncode == -9
    assert (tmp_path / OWNER).exists()
    with owned(tmp_path):
        assert json.loads((tmp_path / OWNER).read_text())["process"] == os.getpid()


def test_an_owner_on_another_machine_lives_as_long_as_it_gives_signs_of_life(tmp_path: Path) -> None:
    said_by(tmp_path, "elsewhere", ago=20)
    expected = r"process 4321 on elsewhere.*sign of life 2\d s ago.*delete .*owner\.json"
    with pytest.raises(SettingsError, match=expected), owned(tmp_path):
        pass
    said_by(tmp_path, "elsewhere", ago=400)
    with owned(tmp_path):
        pass


def test_where_a_file_system_has_no_locks_signs_of_life_are_what_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none(*_: object, **__: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(FileLock, "_acquire", none)
    with owned(tmp_path):
        with pytest.raises(SettingsError, match=r"sign of life 0 s ago"), owned(tmp_path):
            pass
        assert (tmp_path / OWNER).exists()
    with owned(tmp_path):
        pass


def test_an_owner_gives_signs_of_life(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(owner, "_BEAT", 0.01)
    with owned(tmp_path):
        os.utime(tmp_path / OWNER, (0, 0))
        while (tmp_path / OWNER).stat().st_mtime == 0:
            time.sleep(0.01)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"host": 1}'])
def test_what_an_owner_says_may_be_cut_off(text: str, tmp_path: Path) -> None:
    (tmp_path / OWNER).write_text(text)
    with owned(tmp_path):
        pass


def test_a_run_whose_directory_another_run_has_is_refused_and_nothing_of_the_other_is_touched(
    pico_base: Path, corpus: Path, tmp_path: Path
) -> None:
    made = settings_for(
        "mlm", data=(str(corpus),), base=pico_base, base_name="pico", steps=4, eval_every=2, k=50, device="cpu"
    )  # fmt: skip
    refused = []

    class Second(Observer):
        def step(self, step: int, loss: float | None) -> None:
            if step == 3 and loss is None:
                before = sorted((tmp_path / "run").rglob("*"))
                with pytest.raises(SettingsError, match="is in use by"):
                    learn(made, run_dir=tmp_path / "run")
                refused.append(sorted((tmp_path / "run").rglob("*")) == before)

    first = learn(made, Second(), run_dir=tmp_path / "run")
    assert refused == [True] * len(refused) != []
    assert learn(made, run_dir=tmp_path / "run").sft.digest == first.sft.digest
