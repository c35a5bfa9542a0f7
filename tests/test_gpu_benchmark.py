"""The benchmark of what only a GPU can show runs whole without one, at pico size."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

TOP = Path(__file__).parents[1]


@pytest.mark.slow
@pytest.mark.long
def test_every_part_gives_figures_and_none_fails(tmp_path: Path) -> None:
    out = tmp_path / "gpu.json"
    environment = os.environ | {"CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "tests.benchmarks.gpu", str(out)]
    done = subprocess.run(command, cwd=TOP, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found = json.loads(out.read_text())
    assert {"equal to the CPU", "two processes on one card", "scoring"} <= set(found)
    assert not [part for part, figures in found.items() if "failed" in figures], found
    same = found["equal to the CPU"]
    assert same["random, f32: root mean square of φ apart / max |φ|"] == 0  # both are this CPU
