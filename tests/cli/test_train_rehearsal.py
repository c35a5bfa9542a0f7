"""``train --dry-run``, the expected time, and what a run that is ended would have kept."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from sftkit.cli.show.plan import duration, header
from sftkit.cli.show.progress import TrainingDisplay
from sftkit.tasks.base import loss_by_window
from sftkit.tasks.evaluator import batches_by_length
from sftkit.training.engine.together import has_bf16
from sftkit.training.forecast import Forecast
from sftkit.training.observer import RunPlan
from tests.cli.run import sftkit
from tests.helpers.build import save_sft
from tests.training.plans import plan


class Clock:
    """Goes on by a second whenever it is asked."""

    def __init__(self, seconds: float) -> None:
        self.now, self.seconds = 0.0, seconds

    def __call__(self) -> float:
        self.now += self.seconds
        return self.now


def files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


METHODS = [
    (), ("--method", "diff"), ("--method", "random"), ("--method", "bitfit"),
    ("--iterations", "3", "--rewind-to", "20"), ("--rewind-to", "end"), ("--selection", "streaming"),
    ("--density", "0.01,0.05"),
]  # fmt: skip


@pytest.mark.parametrize("options", METHODS, ids=" ".join)
def test_whatever_the_method_the_time_is_told_and_nothing_is_written(
    options: tuple[str, ...], tmp_path: Path, pico_base: Path, corpus: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scratch, here = tmp_path / "scratch", tmp_path / "here"
    scratch.mkdir()
    here.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(scratch))
    monkeypatch.chdir(here)
    run_dir = ("--run-dir", here / "run")
    done = sftkit(
        "train", "--mlm", corpus, "--base", pico_base, "--device", "cpu", "--steps", 20, *options, *run_dir, "--dry-run"
    )
    assert done.status == 0, done.stderr
    assert "20 steps of 8 (" in done.stdout
    assert "memory, phase 2" in done.stdout
    assert "evaluations × " in done.stdout
    assert ": about " in done.stdout
    assert list(here.iterdir()) == files(scratch) == []


def test_its_document_is_the_plan_with_the_measured_seconds(tmp_path: Path, pico_base: Path, corpus: Path) -> None:
    arguments = ("train", "--mlm", corpus, "--base", pico_base, "--device", "cpu", "--steps", 30, "--eval-every", 10)
    done = sftkit(*arguments, "-o", tmp_path / "x.sft", "--dry-run", "--json", "--quiet")
    assert done.stderr == ""
    document = json.loads(done.stdout)
    assert set(RunPlan.__dataclass_fields__) | {"evaluations", "seconds"} == set(document)
    assert (document["steps1"], document["steps2"], document["evaluations"]) == (30, 30, 7)
    seconds = document["seconds"]
    expected = 30 * seconds["phase1_step"] + 30 * seconds["phase2_step"] + 7 * seconds["evaluation"]
    assert seconds["in_all"] == pytest.approx(expected)
    assert not files(tmp_path)


def test_a_task_from_several_sources_is_rehearsed(tmp_path: Path, pico_base: Path, treebank: Path) -> None:
    sfts = [save_sft(tmp_path / f"{name}.sft", pico_base, seed=seed) for seed, name in enumerate(("en", "de"))]
    sources = [f"--source={sft.stem}={sft}:{treebank}" for sft in sfts]
    done = sftkit("train", "--objective", "pos", "--base", pico_base, "--device", "cpu", *sources, "--dry-run")
    assert done.status == 0, done.stderr
    assert ": about " in done.stdout


def test_of_much_held_out_data_a_few_batches_are_scored(
    tmp_path: Path, pico_base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "long.txt").write_text("".join(f"ta mi lo {'ka ' * (i % 9)}\n" for i in range(900)))
    scored = []
    windows: list[int] = []
    real, looked = batches_by_length, loss_by_window

    def counted(lengths: Sequence[int], batch_size: int) -> list[list[int]]:
        scored.append(list(real(lengths, batch_size)))
        return scored[-1]

    def look(model: Any, batch: dict[str, torch.Tensor]) -> list[tuple[float, int]]:
        windows.append(len(batch["labels"]))
        return looked(model, batch)

    monkeypatch.setattr("sftkit.training.rehearsal.batches_by_length", counted)
    monkeypatch.setattr("sftkit.tasks.corpora.text.loss_by_window", look)
    arguments = ("--dev", tmp_path / "long.txt", "--base", pico_base, "--device", "cpu", "--batch-size", 4, "--no-pack")
    done = sftkit("train", "--mlm", tmp_path / "long.txt", *arguments, "--dry-run", "--json")
    assert done.status == 0, done.stderr
    assert {len(each) for each in scored} == {225}
    assert sum(windows) <= 6 * 4 * len(scored)
    assert json.loads(done.stdout)["dev"] == 900


def test_what_a_run_would_refuse_its_rehearsal_refuses(tmp_path: Path, pico_base: Path, corpus: Path) -> None:
    arguments = (
        "train",
        "--mlm",
        corpus,
        "--base",
        pico_base,
        "--device",
        "cpu",
        "--epochs",
        1,
        "--dry-run",
        "--quiet",
    )
    done = sftkit(*arguments, "--rewind-to", 1000)
    assert (done.status, done.stderr.count("\n")) == (1, 1)
    assert "--rewind-to 1000: phase 1 has" in done.stderr


def test_an_output_that_exists_is_no_matter(tmp_path: Path, pico_base: Path, corpus: Path) -> None:
    (tmp_path / "x.sft").write_text("precious")
    arguments = ("train", "--mlm", corpus, "--base", pico_base, "--device", "cpu", "--steps", 9, "--dry-run")
    assert sftkit(*arguments, "-o", tmp_path / "x.sft").status == 0


@pytest.fixture
def seconds(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock(1.0)
    monkeypatch.setattr("sftkit.cli.show.progress.Forecast", lambda parts, every: Forecast(parts, every, clock))
    return clock


def begin(display: TrainingDisplay, steps: int, **changes: object) -> None:
    display.planned(plan(steps1=1000, steps2=1000, eval_every=500, **changes))
    display.phase("phase 1", 1000)
    display.evaluating()
    display.started("loss", 5.0)
    for step in range(1, steps + 1):
        display.step(step, None)


def test_after_twenty_steps_the_plan_says_how_long_all_takes(
    seconds: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    with TrainingDisplay() as display:
        begin(display, 19)
        assert "time:" not in capsys.readouterr().err
        display.step(20, None)
        said = capsys.readouterr().err
        assert "1,000 steps of phase 1 × 1 s + 1,000 steps of phase 2 × 1 s (taken to be as slow as phase 1's)" in said
        assert "5 evaluations × 1 s: about 33 min; --run-dir DIR keeps it safe" in said
        display.step(21, None)
        assert "time:" not in capsys.readouterr().err


def test_a_run_with_a_directory_and_a_short_one_need_none(seconds: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    with TrainingDisplay(patient=True) as display:
        begin(display, 20)
    assert "about 33 min\n" in capsys.readouterr().err
    seconds.seconds = 0.1
    with TrainingDisplay() as display:
        begin(display, 20)
    assert "about 3 min\n" in capsys.readouterr().err
    seconds.seconds = 0.01
    with TrainingDisplay() as display:
        begin(display, 20)
    assert "time:" not in capsys.readouterr().err


def test_what_was_done_of_a_run_is_told_by_phases() -> None:
    with TrainingDisplay(quiet=True) as display:
        assert display.unsaved() == ""
        begin(display, 3)
        assert display.unsaved() == "3 steps of phase 1"
        display.phase("select", 0)
        assert display.unsaved() == "phase 1"
        display.phase("phase 2", 1000)
        display.step(1, None)
        assert display.unsaved() == "phase 1 and 1 step of phase 2"


def test_an_end_without_a_directory_says_what_one_would_have_kept(
    tmp_path: Path, pico_base: Path, corpus: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = TrainingDisplay.step

    def step(self: TrainingDisplay, number: int, loss: float | None) -> None:
        real(self, number, loss)
        if self._phase == "phase 2" and number == 2:
            raise KeyboardInterrupt("interrupted")

    monkeypatch.setattr(TrainingDisplay, "step", step)
    done = sftkit(
        "train", "--mlm", corpus, "--base", pico_base, "-o", tmp_path / "x.sft", "--steps", 3, "--device", "cpu"
    )
    assert done.status == 130
    assert "was not touched; --run-dir DIR would have kept phase 1 and 2 steps of phase 2" in done.stderr


@pytest.mark.parametrize(
    ("seconds_", "said"),
    [(0.4, "0 s"), (59, "59 s"), (61, "1 min"), (3599, "1 h 0 min"), (34_200, "9 h 30 min"), (200_000, "2 d 8 h")],
)
def test_durations_have_two_units_at_most(seconds_: float, said: str) -> None:
    assert duration(seconds_) == said


def test_the_header_counts_epochs() -> None:
    assert "100 + 100 steps of 8, 3 + 10 epochs" in "\n".join(header(plan(epochs1=3.0)))
    assert "; 1 step of 8, 1 epoch" in "\n".join(header(plan(steps1=0, steps2=1, epochs2=1.0)))
    assert ", 1,234 epochs" in "\n".join(header(plan(steps1=0, epochs2=1234.0)))


def test_bfloat16_is_advised_where_the_device_has_it(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "--precision bf16 may be faster" in "\n".join(header(plan(bf16_faster=True)))
    assert "bf16" not in "\n".join(header(plan()))
    assert not has_bf16(torch.device("cpu"))
    for supported in (True, False):
        monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda here=supported, **_: here)
        assert has_bf16(torch.device("cuda")) is supported
