"""A run's directory: which run it holds; and the Trainer's checkpoints of its phases, which of them are whole.

A process can be killed while a checkpoint is written, so one counts only once a mark was put into it afterwards.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from safetensors import SafetensorError
from transformers.trainer import TRAINER_STATE_NAME

from sftkit import __version__
from sftkit.checkpoints.checkpoint import Checkpoint
from sftkit.checkpoints.fingerprint import fingerprint
from sftkit.errors import SettingsError
from sftkit.format.writing import file_digest
from sftkit.tasks.options import options_about
from sftkit.tasks.readers.sources import digest
from sftkit.training.engine.ranks import is_first, world
from sftkit.training.memory import ran_out
from sftkit.training.settings import PART, RUN, Settings

#: In a phase's folder once it is done: its outcome.
DONE = "done.json"
#: In a checkpoint: what was scored so far.
JUDGE = "judge.json"
_MARK = "complete"
#: How torch, which hides what the system says, tells that a file could not be written.
_UNWRITTEN = r"inline_container|PytorchStreamWriter|Parent directory .* does not exist"
_PREFIX = "checkpoint-"
#: What reading a file that is not whole, or another program's, raises.
_UNREADABLE = (
    OSError, ValueError, LookupError, TypeError, EOFError, RuntimeError, UnpicklingError, SafetensorError,
)  # fmt: skip


def claim(folder: Path, each: Sequence[Settings]) -> None:
    """Say what run a directory holds; or see that it is the same one.

    Files count by what they hold, data sets on the hub by their names alone: what changes there meanwhile is not seen.

    Raises:
        SettingsError: if it is another one, naming what differs.
    """
    folder.mkdir(parents=True, exist_ok=True)
    now = json.loads(json.dumps([_described(settings) for settings in each], default=str))
    try:
        before = [dict(each) for each in json.loads((folder / RUN).read_text(encoding="utf-8"))]
    except FileNotFoundError:
        write_json(folder / RUN, now)
        return
    except (ValueError, TypeError) as error:
        raise SettingsError(f"{folder / RUN} is damaged ({error}). Take another --run-dir.") from None
    if len(before) != len(now):
        raise SettingsError(
            f"{folder} holds another run: its densities were {len(before)} in number, not {len(now)}. "
            "Take another --run-dir."
        )
    for old, new in zip(before, now, strict=True):
        for key in sorted({*old, *new}):
            if old.get(key) != new.get(key):
                raise SettingsError(
                    f"{folder} holds another run: {key} was {_short(old.get(key))} and is {_short(new.get(key))}. "
                    "Give the same settings to go on with it, or take another --run-dir."
                )


def _short(value: Any) -> str:
    """A setting in few words."""
    if isinstance(value, dict) and "xxh3_128" in value:
        return f"{value['name']} (xxh3 {value['xxh3_128'][:8]}…)"
    if isinstance(value, dict):
        return ", ".join(f"{key.replace('_', ' ')} {each}" for key, each in value.items() if each) or "nothing"
    if isinstance(value, list):
        return ", ".join(map(_short, value)) or "nothing"
    return str(value)


def _described(settings: Settings) -> dict[str, Any]:
    """The settings, with what their files hold."""
    names = [*settings.data, *(source.data for source in settings.sources)]
    data = {"data": [digest(name) for name in names], "dev": [digest(name) for name in settings.dev]}
    sfts = [settings.source_sft, *(source.sft for source in settings.sources)]
    files = [path for path in (*sfts, settings.mask_from, *settings.avoid) if path is not None]
    return (
        asdict(settings)
        | data
        | {
            "device": None,
            "options": options_about(settings.options, settings.objective),
            "base": fingerprint(Checkpoint(settings.base)),
            "files": [file_digest(path) for path in files],
            "processes": world(),
            "versions": {"sftkit": __version__, "torch": torch.__version__},
        }
    )


@contextmanager
def readable(path: Path, advice: str = "Take another --run-dir.") -> Iterator[None]:
    """Whatever reading a file raises that is not whole, or not there, as one line.

    Raises:
        SettingsError: naming the file, with advice.
    """
    try:
        yield
    except _UNREADABLE as error:
        if ran_out(error):
            raise
        reason = " ".join(str(error).split())[:200]
        raise SettingsError(f"{path} is damaged or gone ({reason}). {advice}") from error


@contextmanager
def writable(path: Path) -> Iterator[None]:
    """Whatever writing a file, or into a folder, raises where a disk is full or fails, as one line.

    Raises:
        SettingsError: naming the file.
    """
    try:
        yield
    except (OSError, RuntimeError, SafetensorError) as error:
        if not isinstance(error, OSError | SafetensorError) and not re.search(_UNWRITTEN, str(error)):
            raise
        named = Path(os.fsdecode(error.filename)) if isinstance(error, OSError) and error.filename else path
        raise SettingsError(
            f"{named if path in named.parents else path} cannot be written ({_reason(error)}). Make room there, or "
            "mend what is wrong: a run with --run-dir then goes on with --resume; one without keeps such files in "
            "$TMPDIR."
        ) from error


def _reason(error: Exception) -> str:
    if isinstance(error, OSError):
        return error.strerror or str(error)
    if isinstance(error, SafetensorError):
        return " ".join(str(error).split())[:200]
    return "not all of it was taken; is the disk full?"


def readable_checkpoint(folder: Path) -> AbstractContextManager[None]:
    """The same of a checkpoint."""
    return readable(folder, "Delete that folder to go on from the checkpoint before it, or take another --run-dir.")


def check_checkpoint(folder: Path) -> None:
    """See that what the Trainer reads first of a checkpoint can be read.

    Raises:
        SettingsError: if it cannot.
    """
    with readable_checkpoint(folder):
        json.loads((folder / TRAINER_STATE_NAME).read_text(encoding="utf-8"))


def latest_checkpoint(folder: Path) -> str | None:
    """The last whole checkpoint in a phase's folder, or None; those that are not whole are removed."""
    whole = []
    for path in folder.glob(f"{_PREFIX}*"):
        if (path / _MARK).is_file():
            whole.append(path)
        elif is_first():
            shutil.rmtree(path)
    return str(max(whole, key=step_of)) if whole else None


def so_far(folder: Path) -> dict[str, dict[str, Any]]:
    """The curves of a run's phases as far as they have come, as a training record has them; of several K, one's."""
    found: dict[str, dict[str, Any]] = {"history": {}, "losses": {}}
    for phase in (path for path in sorted(folder.glob("phase*")) if not path.name.startswith("phase1-")):
        checkpoint = latest_checkpoint(phase)
        try:
            if (phase / DONE).is_file():
                outcome = json.loads((phase / DONE).read_text(encoding="utf-8"))
            elif checkpoint is not None:
                outcome = json.loads((Path(checkpoint) / JUDGE).read_text(encoding="utf-8"))["outcome"]
            else:
                continue
            for what, curves in found.items():
                curves[phase.name.partition("-")[0]] = outcome[what]
        except (OSError, ValueError, KeyError):
            continue  # a picture is not worth an error
    return found


def step_of(checkpoint: Path) -> int:
    """Which step a checkpoint is of."""
    return int(checkpoint.name.removeprefix(_PREFIX))


def mark_complete(folder: Path, step: int) -> None:
    """Say that the checkpoint of a step is whole.

    Raises:
        SettingsError: if the disk is full.
    """
    mark = folder / f"{_PREFIX}{step}" / _MARK
    with writable(mark):
        mark.touch()


def drop_checkpoints(folder: Path) -> None:
    """Remove them all: the phase is done."""
    for path in folder.glob(f"{_PREFIX}*"):
        shutil.rmtree(path)


def write_json(path: Path, document: Any) -> None:
    """Write a document, replacing what was there only once the new file is whole.

    Raises:
        SettingsError: if the disk is full.
    """
    part = path.with_suffix(PART)
    with writable(path):
        part.write_text(json.dumps(document) + "\n", encoding="utf-8")
        part.replace(path)
