"""What is told before a sweep starts: files and programs that are not there, cells that would fail."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.run import sftkit as run
from tests.helpers import pico
from tests.sweeps.test_sweeps import SWEEP


def test_missing_files_are_told_before_anything_starts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("snakemake")
    monkeypatch.chdir(tmp_path)
    Path("a.toml").write_text(SWEEP.replace("METHODS", ""))
    done = run("sweep", "a.toml")
    assert done.status == 1
    assert "6 of 6 files that cells read are not there: " in done.stderr


def test_a_rehearsal_with_missing_files_shows_the_plan_and_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a.toml").write_text(SWEEP.replace("METHODS", ""))
    done = run("sweep", "a.toml", "--dry-run", "-q")
    assert done.status == 1
    assert "to do, for 4 scores" in done.stdout
    assert "error: 6 of 6 files that cells read are not there: " in done.stderr


def test_a_rehearsal_tells_what_would_fail_when_its_cell_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    base = pico.save_base(Path("base"))
    for name in ("en", "mt", "wo"):
        Path(f"{name}.txt").write_text("ta mi lo .\nka su ra .\n" * 60)
        Path(f"{name}.train").write_text("1\tta\t_\tNOUN\n" * 3)
        Path(f"{name}.test").write_text("nothing\n")
    Path("a.toml").write_text(SWEEP.replace("METHODS", "").replace("steps = 3", "steps = 3\nk = 9_999_999"))
    done = run("sweep", "a.toml", "--dry-run", "-q")
    assert base.is_dir()
    assert done.status == 1
    assert "to do, for " in done.stdout
    assert "error: learn pos, lottery, seed 0 would fail: " in done.stderr


def test_without_snakemake_a_line_says_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sftkit.sweeps.engine.find_spec", {}.get)
    Path("a.toml").write_text(SWEEP.replace("METHODS", ""))
    done = run("sweep", "a.toml")
    assert done.status == 1
    assert "pip install 'snakemake" in done.stderr


@pytest.mark.parametrize(
    ("there", "text", "refused"),
    [("notes.txt", "", True), ("Snakefile", "rule all:", True), ("Snakefile", "# a: made by sftkit sweep", False),
     (".lock", "", False)],
)  # fmt: skip
def test_a_folder_of_other_things_is_no_place_for_a_sweep_and_a_copied_one_is(
    there: str, text: str, refused: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a.toml").write_text(SWEEP.replace("METHODS", ""))
    Path("a").mkdir()
    Path("a", there).write_text(text)
    said = run("sweep", "a.toml", "--dry-run", "-q").stderr
    assert ("a holds other things than a sweep" in said) == refused
