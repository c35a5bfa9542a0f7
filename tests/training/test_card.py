"""Training on another device than the CPU, of which there is none here but one that is made up."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers.card import there_may_be_one
from tests.training.on_card import CASES

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What is different on the card, by case."""
    if not there_may_be_one():
        pytest.skip("needs a torch that lets a backend be written in Python")
    command = [sys.executable, "-m", "tests.training.on_card", str(tmp_path_factory.mktemp("card"))]
    done = subprocess.run(command, cwd=ROOT, env=os.environ, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    result: dict[str, str] = json.loads(done.stdout.splitlines()[-1])
    return result


@pytest.mark.parametrize("case", CASES)
def test_the_same_is_learned_where_tensors_of_two_devices_must_not_meet(case: str, found: dict[str, str]) -> None:
    assert found[case] == ""
