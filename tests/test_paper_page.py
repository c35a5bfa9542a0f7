"""The page on the paper's claims says what the laboratory's scores say."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import sftkit
from tests.benchmarks.laboratory.__main__ import main

PAGE = Path(sftkit.__file__).parent / "docs/paper.md"
NUMBER = r"([+−-]?\d+\.\d)"


def with_intervals(text: str) -> set[tuple[float, ...]]:
    """All that is written as ``value [low, high]``."""
    found = re.findall(rf"{NUMBER}\*{{0,2}} \[{NUMBER}, {NUMBER}\]", text)
    return {tuple(float(part.replace("−", "-")) for part in each) for each in found}


def test_every_figure_with_an_interval_is_the_scores(capsys: pytest.CaptureFixture[str]) -> None:
    main([])
    printed, said = with_intervals(capsys.readouterr().out), with_intervals(PAGE.read_text(encoding="utf-8"))
    assert len(said) > 10
    assert said <= printed, said - printed
