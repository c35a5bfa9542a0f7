"""What ``pip install`` gets: the same files to the byte each time, all that belongs in them, and nothing else."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import venv
from pathlib import Path
from zipfile import ZipFile

import pytest

ROOT = Path(__file__).parents[1]
_SOURCES = ("sftkit", "tests", "completions")
_BESIDE = {"README.md", "CHANGELOG.md", "CITATION.cff", "LICENSE", "pyproject.toml", ".gitignore"}

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Two folders with a wheel and a source distribution, from two copies of the sources, with litter in one."""
    pytest.importorskip("hatchling")
    folders = (tmp_path_factory.mktemp("one"), tmp_path_factory.mktemp("another"))
    for folder in folders:
        source = folder / "source"
        for name in _SOURCES:
            shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
        for name in _BESIDE:
            shutil.copy(ROOT / name, source)
        if folder is folders[1]:
            (source / "sftkit" / "__pycache__").mkdir()
            (source / "sftkit" / "__pycache__" / "x.pyc").touch()
            (source / "notes.txt").touch()
            (source / "LICENSE").touch()  # another time
        subprocess.run([sys.executable, "-m", "hatchling", "build", "-d", str(folder / "made")], cwd=source, check=True)
    return folders[0] / "made", folders[1] / "made"


def sources(*folders: str) -> set[str]:
    paths = (path for folder in folders for path in (ROOT / folder).rglob("*"))
    return {path.relative_to(ROOT).as_posix() for path in paths if path.is_file() and "__pycache__" not in path.parts}


def the(folder: Path, ending: str) -> Path:
    (found,) = folder.glob(f"*{ending}")
    return found


@pytest.mark.parametrize("ending", [".whl", ".tar.gz"])
def test_two_builds_are_the_same_to_the_byte(built: tuple[Path, Path], ending: str) -> None:
    one, another = (the(folder, ending) for folder in built)
    assert one.name == another.name
    assert one.read_bytes() == another.read_bytes()


def test_the_wheel_holds_the_package_whole_and_nothing_else(built: tuple[Path, Path]) -> None:
    with ZipFile(the(built[1], ".whl")) as wheel:
        names = {name for name in wheel.namelist() if ".dist-info/" not in name}
    assert names == sources("sftkit")
    assert {"sftkit/py.typed", "sftkit/docs/start.md", "sftkit/docs/trust.md", "sftkit/docs/demo.svg"} <= names


def test_the_source_distribution_holds_what_is_needed_to_test_it_and_nothing_else(built: tuple[Path, Path]) -> None:
    with tarfile.open(the(built[1], ".tar.gz")) as archive:
        names = {member.name.partition("/")[2] for member in archive.getmembers() if member.isfile()}
    assert names == sources(*_SOURCES) | _BESIDE | {"PKG-INFO"}


def test_the_wheel_installs_into_an_empty_environment(built: tuple[Path, Path], tmp_path: Path) -> None:
    venv.create(tmp_path / "env", with_pip=True)
    python = tmp_path / "env" / ("Scripts" if os.name == "nt" else "bin") / "python"
    wheel = str(the(built[0], ".whl"))
    subprocess.run([python, "-m", "pip", "install", "-q", "--no-deps", "--no-index", wheel], check=True)
    # what it depends on comes from here, sftkit itself does not: an editable install is no folder in there
    there = os.environ | {"PYTHONPATH": sysconfig.get_path("purelib")}
    where = subprocess.run(
        [python, "-c", "import sftkit; print(sftkit.__file__)"], env=there, cwd=tmp_path, stdout=-1, check=True
    ).stdout.decode()
    assert Path(where).is_relative_to(tmp_path)
    command = python.with_name("sftkit")
    demo = subprocess.run([command, "demo", "--help"], env=there, cwd=tmp_path, stdout=-1, check=True)
    assert b"Usage" in demo.stdout
