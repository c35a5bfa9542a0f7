"""Which tokens an SFT's embedding rows belong to.

Reads ``tokenizer.json`` with the ``tokenizers`` library, and ``vocab.txt`` where there is no such file. Does not cover
tokenizers that exist only as SentencePiece models.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sftkit.errors import CheckpointError
from sftkit.storage.nearby import no_such

if TYPE_CHECKING:
    from sftkit.inspecting.summary import DiffSummary

_JSON, _VOCABULARY = "tokenizer.json", "vocab.txt"


@dataclass(frozen=True, slots=True)
class TokenRow:
    """A row of the token embedding: its number, its token, its entries and the Euclidean norm of φ in it."""

    row: int
    token: str
    nnz: int
    l2: float

    def document(self) -> dict[str, Any]:
        """For ``--json``."""
        return {"row": self.row, "token": self.token, "nnz": self.nnz, "l2": self.l2}


def top_tokens(summary: DiffSummary, tokenizer: Path | None, count: int) -> tuple[TokenRow, ...]:
    """The rows of the token embedding that changed most, by the norm of φ, largest first; ties by row.

    Args:
        summary: of the SFT.
        tokenizer: directory with the tokenizer; None for that of the base that the SFT names.
        count: how many rows at most.

    Raises:
        CheckpointError: if there is no tokenizer there.
    """
    tokens = vocabulary(_place(summary, tokenizer))
    rows = summary.token_embedding
    if rows is None:
        return ()
    order = np.lexsort((rows.touched, -rows.l2))[:count]
    return tuple(
        TokenRow(row, tokens.get(row, "–"), int(rows.nnz[at]), float(rows.l2[at]))
        for at, row in ((at, int(rows.touched[at])) for at in order)
    )


def _place(summary: DiffSummary, tokenizer: Path | None) -> Path:
    if tokenizer is not None:
        if tokenizer.is_file() and tokenizer.name not in (_JSON, _VOCABULARY):
            raise CheckpointError(f"{tokenizer}: neither {_JSON} nor {_VOCABULARY}. Give --tokenizer DIR.")
        return tokenizer.parent if tokenizer.is_file() else tokenizer
    base = summary.metadata.base
    if base is None or not base.name or not Path(base.name).is_dir():
        what = f"its base {base.name!r} is not a directory here" if base and base.name else "it names no base"
        raise CheckpointError(f"{summary.label}: no tokenizer at hand ({what}). Give one with --tokenizer DIR.")
    return Path(base.name)


def vocabulary(folder: Path) -> dict[int, str]:
    """The tokens of a model directory's tokenizer, by their numbers.

    Raises:
        CheckpointError: if there is none, or it cannot be read.
    """
    if not folder.exists():
        raise CheckpointError(no_such(folder, "file or directory"))
    if (folder / _JSON).is_file():
        from tokenizers import Tokenizer  # 20 ms that only --tokens pays

        try:
            numbers = Tokenizer.from_file(str(folder / _JSON)).get_vocab(with_added_tokens=True)
        except Exception as error:  # the library raises bare Exception for every malformed file
            raise CheckpointError(f"{folder / _JSON}: not a tokenizer ({error!s:.200}).") from None
        return {row: token for token, row in numbers.items()}
    if (folder / _VOCABULARY).is_file():
        try:
            lines = (folder / _VOCABULARY).read_text(encoding="utf-8").splitlines()
        except UnicodeDecodeError as error:
            raise CheckpointError(f"{folder / _VOCABULARY} is not UTF-8 ({error.reason}).") from None
        return dict(enumerate(lines))
    raise CheckpointError(f"{folder}: has neither {_JSON} nor {_VOCABULARY}. Give another --tokenizer DIR.")
