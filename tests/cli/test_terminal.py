"""A run on a terminal: notes go above the bar, what is over goes away, lesser terminals get plain lines."""

from __future__ import annotations

import os
import struct
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from sftkit.cli.show import bar, progress, render
from sftkit.cli.show.progress import TrainingDisplay
from sftkit.training.observer import RunPlan
from tests.cli.run import QUICK
from tests.helpers.build import save_sft
from tests.helpers.screen import on_terminal, seen, terminal

NOTE = "note: something to know"


def plan(**changes: object) -> RunPlan:
    given: dict[str, object] = {
        "objective": "mlm", "method": "lottery", "base": "pico", "sizes": (10, 20), "backbone": 100, "maskable": 90,
        "head": 1, "frozen": "layer norms", "train": 5, "dev": 2, "steps1": 4, "steps2": 4, "batch_size": 1,
    }  # fmt: skip
    return RunPlan(**(given | changes))  # type: ignore[arg-type]


@pytest.mark.parametrize("when", ["loading", "reading", "phase", "scoring"])
def test_a_note_while_a_bar_is_up_is_a_line_of_its_own(when: str) -> None:
    with terminal() as screen, TrainingDisplay() as display:
        display.phase("phase 1", 10)
        if when == "loading":
            display.loading("a base")
        elif when == "reading":
            display.reading("reading x.txt", 100, 0.5)
        elif when == "scoring":
            display.evaluating()
            display.scoring(1, 7)
        display.note("something to know")
        render.note("something to know")
        up = screen.told
        display.close()
    assert up.count(NOTE) == 2
    assert [line for line in screen.told if line] == [NOTE, NOTE]


def test_a_note_while_a_model_is_scored_is_a_line_of_its_own() -> None:
    with terminal() as screen, bar.counting_bar(quiet=False) as counter:
        counter.watch(1, 2)
        render.note("something to know")
    assert [line for line in screen.told if line] == [NOTE]


def test_what_is_loaded_is_said_and_the_line_goes_when_it_is_there() -> None:
    with terminal() as screen, TrainingDisplay() as display:
        display.loading("a base")
        assert "loading a base …" in screen.told
        display.planned(plan())
        assert "loading" not in "\n".join(screen.told)


def test_the_bar_counts_an_evaluation() -> None:
    with terminal(120) as screen, TrainingDisplay() as display:
        display.phase("phase 1", 10)
        display.step(5, None)
        display.evaluating()
        display.scoring(300, 1200)
        assert display._bar is not None
        display._bar.refresh()
        assert "scoring 300 of 1,200" in "\n".join(screen.told)


def test_a_long_evaluation_is_counted_in_lines_where_no_bar_can_be_watched(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with TrainingDisplay() as display:
        display.phase("phase 1", 10)
        display.step(5, None)
        display.evaluating()
        display.scoring(1, 1200)
        monkeypatch.setattr(progress, "_PLAIN_EVERY", -1.0)
        display.scoring(300, 1200)
    assert capsys.readouterr().err.splitlines() == ["phase 1  after step 5: scoring 300 of 1,200"]


def test_of_several_k_each_phase_says_whose_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    with TrainingDisplay() as display:
        display.planned(plan(rounds=2))
        for name in ("phase 1", "select", *["phase 1, round 2"] * 2, *["phase 2"] * 2):
            display.phase(name, 0 if name == "select" else 4)
            display.evaluated(4, "loss", 1.0, 1.0)
    said = [line.partition("  ")[0] for line in capsys.readouterr().err.splitlines() if "loss" in line]
    assert said[0] == "phase 1"
    assert said[2:] == [f"{each}, K = {k}" for each in ("phase 1, round 2", "phase 2") for k in (10, 20)]


def test_a_phase_that_goes_on_says_from_which_step_and_counts_the_steps_of_this_session(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with TrainingDisplay() as display:
        display.phase("phase 1", 4)
        display.going_on(4, 4)
        display.phase("phase 2", 1000)
        display.going_on(400, 1000)
        display.evaluated(1000, "loss", 1.0, 1.0)
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "note: phase 1: done before, going on from step 4"
    assert lines[1] == "note: phase 2: going on from step 400 of 1,000"
    assert lines[2].startswith("phase 2  steps 401 to 1,000 in ")


@pytest.mark.parametrize(("variable", "value"), [("TERM", "dumb"), ("NO_COLOR", "1")])
def test_a_run_on_a_terminal_that_can_do_less(
    variable: str, value: str, tmp_path: Path, pico_base: Path, corpus: Path
) -> None:
    given = ("--mlm", corpus, "--base", pico_base, "-o", tmp_path / "x.sft", *QUICK)
    done = on_terminal("train", *given, width=80, **{variable: value})
    assert done.status == 0, done.told
    sent = done.sent + done.stdout.getvalue()
    if variable == "TERM":
        assert "\x1b" not in sent
        assert "phase 1  2 steps in" in sent
    else:
        assert "\x1b[3" not in sent  # foreground colours
        assert "\x1b[9" not in sent


def test_headers_and_notes_end_at_words_and_nothing_is_left_of_the_bars(
    tmp_path: Path, pico_base: Path, corpus: Path
) -> None:
    words = on_terminal("train", "--mlm", corpus, "--base", pico_base, "-o", tmp_path / "x.sft", *QUICK, width=200)
    done = on_terminal("train", "--mlm", corpus, "--base", pico_base, "-o", tmp_path / "y.sft", *QUICK)
    known = {word for line in words.told for word in line.split()}
    wrapped = [line for line in done.told if not line.startswith("next:") and "loss" not in line]
    assert "memory, phase 2:" in " ".join(wrapped)
    assert all(len(line) <= 80 for line in wrapped if str(pico_base) not in line)
    strange = {word for line in wrapped for word in line.split()} - known
    assert not [word for word in strange if any(word in other for other in known)]
    assert not [line for line in done.told if "━" in line or "loading" in line]


@pytest.mark.skipif(sys.platform == "win32", reason="has no such terminals")
def test_a_real_terminal_is_asked_for_its_width(tmp_path: Path, pico_base: Path) -> None:
    import fcntl
    import pty
    import termios

    sft = save_sft(tmp_path / "x.sft", pico_base)
    main, terminal_end = pty.openpty()
    fcntl.ioctl(terminal_end, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    environment = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES")}
    command = [sys.executable, "-m", "sftkit", "inspect", str(sft), "--layers"]
    with subprocess.Popen(
        command, stdin=terminal_end, stdout=terminal_end, stderr=terminal_end, env=environment | {"TERM": "xterm"}
    ):
        os.close(terminal_end)
        pieces = []
        with suppress(OSError):  # how the end of a terminal is told
            while piece := os.read(main, 1 << 16):
                pieces.append(piece)
    os.close(main)
    lines = [line for line in seen(b"".join(pieces).decode()) if str(sft) not in line]
    assert 70 < max(map(len, lines)) <= 80
    assert "mean |φ|" in "\n".join(lines)


def test_a_screen_obeys_what_bars_send() -> None:
    assert seen("bar 1\r\x1b[2Knote\nbar 2\r\x1b[2K") == ["note", ""]
    assert seen("one\ntwo\r\x1b[2K\x1b[1A\x1b[2Kthree") == ["three", ""]


def test_a_narrow_terminal_has_whole_numbers_and_no_bar() -> None:
    with terminal(width=60) as screen, TrainingDisplay() as display:
        display.phase("phase 2", 4000)
        display.step(40, 5.851)
        display.scoring(16, 109)
        assert display._bar is not None
        display._bar.refresh()
        up = screen.told
        display.close()
    assert [line for line in up if line] == ["phase 2   40/4000 loss 5.851  scoring 16 of 109"]
