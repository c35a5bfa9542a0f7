"""What is published: the same bytes from the same sources, all that it should hold, and nothing stray."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

pytestmark = [pytest.mark.slow, pytest.mark.skipif(shutil.which("git") is None, reason="asks git what is tracked")]


def build(folder: Path, source: Path = ROOT) -> dict[str, bytes]:
    """Wheel and sdist of some sources, by their names."""
    code = (
        "import os, sys; from hatchling import build; os.chdir(sys.argv[1]); "
        "build.build_sdist(sys.argv[2]); build.build_wheel(sys.argv[2])"
    )
    folder.mkdir()
    subprocess.run([_builder(folder), "-c", code, str(source), str(folder)], check=True, capture_output=True)
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def _builder(folder: Path) -> str:
    """A Python that has hatchling; no part of what the tests need otherwise."""
    home = folder.parent / "builder"
    python = home / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
    if not python.exists():
        venv.create(home, with_pip=True)
        subprocess.run([python, "-m", "pip", "install", "-q", "hatchling>=1.25"], check=True, capture_output=True)
    return str(python)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("package") / "dist"
    build(folder)
    return folder


def tracked() -> set[str]:
    """What is in version control, or would be."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    said = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return {name for name in said.splitlines() if (ROOT / name).exists()}


def in_wheel(folder: Path) -> set[str]:
    with zipfile.ZipFile(next(folder.glob("*.whl"))) as archive:
        return set(archive.namelist())


def in_sdist(folder: Path) -> set[str]:
    with tarfile.open(next(folder.glob("*.tar.gz"))) as archive:
        return {name.partition("/")[2] for name in archive.getnames()}


def test_the_same_sources_give_the_same_bytes_wherever_they_lie(built: Path) -> None:
    again = built.parent / "elsewhere"
    for name in tracked():
        (again / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, again / name)
    assert build(built.parent / "dist2", again) == {path.name: path.read_bytes() for path in built.iterdir()}


def test_a_wheel_holds_the_package_and_nothing_else(built: Path) -> None:
    package = {name for name in tracked() if name.startswith("sftkit/")}
    found = in_wheel(built)
    assert {name for name in found if ".dist-info/" not in name} == package
    assert {"sftkit/py.typed", "sftkit/docs/trust.md"} <= found
    assert {name.rpartition("/")[2] for name in found if ".dist-info/" in name} == {
        "METADATA", "WHEEL", "entry_points.txt", "LICENSE", "RECORD",
    }  # fmt: skip


def test_an_sdist_holds_what_is_tracked_but_for_what_is_of_its_place(built: Path) -> None:
    left_out = {name for name in tracked() if name.startswith((".ci/", ".github/"))}
    assert in_sdist(built) - {"PKG-INFO"} == tracked() - left_out
    assert {"CITATION.cff", "completions/sftkit.bash"} <= in_sdist(built)


def test_a_wheel_installs_into_an_empty_environment(built: Path, tmp_path: Path) -> None:
    """Without what it requires, which is large."""
    venv.create(tmp_path / "env", with_pip=True)
    python = tmp_path / "env" / "bin" / "python"
    wheel = next(built.glob("*.whl"))
    subprocess.run([python, "-m", "pip", "install", "-q", "--no-deps", wheel], check=True, capture_output=True)
    said = subprocess.run([python, "-m", "pip", "show", "-f", "sftkit"], capture_output=True, text=True, check=True)
    assert "sftkit/docs/trust.md" in said.stdout
    assert (tmp_path / "env" / "bin" / "sftkit").exists()
