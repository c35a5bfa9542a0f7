"""Sweeps as Snakemake does them: the page's example, a cell that fails, and ends at any moment."""

from __future__ import annotations

import csv
import random
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import sftkit
from tests.conftest import treebank_text
from tests.helpers import pico

pytestmark = pytest.mark.slow
pytest.importorskip("snakemake")
SWEEP = [sys.executable, "-m", "sftkit", "sweep", "transfer.toml", "-j", "2", "--quiet"]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with what the example of the page asks for, in few steps."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(Path(sftkit.__file__).parents[1]))
    pico.save_base(Path("mmt-small"))
    for name in ("mt.txt", "en.txt"):
        Path(name).write_text("".join(f"ta mi lo mi{i % 7} ka{i % 5}.\n" for i in range(60)))
    for name in ("en-train", "en-dev", "mt-test"):
        Path(f"{name}.conllu").write_text(treebank_text(20))
    page = (Path(sftkit.__file__).parent / "docs/sweeps.md").read_text(encoding="utf-8")
    example = re.findall(r"<!-- sweep -->\n```toml\n(.*?)```", page, re.DOTALL)[0]
    few = re.sub(r"steps = \d+", "steps = 3", example).replace("seeds = [0, 1]", "seeds = [0]")
    few = few.replace("[0.02, 0.04, 0.08]", "[0.02, 0.04]").replace("[language]", 'device = "cpu"\n[language]')
    Path("transfer.toml").write_text(few)
    return tmp_path


def results(place: str) -> list[dict[str, str]]:
    """The rows without seconds."""
    with Path(place, "results.csv").open(newline="") as file:
        return [{k: v for k, v in row.items() if "seconds" not in k} for row in csv.DictReader(file)]


def test_a_cell_that_fails_stops_only_those_that_need_it_and_is_told_with_its_log(folder: Path) -> None:
    Path("mt.txt").write_text("")
    done = subprocess.run(SWEEP, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "learn mt, lottery 0.05, seed 0 failed" in done.stderr
    assert "see transfer/logs/mt-lottery-0-" in done.stderr
    assert {row["method"] for row in results("transfer")} == {"task-only"}
    Path("mt.txt").write_text("ta mi lo.\n" * 60)
    done = subprocess.run(SWEEP, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert len(results("transfer")) == 6
    again = subprocess.run(SWEEP, capture_output=True, text=True, check=False)
    assert "0 made" in again.stdout


@pytest.mark.long
def test_a_sweep_that_is_ended_five_times_has_the_same_results(folder: Path) -> None:
    """Ended in the midst, each time after some more cells, by a signal drawn at random; SIGKILL at least twice."""
    subprocess.run(SWEEP, check=True)
    signals = [signal.SIGKILL, signal.SIGKILL, signal.SIGTERM, *random.choices(list(ENDS), k=2)]
    random.shuffle(signals)
    for number, sign in enumerate(signals):
        process = subprocess.Popen([*SWEEP, "-o", "ended"], start_new_session=True)
        while process.poll() is None and records("ended") < 2 * number + 1:
            time.sleep(0.1)
        time.sleep(random.uniform(0, 4))
        process.send_signal(sign)
        assert process.wait() == ENDS[sign], signals
    subprocess.run([*SWEEP, "-o", "ended"], check=True)
    differing = [(one, other) for one, other in zip(results("transfer"), results("ended"), strict=True) if one != other]
    assert differing == [], signals


#: Signal -> status of a sweep that it ended.
ENDS = {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGKILL: -signal.SIGKILL}


def records(place: str) -> int:
    """How many cells are done."""
    return len([*Path(place).glob("sft/*/*.json"), *Path(place).glob("scores/*.json")])
