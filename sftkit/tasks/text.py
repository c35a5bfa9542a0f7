"""Plain text for the language objectives, one sentence or paragraph a line: tokenised as it is read, never kept whole.

Lines longer than the window are split; short ones are packed only if that is asked for. Where lines come from says
:mod:`sftkit.tasks.lines`. All of the text is tokenised before training begins. Not covered: training on a stream while
it is read, and mixing streams on the fly.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import accumulate
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import Dataset
from transformers import PreTrainedTokenizerBase

from sftkit.errors import DataError
from sftkit.tasks.base import Objective
from sftkit.tasks.lines import Lines
from sftkit.tasks.sources import number_held_out
from sftkit.tasks.tokens import Cutter, Line, Windows, kept_windows

_TOLD = 1000  # lines


@dataclass(frozen=True, eq=False)
class Text:
    """Lines of one source: all of them, or a random share, or all but that share.

    How many they are is known once they are tokenised: to ask before makes them be read once more.

    Attributes:
        lines: all.
        share: the share.
        seed: decides which lines it has.
        inside: whether the lines meant are those, or all others.
    """

    lines: Lines
    share: float = 0.0
    seed: int = 0
    inside: bool = False

    def __len__(self) -> int:
        return len(self.some) if self.inside else len(self.lines) - len(self.some)

    @cached_property
    def some(self) -> NDArray[np.int64]:
        """Numbers of the share's lines, ascending, int64 ``[n]``.

        Raises:
            DataError: if there are too few lines to have a share.
        """
        if self.share == 0:
            return np.zeros(0, np.int64)
        total = len(self.lines)
        count = number_held_out(total, self.share, self.lines.source)
        return np.sort(np.random.default_rng(self.seed).choice(total, count, replace=False)).astype(np.int64)

    def windows(self, cutter: Cutter) -> Windows:
        """The windows of all the source's lines, whichever are meant."""
        key = ["lines", self.lines.key, cutter.key]
        made = kept_windows(key, lambda: (line for batch in self.lines.batches() for line in cutter.lines(batch)))
        self.lines.total = made.lines
        return made

    def packed(self, cutter: Cutter) -> Windows:
        """The lines that are meant, packed into windows."""
        lines, among = self.windows(cutter), frozenset(self.some.tolist())
        key = ["packed", self.lines.key, cutter.key, self.inside, sorted(among)]
        return kept_windows(
            key, lambda: cutter.pack(line for i, line in enumerate(self._walk(lines)) if (i in among) == self.inside)
        )

    def _walk(self, windows: Windows) -> Iterator[Line]:
        for done, line in enumerate(windows.walk()):
            if done % _TOLD == 0:
                self.lines.watch(f"packing {self.lines.source}", done, done / windows.lines)
            yield line


@dataclass(frozen=True)
class Corpus:
    """The lines of several sources, one source after the other; and whether they are trained on packed."""

    parts: tuple[Text, ...]
    pack: bool = False

    def __len__(self) -> int:
        return sum(map(len, self.parts))

    def packed(self) -> Corpus:
        """The same, to be packed into windows."""
        return replace(self, pack=True)


class TokenExamples(Dataset[dict[str, Any]]):
    """``input_ids`` of windows, and each one's ``place``, one part after the other; read from disk when asked for."""

    def __init__(self, parts: Sequence[_Chosen]) -> None:
        self._parts, self._ends = parts, list(accumulate(map(len, parts)))

    def __len__(self) -> int:
        return self._ends[-1]

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return (self[index] for index in range(len(self)))

    def __getitem__(self, index: int) -> dict[str, Any]:
        part = bisect_right(self._ends, index)
        within = index - self._ends[part] + len(self._parts[part])
        return {"input_ids": self._parts[part][within].tolist(), "place": index}

    def lengths(self) -> list[int]:
        """Tokens of each window."""
        return [len(example["input_ids"]) for example in self]


class _Chosen:
    """Those windows that are, or are not, among some."""

    def __init__(self, windows: Windows, some: NDArray[np.int64], *, inside: bool) -> None:
        self._windows, self._some, self._inside = windows, some, inside
        self._before = some - np.arange(len(some))  # how many that are not come before each that is

    def __len__(self) -> int:
        return len(self._some) if self._inside else len(self._windows) - len(self._some)

    def __getitem__(self, index: int) -> NDArray[np.int32]:
        return self._windows[
            int(self._some[index] if self._inside else index + np.searchsorted(self._before, index, side="right"))
        ]


class LanguageObjective(Objective):
    """What objectives on plain text have in common."""

    is_task: ClassVar[bool] = False
    #: Windows of fewer tokens are left out.
    shortest: ClassVar[int] = 1

    def read(self, sources: Sequence[str]) -> Corpus:
        """Look at the beginning; the text is read when it is tokenised, and how many lines it has is known then."""
        return Corpus(tuple(Text(Lines(source, self.options, self.watch)) for source in sources))

    def joined(self, parts: Sequence[Corpus]) -> Corpus:
        """Several corpora, one after the other."""
        return replace(parts[0], parts=tuple(text for corpus in parts for text in corpus.parts))

    def held_out(self, rows: Corpus, share: float, seed: int, source: str) -> tuple[Corpus, Corpus]:
        """As the base class has it, from each source of its own."""
        del source
        training, dev = (
            replace(rows, parts=tuple(replace(text, share=share, seed=seed, inside=inside) for text in rows.parts))
            for inside in (False, True)
        )
        return training, dev

    def features(self, rows: Corpus, tokenizer: PreTrainedTokenizerBase, max_length: int) -> TokenExamples:
        """``input_ids`` of windows of at most ``max_length``, special tokens included, and their ``place``.

        Raises:
            DataError: if the tokenizer finds no tokens, or too few, in all of the text.
        """
        cutter = Cutter(tokenizer, max_length, self.shortest)
        found = TokenExamples([_chosen(text, cutter, pack=rows.pack) for text in rows.parts])
        if len(found) == 0:
            least = f"{self.shortest} tokens" if self.shortest > 1 else "a token"
            raise DataError(f"{rows.parts[0].lines.source}: no line has {least}: there is nothing to predict.")
        return found


def _chosen(text: Text, cutter: Cutter, *, pack: bool) -> _Chosen:
    if pack:
        return _Chosen(text.packed(cutter), np.zeros(0, np.int64), inside=False)
    windows = text.windows(cutter)
    return _Chosen(windows, windows.of_lines(text.some), inside=text.inside)
