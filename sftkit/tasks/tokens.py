"""Text as windows of tokens on disk, so that memory does not grow with the text, and made once for all runs.

A source is tokenised into plain files under the cache of ``datasets`` (``HF_DATASETS_CACHE``, in the folder
``sftkit``), by what the source holds, the tokenizer and the window: another run that has the same goes on from there.
They take about four bytes a token, stay until somebody removes them, and may be removed whenever no run uses them.
Windows are read one at a time and nothing is kept: no memory map, whose pages would count as ours.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import xxhash
from filelock import FileLock
from numpy.typing import NDArray
from tokenizers import Tokenizer
from transformers import PreTrainedTokenizerBase

from sftkit.errors import CheckpointError, DataError

#: A line as its windows' token ids.
Line = list[list[int]]
_VERSION = 1
_CHUNK = 1 << 16


@dataclass(frozen=True)
class Windows:
    """Windows of token ids, in the order of the lines that they were cut from.

    Three files: ``tokens``, int32, one window after the other; ``windows``, int64 ``[windows + 1]``, where each begins
    and the last one ends; ``lines``, int64 ``[lines + 1]``, each line's first window.
    """

    folder: Path
    lines: int = field(init=False)
    _count: int = field(init=False)

    def __post_init__(self) -> None:
        for name, key in (("lines", "lines"), ("windows", "_count")):
            object.__setattr__(self, key, (self.folder / name).stat().st_size // 8 - 1)

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: int) -> NDArray[np.int32]:
        """One window's token ids, int32 ``[n]``."""
        begin, end = self._read("windows", index, 2)
        tokens: NDArray[np.int32] = np.fromfile(self.folder / "tokens", np.int32, int(end - begin), offset=4 * begin)
        return tokens

    def of_lines(self, lines: NDArray[np.int64]) -> NDArray[np.int64]:
        """The windows of some lines, in order."""
        spans = (self._read("lines", int(line), 2) for line in lines)
        return np.concatenate([np.arange(0), *(np.arange(*span) for span in spans)]).astype(np.int64)

    def walk(self) -> Iterator[Line]:
        """Every line, from the first to the last."""
        for first in range(0, self.lines, _CHUNK):
            lines = self._read("lines", first, min(_CHUNK, self.lines - first) + 1)
            ends = self._read("windows", int(lines[0]), int(lines[-1] - lines[0]) + 1)
            tokens = np.fromfile(self.folder / "tokens", np.int32, int(ends[-1] - ends[0]), offset=4 * ends[0]).tolist()
            ends, lines = (ends - ends[0]).tolist(), (lines - lines[0]).tolist()
            for begin, end in pairwise(lines):
                yield [tokens[ends[i] : ends[i + 1]] for i in range(begin, end)]

    def _read(self, name: str, start: int, count: int) -> NDArray[np.int64]:
        numbers: NDArray[np.int64] = np.fromfile(self.folder / name, np.int64, count, offset=8 * start)
        return numbers


class Cutter:
    """Tokenises lines and cuts them into windows, special tokens around each, as the tokenizer itself would."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase, max_length: int, shortest: int) -> None:
        self._tokenizer = Tokenizer.from_str(tokenizer.backend_tokenizer.to_str())  # its own: truncation is a state
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()
        probe = tokenizer("a", return_special_tokens_mask=True)
        special, ids = probe["special_tokens_mask"], probe["input_ids"]
        before = special.index(0) if 0 in special else len(special)
        after = special[::-1].index(0) if 0 in special else 0
        self._before, self._after = ids[:before], ids[len(ids) - after :]
        self._size = max_length - before - after
        self._shortest = shortest
        self._between = tokenizer.sep_token_id if tokenizer.sep_token_id is not None else tokenizer.eos_token_id
        self.key = f"{xxhash.xxh3_128_hexdigest(self._tokenizer.to_str().encode())} {max_length} {shortest} {_VERSION}"

    def lines(self, texts: Sequence[str]) -> Iterator[Line]:
        """The windows of each text; none of a text without tokens, and none of fewer tokens than the shortest."""
        for found in self._tokenizer.encode_batch_fast(list(texts), add_special_tokens=False):
            ids = found.ids
            made = [self._around(ids[i : i + self._size]) for i in range(0, len(ids), self._size)]
            yield [window for window in made if len(window) >= self._shortest]

    def pack(self, lines: Iterable[Line]) -> Iterator[Line]:
        """Lines joined, the separator between them, as long as they fit into a window whole.

        Raises:
            CheckpointError: if the tokenizer has no token that separates.
        """
        if self._between is None:
            raise CheckpointError("--pack: the base's tokenizer has no token that separates lines.")
        joined: list[int] = []
        for line in lines:
            for window in line:
                ids = window[len(self._before) : len(window) - len(self._after)]
                if joined and len(joined) + 1 + len(ids) > self._size:
                    yield [self._around(joined)]
                    joined = []
                joined = [*joined, self._between, *ids] if joined else ids
        if joined:
            yield [self._around(joined)]

    def _around(self, ids: list[int]) -> list[int]:
        return [*self._before, *ids, *self._after]


def kept_windows(key: Any, make: Callable[[], Iterable[Line]]) -> Windows:
    """The windows that ``make`` gives, from the cache if they were made before.

    Args:
        key: what they follow from, of JSON's types.
        make: gives them by line; called only if they are not there.

    Raises:
        DataError: if the cache cannot be written; nothing is left there then.
    """
    root = Path(datasets.config.HF_DATASETS_CACHE) / "sftkit"
    folder = root / xxhash.xxh3_128_hexdigest(json.dumps(key).encode())
    try:
        root.mkdir(parents=True, exist_ok=True)
        with FileLock(folder.with_suffix(".lock")):  # of several processes one makes them, and the others wait
            if not folder.is_dir():
                _write(folder, make())
    except OSError as error:
        raise DataError(f"{root}: tokens cannot be kept there ({error}). Set HF_DATASETS_CACHE to a folder.") from error
    return Windows(folder)


def _write(folder: Path, lines: Iterable[Line]) -> None:
    part = folder.with_suffix(".part")
    shutil.rmtree(part, ignore_errors=True)  # of a process that was killed
    part.mkdir()
    try:
        with (
            (part / "tokens").open("wb") as tokens,
            (part / "windows").open("wb") as windows,
            (part / "lines").open("wb") as starts,
        ):
            end, count = 0, 0
            np.zeros(1, np.int64).tofile(windows)
            np.zeros(1, np.int64).tofile(starts)
            for chunk in _chunks(lines):
                cut = [window for line in chunk for window in line]
                np.array([token for window in cut for token in window], np.int32).tofile(tokens)
                ends = end + np.cumsum([len(window) for window in cut], dtype=np.int64)
                ends.tofile(windows)
                (count + np.cumsum([len(line) for line in chunk], dtype=np.int64)).tofile(starts)
                end, count = int(ends[-1]) if len(ends) else end, count + len(cut)
    except BaseException:
        shutil.rmtree(part, ignore_errors=True)
        raise
    part.replace(folder)


def _chunks(lines: Iterable[Line]) -> Iterator[list[Line]]:
    chunk: list[Line] = []
    held = 0
    for line in lines:
        chunk.append(line)
        held += 1 + sum(map(len, line))
        if held >= _CHUNK:
            yield chunk
            chunk, held = [], 0
    if chunk:
        yield chunk
