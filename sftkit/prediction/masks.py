"""Lines of text with masks that are to be filled: each mask gets the likeliest piece, all of a line at once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import torch
from transformers import DataCollatorWithPadding, PreTrainedTokenizerBase

from sftkit.errors import CheckpointError, DataError
from sftkit.prediction.unlabelled import Labeller, Unlabelled, batched
from sftkit.tasks.base import to_device
from sftkit.tasks.token_labels import best_and_probability

MASK = "[MASK]"


class Masked(Unlabelled):
    """Lines for ``mlm``. A mask is ``[MASK]``, or whatever the base's tokenizer has for it."""

    def __init__(self, lines: Iterable[str], source: str = "text") -> None:
        super().__init__()
        self._lines, self._source = enumerate(lines, start=1), source

    def labelled(self, labeller: Labeller) -> Iterator[tuple[str, Any, Any]]:
        """Lines with their masks filled, the pieces, and their probabilities.

        Raises:
            CheckpointError: if the base has no mask.
            DataError: if a line is longer than a window, so that masks would be lost; names it.
        """
        mask, masks = labeller.tokenizer.mask_token, 0
        if mask is None:
            raise CheckpointError("The base's tokenizer has no mask token, so there is nothing that it could fill.")
        for batch in batched(self._lines):
            texts = [line.replace(MASK, mask) for _, line in batch]
            masks += sum(text.count(mask) for text in texts)
            ids = labeller.tokenizer(texts, verbose=False)["input_ids"]
            labeller.count(ids)
            for (number, _), each in zip(batch, ids, strict=True):
                if len(each) > labeller.length:
                    raise DataError(
                        f"{self._source}, line {number}: {len(each)} tokens, and a window has {labeller.length}. "
                        "Give a longer --max-length, or a shorter line."
                    )
            for text, (pieces, scores) in zip(texts, _pieces(labeller, ids), strict=True):
                yield _filled(text, mask, pieces, labeller.tokenizer), pieces, scores
        if not masks:
            self.notes.append(f"{self._source}: there was no {MASK} in it, so nothing was filled.")

    def written(self, found: Iterable[tuple[Any, Any, Any]], labels: Sequence[str]) -> Iterator[str]:
        """The lines."""
        del labels
        yield from (f"{line}\n" for line, _, _ in found)

    def objects(self, found: Iterable[tuple[Any, Any, Any]], labels: Sequence[str]) -> Iterator[dict[str, Any]]:
        """``text``, its masks filled, and the pieces as ``labels``."""
        del labels
        yield from ({"text": line, "labels": pieces, "scores": scores} for line, pieces, scores in found)


def _pieces(labeller: Labeller, ids: Sequence[Sequence[int]]) -> list[tuple[list[str], list[float]]]:
    """The likeliest piece at each mask of each line, and its probability."""
    pad, tokenizer = DataCollatorWithPadding(labeller.tokenizer), labeller.tokenizer
    result: list[tuple[list[str], list[float]]] = [([], []) for _ in ids]
    order = sorted((i for i, each in enumerate(ids) if tokenizer.mask_token_id in each), key=lambda i: -len(ids[i]))
    for start in range(0, len(order), labeller.batch_size):
        chosen = order[start : start + labeller.batch_size]
        batch = dict(pad([{"input_ids": list(ids[i])} for i in chosen]))
        rows, places = torch.nonzero(batch["input_ids"] == tokenizer.mask_token_id, as_tuple=True)
        with torch.no_grad():
            logits = labeller.model(**to_device(batch, labeller.model)).logits[rows, places]
        for row, piece, score in zip(rows.tolist(), *best_and_probability(logits), strict=True):
            pieces, scores = result[chosen[row]]
            pieces.append(str(tokenizer.convert_ids_to_tokens(piece)))
            scores.append(score)
    return result


def _filled(text: str, mask: str, pieces: Sequence[str], tokenizer: PreTrainedTokenizerBase) -> str:
    """The text with a piece in the place of each mask; one that goes on with a word stands at it without a space."""
    begin, *rest = text.split(mask)
    for piece, after in zip(pieces, rest, strict=True):
        shown = str(tokenizer.decode(tokenizer.convert_tokens_to_ids([piece]))).strip()
        inside = _goes_on(piece, tokenizer)
        begin = f"{begin.rstrip(' ') if inside else begin}{shown.removeprefix('##')}{after}"
    return begin


def _goes_on(piece: str, tokenizer: PreTrainedTokenizerBase) -> bool:
    """Whether a piece goes on with the word before its mask: it says so, or does not begin with the space it ought to.

    The latter where a mask takes the space before it for itself, as those of RoBERTa, XLM-R and ModernBERT.
    """
    if getattr(tokenizer.backend_tokenizer.model, "continuing_subword_prefix", None):
        return piece.startswith("##")
    mask = tokenizer.added_tokens_decoder[tokenizer.mask_token_id]
    return bool(mask.lstrip) and not piece.startswith(("▁", "Ġ"))
