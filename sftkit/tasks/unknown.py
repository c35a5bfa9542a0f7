"""How much of a text a base's tokenizer does not know: told where one trains, scores or labels, and it is much."""

from __future__ import annotations

from itertools import islice
from typing import Any

from transformers import PreTrainedTokenizerBase

from sftkit.tasks.base import Objective
from sftkit.tasks.corpora.text import Corpus
from sftkit.tasks.corpora.tokens import Encoder, Tokens
from sftkit.tasks.look import Part, count_pieces, examples_of

#: The share of unknown pieces above which it is told, and examples that are looked at.
MANY, _LOOKED_AT = 0.05, 2000
_PAGE, _NO_WINDOW = 1 << 18, 1 << 30


def unknown_pieces(objective: Objective, rows: Any, tokenizer: PreTrainedTokenizerBase) -> str:
    """A remark on data of which a tokenizer does not know much; "" if it does. Looks at the first examples.

    Args:
        objective: whose rows they are.
        rows: as it reads them.
        tokenizer: of the base.
    """
    if not objective.is_task:
        return told_unknown(*_of_text(rows, tokenizer))
    part = Part((), pieces=0)
    texts = [texts for texts, _ in islice(examples_of(objective, rows, part.labels), _LOOKED_AT)]
    if texts:
        count_pieces(part, objective, texts, tokenizer, _NO_WINDOW)
    return told_unknown(part.unknown, part.pieces or 0)


def _of_text(rows: Corpus, tokenizer: PreTrainedTokenizerBase) -> tuple[int, int]:
    """How many of the first pieces of each text are unknown, and how many these are: of its tokens as they are kept."""
    unknown, encoder = 0, Encoder(tokenizer)
    pieces = [
        tokens.read(0, min(tokens.total(), _PAGE)) for tokens in (Tokens(text.lines, encoder) for text in rows.parts)
    ]
    if tokenizer.unk_token_id is not None:
        unknown = sum(int((page == tokenizer.unk_token_id).sum()) for page in pieces)
    return unknown, sum(map(len, pieces))


def told_unknown(unknown: int, pieces: int) -> str:
    """The remark on so many unknown pieces of so many; "" if they are few."""
    if unknown <= MANY * pieces:
        return ""
    return (
        f"pieces that the tokenizer does not know: {100 * unknown / pieces:.0f} %. A piece is a word or a part of one; "
        "of these the model sees only that something is there. Is the base one for this script and its letters?"
    )
