"""Text as tokens on disk, so that memory does not grow with the text, and made once for all runs.

A source is tokenised into one long row of tokens, all its lines one after the other, by what the source holds and the
tokenizer: another run that has the same goes on from there, whatever its windows are like. It takes four bytes a
token, and eight a line. Where the files are says :mod:`sftkit.tasks.corpora.kept`.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import xxhash
from numpy.typing import NDArray
from tokenizers import Tokenizer
from transformers import PreTrainedTokenizerBase

from sftkit.tasks.corpora.kept import Kept, Part, kept
from sftkit.tasks.corpora.lines import Lines
from sftkit.tasks.corpora.pieces import LONGEST, Piece

_VERSION = 2


class Encoder:
    """What turns text into tokens, and tokens into what a model is fed.

    Attributes:
        before, after: special tokens that the tokenizer puts around a text.
        between: the token that separates lines, if it has one: what ends a part of its input (``sep_token``), else
            what ends (``eos_token``) or begins (``bos_token``) all of it. Without any, lines run on.
        key: what the tokens follow from.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase) -> None:
        self._tokenizer = Tokenizer.from_str(tokenizer.backend_tokenizer.to_str())  # its own: truncation is a state
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()
        probe = tokenizer("a", return_special_tokens_mask=True)
        special, ids = probe["special_tokens_mask"], probe["input_ids"]
        before = special.index(0) if 0 in special else len(special)
        after = special[::-1].index(0) if 0 in special else 0
        self.before, self.after = ids[:before], ids[len(ids) - after :]
        ends = (tokenizer.sep_token_id, tokenizer.eos_token_id, tokenizer.bos_token_id)
        self.between = next(([each] for each in ends if each is not None), [])
        digest = xxhash.xxh3_128_hexdigest(self._tokenizer.to_str().encode())
        self.key = [digest, self.between, LONGEST, _VERSION]

    def parts(self, lines: Lines) -> Iterator[Part]:
        """What is kept of a source's lines: ``tokens``, int32, and ``ends``, int64, where each line ends in them.

        Each line that has tokens ends with the separator. ``ends`` begins with a 0, where the first line begins.
        """
        count = 0  # of tokens so far, those of the line that goes on included
        begun = 0  # where that line begins
        yield {"tokens": np.zeros(0, np.int32), "ends": np.zeros(1, np.int64)}
        for batch in lines.batches():
            tokens: list[int] = []
            ends = []
            for piece, ids in zip(batch, self._encoded(batch), strict=True):
                tokens += ids
                if piece.ends:
                    tokens += self.between if count + len(tokens) > begun else []
                    begun = count + len(tokens)
                    ends.append(begun)
            count += len(tokens)
            yield {"tokens": np.array(tokens, np.int32), "ends": np.array(ends, np.int64)}

    def _encoded(self, batch: list[Piece]) -> Iterator[list[int]]:
        found = self._tokenizer.encode_batch_fast([piece.text for piece in batch], add_special_tokens=False)
        return (each.ids for each in found)


class Tokens:
    """The tokens of a source's lines: its lines are made tokens first, unless some run did so before.

    Attributes:
        encoder: what made them.
        key: what they follow from, of JSON's types.
        lines: how many lines there are.
        separators: tokens that separate a line from the next, the last ones of each line that has any: 0 or 1.
    """

    def __init__(self, lines: Lines, encoder: Encoder) -> None:
        self.encoder, self.key = encoder, [lines.key, encoder.key]
        self._kept: Kept = kept(["tokens", *self.key], lambda: encoder.parts(lines))
        self.lines = lines.total = self._kept.sizes["ends"] - 1
        self.separators = len(encoder.between)

    def read(self, start: int, stop: int) -> NDArray[np.int32]:
        """Tokens ``start:stop``."""
        return self._kept.read("tokens", start, stop)

    def ends(self, start: int, stop: int) -> NDArray[np.int64]:
        """Where the lines ``start:stop`` begin and the last of them ends, ``[stop - start + 1]``."""
        return self._kept.read("ends", start, stop + 1)

    def total(self) -> int:
        """How many tokens there are, separators included."""
        return self._kept.sizes["tokens"]
