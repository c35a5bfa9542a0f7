"""Questions with their passages as windows of tokens, long passages in overlapping ones.

The question stands first in every window, so that a causal model knows it when it reads the passage.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from datasets import Dataset
from torch.nn.utils.rnn import pad_sequence
from transformers import BatchEncoding, PreTrainedTokenizerBase

from sftkit.errors import SettingsError
from sftkit.tasks.readers.sources import quiet_datasets

#: Tokens of a question that are kept, as in Devlin et al. 2019; and never more than half of the window.
MOST_QUESTION = 64
#: What a model may be fed of a window.
INPUTS = ("input_ids", "token_type_ids")


def passage_windows(rows: Dataset, tokenizer: PreTrainedTokenizerBase, max_length: int, stride: int) -> Dataset:
    """Windows of all questions, in order.

    Args:
        rows: as :func:`sftkit.tasks.readers.squad.question_rows` gives them.
        tokenizer: a fast one.
        max_length: tokens a window, special tokens included.
        stride: passage tokens that two consecutive windows share.

    Returns:
        ``row``: which question; ``cut``: whether that was shortened; ``missed``: whether its answer is not in this
        window; ``input_ids`` (and ``token_type_ids``, where the tokenizer has them); ``first`` and ``end``: where the
        passage's tokens are; ``offsets``: their ``(first, end)`` characters in the context, flat; ``labels``: the
        first and last token of the first answer that stands in the context, or 0 and 0, the window's first token,
        where it does not hold all of it.

    Raises:
        SettingsError: if the stride is as long as the stretch of passage that a window holds.
    """
    with quiet_datasets():
        return rows.map(
            _encoded,
            batched=True,
            with_indices=True,
            fn_kwargs={"tokenizer": tokenizer, "max_length": max_length, "stride": stride},
            remove_columns=rows.column_names,
        )


def padded(windows: Sequence[Mapping[str, Any]], pad: int | None) -> dict[str, torch.Tensor]:
    """``input_ids``, ``attention_mask`` and the tokenizer's other inputs, int64 ``[windows, longest]``.

    Padded on the right whatever the tokenizer's side, so that tokens keep their places; where it has no padding token,
    with token 0, which nothing attends to.
    """
    columns = {key: [torch.tensor(window[key]) for window in windows] for key in INPUTS if key in windows[0]}
    columns["attention_mask"] = [torch.ones_like(ids) for ids in columns["input_ids"]]
    filler = {"input_ids": pad or 0}
    return {key: pad_sequence(each, True, filler.get(key, 0)) for key, each in columns.items()}


def _encoded(
    batch: Mapping[str, list[Any]],
    indices: list[int],
    tokenizer: PreTrainedTokenizerBase,
    max_length: int,
    stride: int,
) -> dict[str, list[Any]]:
    """The columns of :func:`passage_windows`, of some rows."""
    questions = _shortened(batch["question"], tokenizer, max_length)
    encoded = tokenizer(
        questions, batch["context"], return_offsets_mapping=True, return_attention_mask=False, verbose=False
    )
    passages = [_passage(encoded, i) for i in range(len(questions))]
    rooms = [max_length - len(ids) + len(found[-1]) for ids, found in zip(encoded["input_ids"], passages, strict=True)]
    _check_room(encoded, rooms, max_length, stride)
    made: dict[str, list[Any]] = {key: [] for key in INPUTS if key in encoded}
    added: list[dict[str, Any]] = []
    for i, (index, context, texts, starts) in enumerate(
        zip(indices, *(batch[key] for key in ("context", "texts", "starts")), strict=True)
    ):
        there = [(start, start + len(text)) for text, start in zip(texts or (), starts, strict=True) if start >= 0]
        span = without_space(context, *there[0]) if there else None
        cut = len(questions[i]) < len(batch["question"][i].strip())
        (first, last, offsets), room = passages[i], rooms[i]
        for begin in range(0, max(1, len(offsets) - stride), room - stride):
            own = offsets[begin : begin + room]
            labels = _token_span(first, own, span, ends=begin + room >= len(offsets))
            for key, values in made.items():
                whole = encoded[key][i]
                values.append(whole[:first] + whole[first + begin : first + begin + len(own)] + whole[last:])
            added.append({"row": index, "cut": cut, "first": first, "end": first + len(own), "labels": labels,
                          "missed": span is not None and labels == (0, 0), "offsets": own.ravel()})  # fmt: skip
    return made | {key: [each[key] for each in added] for key in added[0]}


def _shortened(questions: Sequence[str], tokenizer: PreTrainedTokenizerBase, max_length: int) -> list[str]:
    """Each question's text up to its last token that is kept."""
    most = min(MOST_QUESTION, max_length // 2)
    texts = [question.strip() for question in questions]
    found = tokenizer(texts, add_special_tokens=False, return_offsets_mapping=True, verbose=False)["offset_mapping"]
    return [
        text if len(offsets) <= most else text[: offsets[most - 1][1]]
        for text, offsets in zip(texts, found, strict=True)
    ]


def _check_room(encoded: BatchEncoding, rooms: Sequence[int], max_length: int, stride: int) -> None:
    """See that every window holds more of its passage than it shares with the next."""
    room = min(rooms)
    if stride >= room:
        longest = sum(sequence == 0 for sequence in encoded.sequence_ids(rooms.index(room)))
        raise SettingsError(
            f"--stride is {stride}, and a window of {max_length} tokens leaves {max(room, 0)} to the passage beside a "
            f"question of {longest}. Give a --stride below {room}."
            if room > 1
            else f"A window of {max_length} tokens is too short for a question of {longest} and a passage. "
            "Give a longer --max-length."
        )


def _passage(encoded: BatchEncoding, i: int) -> tuple[int, int, np.ndarray[Any, Any]]:
    """Where a passage begins and ends beside its question, and its tokens' characters, int32 ``[tokens, 2]``."""
    inside = [at for at, sequence in enumerate(encoded.sequence_ids(i)) if sequence == 1]
    first, end = (inside[0], inside[-1] + 1) if inside else (0, 0)
    return first, end, np.array(encoded["offset_mapping"][i][first:end], np.int32).reshape(-1, 2)


def without_space(text: str, start: int, end: int) -> tuple[int, int]:
    """A stretch of a text without the space at its ends: tokenizers differ in whether a token holds it."""
    inside = text[start:end]
    return start + len(inside) - len(inside.lstrip()), start + len(inside.rstrip())


def _token_span(
    first: int, offsets: np.ndarray[Any, Any], span: tuple[int, int] | None, *, ends: bool
) -> tuple[int, int]:
    """The first and last token of a span of characters; (0, 0) if the passage's tokens do not hold all of it.

    Where the passage ``ends`` with them, what comes after the last is a character of which a tokenizer makes nothing.
    """
    if span is None or not len(offsets) or offsets[0, 0] > span[0] or (offsets[-1, 1] < span[1] and not ends):
        return 0, 0
    at = np.flatnonzero((offsets[:, 1] > span[0]) & (offsets[:, 0] < span[1]))
    return (first + int(at[0]), first + int(at[-1])) if len(at) else (0, 0)
