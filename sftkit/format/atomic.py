"""Outputs that are whole or not there: written beside their final place, then renamed.

Covers one file or one directory on one file system. Does not cover several outputs at once. A symbolic link is
followed: what it points to is what is written. Nothing is ever replaced that is not of the output's own kind. What a
process that was killed left of an output is removed when the same output is written again.
"""

from __future__ import annotations

import fnmatch
import glob
import json
import os
import shutil
import signal
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from importlib import import_module
from pathlib import Path
from typing import Any

from sftkit.errors import OutputExistsError

_locks: Any = import_module("fcntl") if os.name == "posix" else None
#: What a model's directory consists of; one with anything else in it is not replaced, whatever ``--overwrite`` says.
_MODEL_FILES = (
    "*.json", "*.safetensors", "*.bin", "*.model", "*.jinja", "*.py", "*.md", "vocab*.txt", "merges*.txt", "dict.txt",
    "bpe.codes", "spm.*", "sentencepiece.*", "*.tiktoken", ".gitattributes", "LICENSE*",
)  # fmt: skip


def check_output(path: Path, *, overwrite: bool, inputs: Sequence[Path] = (), directory: bool | None = None) -> None:
    """Refuse early, before any work is done, what could not be written at the end.

    Args:
        path: the output.
        overwrite: whether it may be replaced.
        inputs: what it is made from: an output that is, or holds, one of them would destroy it.
        directory: whether the output is a directory; None if either would do.

    Raises:
        OutputExistsError: if it exists and may not be replaced, or is of another kind than what would replace it.
    """
    _check_name(path)
    final = _final(path)
    _check_parent(path, final)
    if not final.exists():
        return
    if directory is True and not final.is_dir():
        raise OutputExistsError(f"{path} is a file, and the output a directory. Choose another name.")
    if directory is False and final.is_dir():
        raise OutputExistsError(f"{path} is a directory, and the output a file. Choose another name.")
    if not overwrite:
        raise OutputExistsError(f"{path} exists already. Choose another name, or replace it with --overwrite.")
    for source in inputs:
        real = source.resolve()
        if real == final or final in real.parents:
            raise OutputExistsError(f"{path} would replace {source}, from which it is made. Choose another name.")
    if final.is_dir():
        _check_replaceable(path, final)


def check_folder(path: Path) -> None:
    """Refuse early a folder to write into that is none, and cannot be made.

    Raises:
        OutputExistsError: naming what is in the way.
    """
    _check_parent(path, _final(path) / "file")


def _final(path: Path) -> Path:
    """Where the output really goes: "..", "." and links resolved, so that renaming cannot lose the way."""
    return Path(os.path.realpath(path.expanduser()))


def _check_replaceable(path: Path, final: Path) -> None:
    here = Path.cwd()
    if final == here or final in here.parents:
        raise OutputExistsError(f"{path} is, or holds, the folder that you are in, so it is not replaced.")
    entries = sorted(final.iterdir())
    if entries and not (final / "config.json").is_file():
        raise OutputExistsError(
            f"{path} is a directory that holds no model, so it is not replaced. Choose another name."
        )
    carried = _carried(final)
    for entry in entries:
        inside = [each for each in entry.rglob("*") if not each.is_dir()] if entry.is_dir() else [entry]
        usual = not entry.is_dir() and any(fnmatch.fnmatch(entry.name, pattern) for pattern in _MODEL_FILES)
        known = all(each.relative_to(final).as_posix() in carried for each in inside)
        if not usual and not (known and (inside or entry.name in carried)):
            raise OutputExistsError(
                f"{path} holds {entry.name}, which is no part of a model, so it is not replaced. Choose another name."
            )


def _carried(folder: Path) -> frozenset[str]:
    """What composing put beside the weights, by the model's own record."""
    try:
        named = json.loads((folder / "sftkit.json").read_text(encoding="utf-8"))["carried"]
        return frozenset(str(name) for name in named)
    except (OSError, ValueError, KeyError, TypeError):
        return frozenset()


def _check_name(path: Path) -> None:
    """The file system itself says which names it takes: some are too long, some cannot be encoded."""
    whole = path.expanduser().absolute()
    there = Path(whole.anchor)
    for part in whole.parts[1:]:
        if reason := _why_no_name(there / part):
            shown = str(path).encode("utf-8", "backslashreplace").decode()
            raise OutputExistsError(f"{shown} cannot be made: {reason}. Choose another name.")
        if os.path.lexists(there / part):  # else what is below it would be made in it: try that here
            there /= part


def _why_no_name(path: Path) -> str:
    try:
        os.lstat(path)
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return ""
    except (OSError, ValueError) as error:
        return error.strerror or str(error) if isinstance(error, OSError) else str(error)
    return ""


def _check_parent(path: Path, final: Path) -> None:
    parent = final.parent
    while not parent.exists():
        parent = parent.parent
    if not parent.is_dir():
        raise OutputExistsError(f"{path} cannot be made: {parent} is a file, not a directory. Choose another name.")
    if not os.access(parent, os.W_OK):
        raise OutputExistsError(f"{path} cannot be written: no permission to write in {parent}. Choose another name.")


@contextmanager
def atomic_file(path: Path, *, overwrite: bool = False) -> Iterator[Path]:
    """Yield a temporary path in the same folder; on success it becomes ``path``, on any failure it is removed.

    Raises:
        OutputExistsError: as :func:`check_output`.
    """
    check_output(path, overwrite=overwrite, directory=False)
    final = _final(path)
    final.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=_prefix(final), suffix=".part", dir=final.parent)
    os.close(handle)
    part = Path(name)
    try:
        with _locked(part):
            yield part
            part.chmod(0o666 & ~_umask())
            os.replace(part, final)
    finally:
        with _unheard_signals():
            part.unlink(missing_ok=True)


@contextmanager
def atomic_directory(path: Path, *, overwrite: bool = False) -> Iterator[Path]:
    """Yield a temporary folder beside ``path``; on success it becomes ``path``, on any failure it is removed.

    Raises:
        OutputExistsError: as :func:`check_output`.
    """
    check_output(path, overwrite=overwrite, directory=True)
    final = _final(path)
    final.parent.mkdir(parents=True, exist_ok=True)
    part = Path(tempfile.mkdtemp(prefix=_prefix(final), suffix=".part", dir=final.parent))
    old = part.with_suffix(".old")
    try:
        with _locked(part):
            yield part
            part.chmod(0o777 & ~_umask())
            with _unheard_signals():
                _swap(part, final, old)
    finally:
        with _unheard_signals():
            shutil.rmtree(part, ignore_errors=True)


def _prefix(final: Path) -> str:
    """How parts of an output are called, once those are removed that killed processes left of it."""
    short = os.fsencode(final.name)[:100].decode("utf-8", "ignore")  # a name has 255 bytes at most, not characters
    prefix = f".sftkit-{short}-"
    for left in final.parent.glob(f"{glob.escape(prefix)}*.part"):
        with suppress(OSError), _locked(left) as nobody_else:
            if nobody_else and left.is_dir():
                shutil.rmtree(left)
            elif nobody_else:
                left.unlink()
    return prefix


@contextmanager
def _locked(part: Path) -> Iterator[bool]:
    """Hold a lock that ends with this process, however that ends; yields whether it was to be had."""
    if _locks is None:
        yield False
        return
    handle = os.open(part, os.O_RDONLY)
    try:
        try:
            _locks.flock(handle, _locks.LOCK_EX | _locks.LOCK_NB)
        except OSError:  # another process has it, or the file system has none
            yield False
        else:
            yield True
    finally:
        os.close(handle)


def _swap(part: Path, final: Path, old: Path) -> None:
    if final.exists():
        os.replace(final, old)
    try:
        os.replace(part, final)
    except BaseException:
        if old.exists():
            os.replace(old, final)
        raise
    shutil.rmtree(old, ignore_errors=True)


@contextmanager
def _unheard_signals() -> Iterator[None]:
    """Let no Ctrl-C or request to end come between: half a removal would leave what nobody looks for."""
    main = threading.current_thread() is threading.main_thread()
    names = [name for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)] if main else []
    before = {name: signal.signal(getattr(signal, name), signal.SIG_IGN) for name in names}
    try:
        yield
    finally:
        for name, handler in before.items():
            signal.signal(getattr(signal, name), handler)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
