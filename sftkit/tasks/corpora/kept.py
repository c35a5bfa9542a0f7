"""Arrays that are kept on disk: made once for all runs, whole or not there, and read piece by piece.

They lie under the cache of ``datasets`` (``HF_DATASETS_CACHE``, in the folder ``sftkit``), in a folder for each key,
stay until somebody removes them, and may be removed whenever no run uses them. A folder is written under another name,
each file flushed to the disk and measured, and gets its name last. What is found is measured again: a folder that
lacks a file, or has one of another length than was written, is made anew. Reading keeps nothing: no memory map, whose
pages would count as ours. Not covered: bytes that changed and kept their number.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import datasets
import numpy as np
import xxhash
from filelock import FileLock
from numpy.typing import NDArray

from sftkit.errors import DataError

#: What a folder says of its files: name -> dtype and number of entries.
_RECORD = "record.json"
#: One-dimensional arrays by name, some of the entries of each: what is made comes in such parts.
Part = dict[str, NDArray[Any]]


@dataclass(frozen=True)
class Kept:
    """The arrays of one folder.

    Attributes:
        folder: where they are.
        sizes: entries of each.
        dtypes: the dtype of each, as numpy writes it.
    """

    folder: Path
    sizes: dict[str, int]
    dtypes: dict[str, str]

    def read(self, name: str, start: int, stop: int) -> NDArray[Any]:
        """Entries ``start:stop`` of an array, ``[stop - start]``.

        Raises:
            DataError: if they went away since.
        """
        dtype = np.dtype(self.dtypes[name])
        try:
            found = np.fromfile(self.folder / name, dtype, stop - start, offset=dtype.itemsize * start)
        except OSError as error:
            raise DataError(f"{self.folder}: tokens that were kept there are gone ({error}). Run it again.") from error
        if len(found) != stop - start:
            raise DataError(f"{self.folder}: tokens that were kept there are gone. Run it again.")
        return found


def kept(key: Any, make: Callable[[], Iterable[Part]]) -> Kept:
    """The arrays that ``make`` gives, from the cache if they were made before.

    Args:
        key: what they follow from, of JSON's types.
        make: gives them part by part, at least one part, each with all the names; called only if they are not there.

    Raises:
        DataError: if the cache cannot be written; nothing is left there then.
    """
    root = Path(datasets.config.HF_DATASETS_CACHE) / "sftkit"
    folder = root / xxhash.xxh3_128_hexdigest(json.dumps(key).encode())
    if (found := _whole(folder)) is not None:  # needs no permission to write
        return found
    try:
        root.mkdir(parents=True, exist_ok=True)
        with FileLock(folder.with_suffix(".lock")):  # of several processes one makes them, and the others wait
            if (found := _whole(folder)) is None:
                _remove(folder)
                _write(folder, make())
                found = _whole(folder)
    except OSError as error:
        raise DataError(f"{root}: tokens cannot be kept there ({error}). Set HF_DATASETS_CACHE to a folder.") from error
    if found is None:
        raise DataError(f"{folder}: the disk does not keep what is written. Set HF_DATASETS_CACHE to another folder.")
    return found


def _whole(folder: Path) -> Kept | None:
    """What a folder holds, if it is all that was written."""
    try:
        record = json.loads((folder / _RECORD).read_text())
        sizes, dtypes = record["sizes"], record["dtypes"]
        lengths = [(folder / name).stat().st_size for name in sizes]
        whole = lengths == [np.dtype(dtypes[name]).itemsize * size for name, size in sizes.items()]
    except (OSError, ValueError, KeyError, TypeError):  # missing, of an older sftkit, or cut short
        return None
    return Kept(folder, sizes, dtypes) if whole else None


def _write(folder: Path, parts: Iterable[Part]) -> None:
    part = folder.with_suffix(".part")
    _remove(part)  # of a process that was killed
    part.mkdir()
    try:
        sizes: dict[str, int] = {}
        dtypes: dict[str, str] = {}
        with ExitStack() as stack:
            files: dict[str, BinaryIO] = {}
            for arrays in parts:
                for name, array in arrays.items():
                    if name not in files:
                        files[name] = stack.enter_context((part / name).open("wb"))
                        sizes[name], dtypes[name] = 0, array.dtype.str
                    files[name].write(array.astype(dtypes[name], copy=False).tobytes())
                    sizes[name] += len(array)
            for file in files.values():
                _to_disk(file)
        with (part / _RECORD).open("wb") as file:
            file.write(json.dumps({"sizes": sizes, "dtypes": dtypes}).encode())
            _to_disk(file)
    except BaseException:
        shutil.rmtree(part, ignore_errors=True)
        raise
    part.replace(folder)


def _to_disk(file: BinaryIO) -> None:
    """What a full disk refuses is told here; numpy's own ``tofile`` loses it with its last buffer."""
    file.flush()
    os.fsync(file.fileno())


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
