"""Places for outputs: which names a file system takes, what may be replaced, what an output would destroy.

Everything here is asked before any work is done, and asked of the file system itself. Two names of one file are told by
its number there, not by how they are written: on some disks ``X.sft`` is ``x.sft``.
"""

from __future__ import annotations

import fnmatch
import json
import os
from collections.abc import Iterable
from pathlib import Path

from sftkit.errors import OutputExistsError

#: What a model's directory consists of; one with anything else in it is not replaced, whatever ``--overwrite`` says.
_MODEL_FILES = (
    "*.json", "*.safetensors", "*.bin", "*.model", "*.jinja", "*.py", "*.md", "vocab*.txt", "merges*.txt", "dict.txt",
    "bpe.codes", "spm.*", "sentencepiece.*", "*.tiktoken", "LICENSE*",
)  # fmt: skip
#: What systems and programs leave in any directory without being asked, files and folders: nobody misses it.
_LITTER_FILES = (".DS_Store", "._*", ".localized", "Thumbs.db", "desktop.ini", ".gitattributes", ".gitignore")
_LITTER_FOLDERS = (".cache", "__pycache__", ".ipynb_checkpoints")


def at_home(path: str | Path) -> Path:
    """The path with the home folder in place of ``~``; where there is no such user, a name like any other."""
    try:
        return Path(path).expanduser()
    except RuntimeError:
        return Path(path)


def check_replaceable(path: Path, final: Path) -> None:
    """Refuse to replace a directory that is no model, or holds anything else.

    Args:
        path: how the user called it.
        final: where it is.

    Raises:
        OutputExistsError: naming what is in it.
    """
    here = Path.cwd()
    if final == here or final in here.parents:
        raise OutputExistsError(f"{path} is, or holds, the folder that you are in, so it is not replaced.")
    entries = [entry for entry in sorted(final.iterdir()) if not is_litter(entry)]
    if entries and not (final / "config.json").is_file():
        raise OutputExistsError(
            f"{path} is a directory that holds no model, so it is not replaced. Choose another name."
        )
    carried = _carried(final)
    for entry in entries:
        inside = [each for each in entry.rglob("*") if not each.is_dir()] if entry.is_dir() else [entry]
        usual = not entry.is_dir() and _matches(entry.name, _MODEL_FILES)
        known = all(each.relative_to(final).as_posix() in carried for each in inside)
        if not usual and not (known and (inside or entry.name in carried)):
            raise OutputExistsError(
                f"{path} holds {entry.name}, which is no part of a model, so it is not replaced. Choose another name."
            )


def _carried(folder: Path) -> frozenset[str]:
    """What composing put beside the weights, by the model's own record: files and folders."""
    try:
        named = json.loads((folder / "sftkit.json").read_text(encoding="utf-8"))["carried"]
        return frozenset(str(name) for name in named)
    except (OSError, ValueError, KeyError, TypeError):
        return frozenset()


def is_litter(entry: Path) -> bool:
    """Whether a file or folder is what systems leave anywhere without being asked."""
    return _matches(entry.name, _LITTER_FOLDERS if entry.is_dir() else _LITTER_FILES)


def _matches(name: str, patterns: Iterable[str]) -> bool:
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)


def check_inputs(path: Path, final: Path, inputs: Iterable[Path]) -> None:
    """Refuse an output that is, or holds, or is a part of, what it is made from.

    Raises:
        OutputExistsError: naming that.
    """
    for source in inputs:
        real = Path(os.path.realpath(at_home(source)))
        if not real.exists():
            continue
        if any(same(each, final) for each in ((real, *real.parents) if final.is_dir() else (real,))):
            raise OutputExistsError(f"{path} would replace {source}, from which it is made. Choose another name.")
        if real.is_dir() and same(real, final.parent) and _matches(final.name, _MODEL_FILES):
            raise OutputExistsError(f"{path} would replace a part of {source}, from which it is made. "
                                    "Choose another name.")  # fmt: skip


def same(one: Path, other: Path) -> bool:
    """Whether two paths lead to one thing, or would once it is there."""
    try:
        return one.samefile(other)
    except OSError:
        return os.path.realpath(one) == os.path.realpath(other)


def check_name(path: Path) -> None:
    """The file system itself says which names it takes: some are too long, some cannot be encoded.

    Raises:
        OutputExistsError: with what it says.
    """
    whole = at_home(path).absolute()
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


def check_parent(path: Path, final: Path) -> None:
    """Refuse what could not be made because of what is above it.

    Raises:
        OutputExistsError: naming that.
    """
    parent = final.parent
    while not parent.exists():
        parent = parent.parent
    if not parent.is_dir():
        raise OutputExistsError(f"{path} cannot be made: {parent} is a file, not a directory. Choose another name.")
    if not os.access(parent, os.W_OK):
        raise OutputExistsError(f"{path} cannot be written: no permission to write in {parent}. Choose another name.")
