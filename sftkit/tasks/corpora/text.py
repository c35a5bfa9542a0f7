"""Plain text for the language objectives, one sentence or paragraph a line: tokenised as it is read, never kept whole.

Where lines come from says :mod:`sftkit.tasks.corpora.lines`, and what windows they make
:mod:`sftkit.tasks.corpora.windows`. All of the text is tokenised before training begins. Not covered: training on a
stream while it is read, and mixing streams on the fly.
"""

from __future__ import annotations

from abc import abstractmethod
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import accumulate
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import Dataset
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from sftkit.errors import DataError
from sftkit.tasks.base import Objective, loss_by_window
from sftkit.tasks.corpora.lines import Lines
from sftkit.tasks.corpora.tokens import Encoder, Tokens
from sftkit.tasks.corpora.windows import Windows, windows
from sftkit.tasks.evaluator import Evaluator
from sftkit.tasks.readers.sources import number_held_out
from sftkit.tasks.tally import Tally, mean_loss


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

    def windows(self, encoder: Encoder, **shape: Any) -> Windows:
        """The windows of the lines that are meant."""
        tokens = Tokens(self.lines, encoder)  # before the share is asked for: then it is known how many lines there are
        return windows(tokens, self.some, inside=self.inside, **shape)


@dataclass(frozen=True)
class Corpus:
    """The lines of several sources, one source after the other."""

    parts: tuple[Text, ...]

    def __len__(self) -> int:
        return sum(map(len, self.parts))


class TokenExamples(Dataset[dict[str, Any]]):
    """``input_ids`` of windows, and each one's ``place``, one part after the other; read from disk when asked for.

    Attributes:
        tokens: in all of them, special tokens included.
    """

    def __init__(self, parts: Sequence[Windows]) -> None:
        self._parts, self._ends = parts, list(accumulate(map(len, parts)))
        self.tokens = sum(part.total for part in parts)

    def __len__(self) -> int:
        return self._ends[-1]

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return (self[index] for index in range(len(self)))

    def __getitem__(self, index: int) -> dict[str, Any]:
        part = bisect_right(self._ends, index)
        within = index - self._ends[part] + len(self._parts[part])
        return {"input_ids": self._parts[part][within], "place": index}

    def lengths(self) -> NDArray[np.int64]:
        """Tokens of each window, ``[windows]``."""
        return np.concatenate([part.lengths() for part in self._parts])


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
        return Corpus(tuple(text for corpus in parts for text in corpus.parts))

    def held_out(self, rows: Corpus, share: float, seed: int, source: str) -> tuple[Corpus, Corpus]:
        """As the base class has it, lines from each source of its own."""
        del source
        training, dev = (
            Corpus(tuple(replace(text, share=share, seed=seed, inside=inside) for text in rows.parts))
            for inside in (False, True)
        )
        return training, dev

    def features(self, rows: Corpus, tokenizer: PreTrainedTokenizerBase, max_length: int) -> TokenExamples:
        """``input_ids`` of windows of at most ``max_length``, special tokens included, and their ``place``.

        Raises:
            DataError: if the tokenizer finds no tokens, or too few, in all of the text.
        """
        encoder = Encoder(tokenizer)
        shape = {"full": self.options.pack, "max_length": max_length, "shortest": self.shortest}
        found = TokenExamples([text.windows(encoder, **shape) for text in rows.parts])
        if len(found) == 0:
            least = f"{self.shortest} tokens" if self.shortest > 1 else "a token"
            where = "the text has not" if self.options.pack else "no line has"
            raise DataError(f"{rows.parts[0].lines.source}: {where} {least}: there is nothing to predict.")
        return found

    def tokens(self, features: TokenExamples) -> int:
        """In all windows."""
        return features.tokens


#: Logits of a batch that is scored, at most: 2 GB.
_LOGITS = 1 << 29


class TextEvaluator(Evaluator):
    """Mean loss over all tokens of a text that are predicted, and its exponential, the perplexity.

    Its examples are windows; what is predicted of one is (summed loss in nats, tokens that were predicted).
    """

    #: About which share of the tokens is predicted.
    labelled: ClassVar[float] = 1.0

    def __init__(self, windows: TokenExamples) -> None:
        self._windows, self.examples = windows, len(windows)
        self._lengths: Sequence[int] = windows.lengths().tolist()

    @abstractmethod
    def batch(self, indices: list[int]) -> dict[str, torch.Tensor]:
        """Some windows, as :func:`~sftkit.tasks.base.with_rows` gives them."""

    def predict(self, model: PreTrainedModel, batch_size: int) -> list[tuple[float, int]]:
        """(Summed loss in nats, predicted tokens) of each window."""
        classes = getattr(model.get_output_embeddings(), "weight", torch.empty(1)).shape[0]
        most = max(1, round(_LOGITS / (classes * max(self._lengths, default=1) * self.labelled)))
        return self.by_batch(
            self._lengths, min(batch_size, most), lambda indices: loss_by_window(model, self.batch(indices))
        )

    def tally(self, predicted: Sequence[Any]) -> Tally:
        """The same, as counts."""
        return Tally(np.array(predicted, np.float64).reshape(-1, 2), mean_loss)
