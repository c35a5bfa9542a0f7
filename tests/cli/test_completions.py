"""``completions/`` is what the program would generate now."""

from __future__ import annotations

from pathlib import Path

import pytest

from sftkit.cli.options.completions import scripts

FOLDER = Path(__file__).parents[2] / "completions"


@pytest.mark.parametrize("name", ["sftkit.bash", "_sftkit", "sftkit.fish"])
def test_completions_are_current(name: str) -> None:
    made = scripts()[name]
    assert (FOLDER / name).read_text(encoding="utf-8") == made, (
        "run: python -m sftkit.cli.options.completions completions"
    )
    assert "sftkit" in made


def test_completions_has_nothing_else() -> None:
    assert {path.name for path in FOLDER.iterdir()} == set(scripts())
