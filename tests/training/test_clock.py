"""How long a run took, in all its sessions."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path

import pytest

from sftkit.training.clock import SECONDS, Clock, phase2_of
from sftkit.training.lottery import learn
from sftkit.training.observer import Observer
from sftkit.training.settings import Settings, settings_for
from tests.training.observers import EndAt


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time, which passes when a test says so."""
    time = [0.0]
    monkeypatch.setattr("sftkit.training.clock.time.perf_counter", lambda: time[0])
    return time


def test_each_k_has_its_own_phase_2_and_all_share_phase_1(now: list[float]) -> None:
    clock = Clock()
    for part, seconds in (("phase1", 5.0), ("select", 1.0), (phase2_of(10), 3.0), (phase2_of(20), 4.0)):
        with clock(part):
            now[0] += seconds
    assert clock.of(10) == {"phase1": 5.0, "select": 1.0, "phase2": 3.0}
    assert clock.of(20) == {"phase1": 5.0, "select": 1.0, "phase2": 4.0}


def test_sessions_are_added_up_to_the_last_checkpoint_of_one_that_was_killed(now: list[float], tmp_path: Path) -> None:
    path = tmp_path / SECONDS
    killed = Clock(path)
    part = killed("phase1")
    part.__enter__()
    now[0] += 5
    killed.keep()
    now[0] += 100  # what no checkpoint knows of
    again = Clock(path)
    with suppress(KeyboardInterrupt), again("phase1"):
        now[0] += 7
        again.keep()
        now[0] += 1
        raise KeyboardInterrupt
    last = Clock(path)
    with last("phase1"):
        now[0] += 2
    assert last.of(1)["phase1"] == 15.0


@pytest.mark.parametrize("content", ["", "[]", '{"phase1": "x"}', "\x00"])
def test_a_damaged_file_is_no_error(content: str, tmp_path: Path) -> None:
    (tmp_path / SECONDS).write_text(content)
    assert Clock(tmp_path / SECONDS).of(1)["phase1"] == 0.0


def test_a_run_without_a_directory_keeps_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with Clock()("phase1"):
        pass
    assert not list(tmp_path.iterdir())


class _GoingOn(Observer):
    def __init__(self) -> None:
        self.said: list[tuple[str, int, int]] = []
        self._phase = ""

    def phase(self, name: str, steps: int) -> None:
        """The phase."""
        del steps
        self._phase = name

    def going_on(self, step: int, steps: int) -> None:
        """Where it goes on."""
        self.said.append((self._phase, step, steps))


def settings(base: Path, corpus: Path) -> Settings:
    return settings_for("mlm", data=(str(corpus),), base=base, base_name="pico", steps=6, eval_every=2, k=50,
                        device="cpu", batch_size=4)  # fmt: skip


@pytest.mark.parametrize(
    ("step", "expected"),
    [
        (4, [("phase 1", 4, 6)]),
        (8, [("phase 1", 6, 6), ("phase 2", 2, 6)]),
    ],
)
def test_a_run_that_goes_on_says_where_and_its_time_is_that_of_both_sessions(
    step: int, expected: list[tuple[str, int, int]], pico_base: Path, corpus: Path, tmp_path: Path
) -> None:
    with pytest.raises(KeyboardInterrupt):
        learn(settings(pico_base, corpus), EndAt(step), run_dir=tmp_path / "run")
    kept = tmp_path / "run" / SECONDS
    before = json.loads(kept.read_text()) | {"phase1": 1000.0}
    kept.write_text(json.dumps(before))
    observer = _GoingOn()
    result = learn(settings(pico_base, corpus), observer, run_dir=tmp_path / "run")
    assert observer.said == expected
    assert result.seconds["phase1"] > 1000
    assert result.seconds["phase2"] > before.get("phase2-50", 0.0)
    assert 0 < result.seconds["select"] < 1000


def test_a_run_that_was_finished_says_what_it_took(pico_base: Path, corpus: Path, tmp_path: Path) -> None:
    first = learn(settings(pico_base, corpus), run_dir=tmp_path / "run")
    again = learn(settings(pico_base, corpus), run_dir=tmp_path / "run")
    assert all(again.seconds[part] >= first.seconds[part] for part in first.seconds)
