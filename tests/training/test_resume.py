"""A run that was killed goes on, and ends as if nothing had happened."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from sftkit.errors import SettingsError
from sftkit.format.writing import write
from sftkit.training.engine.checkpoints import claim, so_far
from sftkit.training.lottery import learn
from sftkit.training.settings import Settings, settings_for
from tests.helpers.build import save_sft
from tests.training.observers import EndAt, EndWhileScoring

forks = pytest.mark.skipif(not hasattr(os, "fork"), reason="forks what is killed")
long = pytest.mark.long


def settings(base: Path, corpus: Path, objective: str = "mlm", **changes: object) -> Settings:
    given = {"steps": 12, "eval_every": 3, "lr": 1e-2, "k": 100, "device": "cpu", "batch_size": 4} | changes
    return settings_for(objective, data=(str(corpus),), base=base, base_name="pico", **given)


@pytest.fixture(scope="module")
def undisturbed(pico_base: Path, corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("undisturbed") / "x.sft"
    return write(path, learn(settings(pico_base, corpus)).sft).read_bytes()


@pytest.mark.parametrize("step", [1, 3, 7, 12, 13, 20, 24])
def test_a_run_that_was_interrupted_at_a_step_ends_with_the_same_bytes(
    step: int, undisturbed: bytes, pico_base: Path, corpus: Path, tmp_path: Path
) -> None:
    with pytest.raises(KeyboardInterrupt):
        learn(settings(pico_base, corpus), EndAt(step), run_dir=tmp_path / "run")
    result = learn(settings(pico_base, corpus), run_dir=tmp_path / "run")
    assert write(tmp_path / "x.sft", result.sft).read_bytes() == undisturbed


def test_an_interruption_saves_the_step_that_it_came_at(pico_base: Path, corpus: Path, tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        learn(settings(pico_base, corpus, method="random"), EndAt(5), run_dir=tmp_path / "run")
    assert (tmp_path / "run" / "phase2-100" / "checkpoint-5" / "complete").exists()


@pytest.mark.parametrize("criterion", ["movement", "fisher"])
def test_scores_that_are_counted_while_training_survive_an_interruption(
    criterion: str, pico_base: Path, corpus: Path, tmp_path: Path
) -> None:
    made = settings(pico_base, corpus, criterion=criterion)
    with pytest.raises(KeyboardInterrupt):
        learn(made, EndAt(7), run_dir=tmp_path / "run")
    assert learn(made, run_dir=tmp_path / "run").sft.digest == learn(made).sft.digest


def test_a_finished_run_is_not_run_again(pico_base: Path, corpus: Path, undisturbed: bytes, tmp_path: Path) -> None:
    learn(settings(pico_base, corpus), run_dir=tmp_path / "run")
    result = learn(settings(pico_base, corpus), EndAt(1), run_dir=tmp_path / "run")
    assert write(tmp_path / "x.sft", result.sft).read_bytes() == undisturbed


def test_another_run_is_refused_with_what_differs(pico_base: Path, corpus: Path, tmp_path: Path) -> None:
    learn(settings(pico_base, corpus, steps=1), run_dir=tmp_path / "run")
    with pytest.raises(SettingsError, match=r"lr was 0\.01 and is 0\.1"):
        learn(settings(pico_base, corpus, steps=1, lr=0.1), run_dir=tmp_path / "run")


def test_the_curves_of_a_run_that_was_ended_are_there(pico_base: Path, corpus: Path, tmp_path: Path) -> None:
    assert so_far(tmp_path) == {"history": {}, "losses": {}}
    with pytest.raises(KeyboardInterrupt):
        learn(settings(pico_base, corpus), EndAt(20), run_dir=tmp_path)
    for what, curves in so_far(tmp_path).items():
        start = [0] if what == "history" else []
        assert {phase: [step for step, _ in curve] for phase, curve in curves.items()} == {
            "phase1": [*start, 3, 6, 9, 12],
            "phase2": [*start, 3, 6],
        }


def test_what_differs_is_told_in_words(pico_base: Path, corpus: Path, tmp_path: Path) -> None:
    learn(settings(pico_base, corpus, steps=1), run_dir=tmp_path)
    with pytest.raises(SettingsError, match=r"phase1 was steps 1 and is steps 2"):
        learn(settings(pico_base, corpus, steps=2), run_dir=tmp_path)


DAMAGED = (
    "rewind", "phase1/best", "phase1/done", "phase2-*/checkpoint-*/moving",
    "phase2-*/checkpoint-*/judge", "phase2-*/checkpoint-*/trainer_state", "phase2-*/checkpoint-*/optimizer",
    "phase2-*/checkpoint-*/scheduler", "phase2-*/checkpoint-*/rng_state",
)  # fmt: skip


@pytest.mark.parametrize("damaged", DAMAGED)
def test_a_damaged_run_is_refused_and_never_another_sft(
    damaged: str, pico_base: Path, corpus: Path, tmp_path: Path
) -> None:
    made = settings(pico_base, corpus, rewind_to=2)
    with pytest.raises(KeyboardInterrupt):
        learn(made, EndAt(20), run_dir=tmp_path / "run")
    for path in (tmp_path / "run").glob(f"{damaged}.*"):
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(SettingsError, match=r"is damaged or gone.*--run-dir"):
        learn(made, run_dir=tmp_path / "run")


@pytest.mark.parametrize("text", ["[]", '{"new": 1}', "[1]", "1"])
@pytest.mark.parametrize("record", ["run.json", "phase1/done.json"])
def test_a_record_of_another_program_is_refused_in_one_line(
    record: str, text: str, pico_base: Path, corpus: Path, tmp_path: Path
) -> None:
    made = settings(pico_base, corpus, steps=1)
    learn(made, run_dir=tmp_path)
    (tmp_path / record).write_text(text)
    with pytest.raises(SettingsError, match=r"(is damaged|holds another run).*--run-dir"):
        learn(made, run_dir=tmp_path)


def killed(folder: Path, base: Path, data: list[str], outputs: list[str], *options: str, **moments: int) -> str:
    """What goes wrong when this run is killed; see tests/training/killing.py."""
    common = [
        *data, "--base", str(base), "--steps", "6", "--eval-every", "2", "--lr", "1e-2", "--device",
        "cpu", "--batch-size", "4", "--max-length", "32",
    ]  # fmt: skip
    asked = {
        "folder": str(folder), "options": [*common, *options], "outputs": outputs,
        "seed": int.from_bytes(os.urandom(4), "little"), **moments,
    }  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-m", "tests.training.killing", json.dumps(asked)], env=os.environ | {"OMP_NUM_THREADS": "1"},
        cwd=Path(__file__).parents[2], capture_output=True, text=True, check=False,
    )  # fmt: skip
    return done.stdout.strip() if done.returncode == 0 else f"seed {asked['seed']}: {done.stderr}"


@forks
@pytest.mark.slow
def test_killed_at_random_moments_the_same_command_ends_with_the_same_bytes(
    pico_base: Path, corpus: Path, tmp_path: Path
) -> None:
    data = ["--mlm", str(corpus)]
    assert killed(tmp_path, pico_base, data, ["x.sft"], "--k", "100", operations=3, times=2) == ""


@forks
@pytest.mark.slow
@pytest.mark.parametrize(
    ("options", "outputs"),
    [
        pytest.param(["--k", "100"], ["x.sft"], marks=long),
        (["--density", "0.01,0.03"], ["x-0.01.sft", "x-0.03.sft"]),
        pytest.param(["--k", "100", "--iterations", "3", "--accumulate", "2", "--l1", "0.1"], ["x.sft"], marks=long),
        pytest.param(["--k", "100", "--rewind-to", "3", "--criterion", "movement"], ["x.sft"], marks=long),
        pytest.param(["--k", "100", "--rewind-to", "end"], ["x.sft"], marks=long),
        pytest.param(["--k", "100", "--method", "random"], ["x.sft"], marks=long),
        pytest.param(["--k", "100", "--selection", "streaming"], ["x.sft"], marks=long),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) and value[0].startswith("-") else "",
)
def test_whatever_the_run_killed_at_many_moments_it_ends_with_the_same_bytes(
    options: list[str], outputs: list[str], pico_base: Path, corpus: Path, tmp_path: Path
) -> None:
    data = ["--mlm", str(corpus)]
    assert killed(tmp_path, pico_base, data, outputs, *options, operations=10, times=6) == ""


@forks
@pytest.mark.slow
def test_a_run_over_several_sources_killed_at_many_moments_ends_with_the_same_bytes(
    pico_base: Path, treebank: Path, tmp_path: Path
) -> None:
    sfts = [save_sft(tmp_path / f"{seed}.sft", pico_base, seed=seed, k=2000, scale=0.1) for seed in (0, 1)]
    data = ["--objective", "pos", *(f"--source={sft.stem}={sft}:{treebank}" for sft in sfts)]
    options = ["--k", "100", "--temperature", "2", "--rewind-to", "2"]
    assert killed(tmp_path / "runs", pico_base, data, ["x.sft"], *options, operations=8, times=4) == ""


@pytest.mark.parametrize("evaluation", [2, 4, 5, 6, 9])  # the first is of the start
def test_a_run_that_was_interrupted_while_it_was_scored_ends_with_the_same_bytes(
    evaluation: int, undisturbed: bytes, pico_base: Path, corpus: Path, tmp_path: Path
) -> None:
    with pytest.raises(KeyboardInterrupt):
        learn(settings(pico_base, corpus), EndWhileScoring(evaluation), run_dir=tmp_path / "run")
    assert list((tmp_path / "run").rglob("complete"))
    result = learn(settings(pico_base, corpus), run_dir=tmp_path / "run")
    assert write(tmp_path / "x.sft", result.sft).read_bytes() == undisturbed


def test_without_a_directory_an_interrupt_while_scoring_ends_the_run_at_once(pico_base: Path, corpus: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        learn(settings(pico_base, corpus), EndWhileScoring(1))


def test_another_number_of_processes_is_refused(
    pico_base: Path, corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    claim(tmp_path, [settings(pico_base, corpus)])
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(SettingsError, match="processes was 1 and is 2"):
        claim(tmp_path, [settings(pico_base, corpus)])


def test_checkpoints_of_a_phase_that_is_done_are_removed(pico_base: Path, corpus: Path, tmp_path: Path) -> None:
    learn(settings(pico_base, corpus), run_dir=tmp_path)
    (tmp_path / "phase1" / "checkpoint-9").mkdir()  # left by a process that was killed while it removed them
    learn(settings(pico_base, corpus), run_dir=tmp_path)
    assert not list(tmp_path.rglob("checkpoint-*"))
