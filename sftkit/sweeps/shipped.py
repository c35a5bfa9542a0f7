"""Sweeps that come with sftkit, by their names."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

from sftkit.errors import SettingsError
from sftkit.shown import meant
from sftkit.storage.nearby import did_you_mean
from sftkit.storage.places import at_home


def shipped() -> dict[str, str]:
    """Name -> what it is, from the first line of each."""
    there = (each.name for each in files("sftkit").joinpath("sweeps").iterdir())
    found = sorted(name.removesuffix(".toml") for name in there if name.endswith(".toml"))
    return {name: _title(name) for name in found}


def _title(name: str) -> str:
    text = files("sftkit").joinpath(f"sweeps/{name}.toml").read_text(encoding="utf-8")
    return text.partition("\n")[0].lstrip("# ")


def path_of(name: str) -> Path:
    """The file that is meant: one on the disk, else one that comes with sftkit.

    Raises:
        SettingsError: if there is neither.
    """
    given = at_home(name)
    if given.is_file():
        return given
    if name in shipped():
        return Path(str(files("sftkit").joinpath(f"sweeps/{name}.toml")))
    if given.is_dir():
        raise SettingsError(f"{name} is a folder. Name a sweep's file, such as {name.rstrip('/')}/sweep.toml.")
    near = did_you_mean(name) or meant(name, shipped())
    raise SettingsError(f"{name}: no such file, and no sweep that comes with sftkit ({', '.join(shipped())}).{near}")
