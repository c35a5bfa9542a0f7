"""``--qa``: extractive question answering on SQuAD's JSON, versions 1.1 and 2.0.

A linear layer scores every token as an answer's first and as its last. The answer is the best stretch of at most 30
tokens in any window of the passage. Where some questions of the data have none (version 2.0), no answer is the better
one if the scores of a window's first token are, the lowest over the windows, as in Devlin et al. 2019.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from datasets import Dataset
from torch import nn
from transformers import AutoModelForQuestionAnswering, PreTrainedModel, PreTrainedTokenizerBase

from sftkit.errors import DataError, MismatchError
from sftkit.tasks.base import Collator, Objective, to_device
from sftkit.tasks.evaluator import Evaluator
from sftkit.tasks.qa_windows import padded, passage_windows, without_space
from sftkit.tasks.readers.sources import joined
from sftkit.tasks.readers.squad import Answer, question_rows, write_answers
from sftkit.tasks.squad_metrics import exact_match_and_f1
from sftkit.tasks.tally import Counts, Tally, ratio

#: Tokens of an answer, at most.
MOST_ANSWER = 30
#: Passages that are looked at for spaces, and the share of them in text whose words are parted by spaces, at least.
_LOOKED_AT, _FEWEST_SPACES = 200, 0.05


def mean_over_ends(outputs: Any, labels: torch.Tensor, num_items_in_batch: torch.Tensor | None = None) -> Any:
    """Cross-entropy over a window's tokens, the mean over the firsts and lasts of all windows of an optimizer step.

    Args:
        outputs: a model's, with ``start_logits`` and ``end_logits`` ``[windows, length]``.
        labels: int64 ``[windows, 2]``: the answer's first and last token.
        num_items_in_batch: how many labels the whole step has.
    """
    logits = torch.stack((outputs.start_logits, outputs.end_logits), 1).float()
    total = nn.functional.cross_entropy(logits.flatten(0, 1), labels.flatten(), reduction="sum")
    return total / (num_items_in_batch if num_items_in_batch is not None else labels.numel())


class QuestionAnswering(Objective):
    """Extractive question answering; exact match and F1 over questions."""

    name: ClassVar[str] = "qa"
    title: ClassVar[str] = "question answering"
    best_metric: ClassVar[str] = "f1"
    greater_is_better: ClassVar[bool] = True
    is_task: ClassVar[bool] = True
    #: What the head's two outputs score; models from elsewhere do not name them.
    fixed_labels: ClassVar[tuple[str, ...]] = ("start", "end")
    loss: ClassVar[Any] = staticmethod(mean_over_ends)
    auto_class: ClassVar[Any] = AutoModelForQuestionAnswering

    def read(self, sources: Sequence[str]) -> Dataset:
        """One row a question: ``question``, ``context``, and its answers' ``texts`` and ``starts``.

        Raises:
            DataError: also if of no question it is known what is right.
        """
        rows = self.read_unlabelled(sources)
        if all(texts is None for texts in rows["texts"]):
            raise DataError(
                f"{', '.join(sources)}: no question has an answer, so there is nothing to learn or to score. "
                "sftkit predict answers them."
            )
        return rows

    def read_unlabelled(self, sources: Sequence[str]) -> Dataset:
        """The same; what is right need not be known."""
        parts = [question_rows(source, strict=self.options.strict_answers) for source in sources]
        self.told.update(dict.fromkeys(note for part in parts for note in part.notes))
        return joined([part.rows for part in parts])

    def features(self, rows: Dataset, tokenizer: PreTrainedTokenizerBase, max_length: int) -> Dataset:
        """Windows with ``labels``, the answer's first and last token; whose question they are, and if that was cut.

        Questions of whose answers none is known to stand in the context are left out.
        """
        kept = [i for i, pair in enumerate(zip(rows["texts"], rows["starts"], strict=True)) if _can_be_learned(*pair)]
        if not kept:
            raise DataError("No answer of the training data stands in its context where the data says.")
        found = passage_windows(rows.select(kept), tokenizer, max_length, self.options.stride)
        return found.remove_columns(["first", "end", "offsets"])

    def remarks(self, rows: Dataset, features: Dataset) -> tuple[str, ...]:
        """How many questions were cut, and how many left out."""
        left = len(rows) - sum(_can_be_learned(*pair) for pair in zip(rows["texts"], rows["starts"], strict=True))
        told = (f"without an answer that stands in the context, and left out: {left:,} of {len(rows):,} questions.",)
        return (*(told if left else ()), *_remarks(len(rows) - left, features))

    def collator(self, tokenizer: PreTrainedTokenizerBase, seed: int) -> Collator:
        """Pads the inputs; ``labels`` int64 ``[windows, 2]``."""
        del seed
        pad = tokenizer.pad_token_id
        return lambda windows: {**padded(windows, pad), "labels": torch.tensor([each["labels"] for each in windows])}

    def evaluator(self, rows: Dataset, tokenizer: PreTrainedTokenizerBase, max_length: int, seed: int) -> Evaluator:
        """Scores the answers."""
        del seed
        return AnswerEvaluator(rows, tokenizer, max_length, self.options.stride, self.options.language)

    def for_model(self, model: PreTrainedModel) -> QuestionAnswering:
        """The same; a model's names of its two outputs do not matter.

        Raises:
            MismatchError: if it has another number of outputs.
        """
        if model.config.num_labels != len(self.fixed_labels):
            raise MismatchError(
                f"The model's head has {model.config.num_labels} outputs; question answering needs 2. "
                "Was it trained with --qa?"
            )
        return self

    def write_predictions(self, source: str, predicted: Sequence[Any], path: Path) -> None:
        """The JSON file with the predicted answers in the place of the right ones."""
        write_answers(source, path, predicted)


def _can_be_learned(texts: Sequence[str] | None, starts: Sequence[int]) -> bool:
    return texts is not None and (not texts or max(starts) >= 0)


class AnswerEvaluator(Evaluator):
    """Exact match and F1 over all questions, each answered from all windows of its passage.

    Questions of which it is not known what is right are answered and not scored.
    """

    def __init__(
        self, rows: Dataset, tokenizer: PreTrainedTokenizerBase, max_length: int, stride: int, language: str = ""
    ) -> None:
        self._contexts, self._language = rows["context"], language
        self.gold: list[list[str] | None] = rows["texts"][:]
        self._known = np.array([texts is not None for texts in self.gold])
        self._answered = np.array([bool(texts) for texts in self.gold if texts is not None])
        self.examples = int(self._known.sum())
        self._pad = tokenizer.pad_token_id
        self._windows = passage_windows(rows, tokenizer, max_length, stride)
        self._lengths = [len(ids) for ids in self._windows["input_ids"]]
        spaceless = () if language else _without_spaces(self._contexts)
        self.cut = _cut(self._windows)
        self.notes = (*_remarks(len(rows), self._windows), *spaceless)

    def predict(self, model: PreTrainedModel, batch_size: int) -> list[Answer]:
        """The answer to every question, an exact stretch of its context."""
        return [answer for answer, _ in self.scored(model, batch_size)]

    def scored(self, model: PreTrainedModel, batch_size: int) -> list[tuple[Answer, float]]:
        """The same, each with its probability among all stretches of its window, or that of no answer."""
        best = [(-np.inf, 0.0, 0, 0)] * len(self.gold)
        nothing = np.full((len(self.gold), 2), (np.inf, 0.0))

        def look(indices: list[int]) -> list[tuple[Any, ...]]:
            windows = [self._windows[i] for i in indices]
            with torch.no_grad():
                outputs = model(**to_device(padded(windows, self._pad), model))
            return list(zip(*_best_spans(outputs, windows), strict=True))

        for i, (null, total, score, *span) in enumerate(self.by_batch(self._lengths, batch_size, look)):
            window, sure = self._windows[i], np.exp(score - total)
            row = window["row"]
            nothing[row] = min(tuple(nothing[row]), (null, np.exp(null - total)))
            best[row] = max(best[row], (score, sure, *_characters(window, *span)), key=lambda found: found[0])
        declined = (nothing[:, 0] > [score for score, *_ in best]) & (not self._answered.all())
        return [
            (Answer("", 0), float(nothing[i, 1])) if no else (self._answer(i, *best[i][2:]), float(best[i][1]))
            for i, no in enumerate(declined)
        ]

    def _answer(self, row: int, start: int, end: int) -> Answer:
        context = self._contexts[row]
        start, end = without_space(context, start, end)
        return Answer(context[start:end], start)

    def tally(self, predicted: Sequence[Any]) -> Tally:
        """(exact match, F1, 1) of each question."""
        return Tally(self._counts(predicted), _exact_match_and_f1)

    def details(self, predicted: Sequence[Any]) -> dict[str, Any]:
        """``answerable``: the metrics of questions with an answer and of those without, where there are both kinds."""
        if self._answered.all() or not self._answered.any():
            return {}
        counts, rows = self._counts(predicted), []
        for kind, chosen in (("yes", self._answered), ("no", ~self._answered)):
            found = _exact_match_and_f1(counts[chosen].sum(0)).items()
            rows.append({"answerable": kind, "questions": int(chosen.sum())} | {key: float(v) for key, v in found})
        return {"answerable": rows}

    def _counts(self, predicted: Sequence[Answer]) -> Counts:
        pairs = [(answer.text, gold) for answer, gold in zip(predicted, self.gold, strict=True) if gold is not None]
        return np.array([(*exact_match_and_f1(*pair, self._language), 1) for pair in pairs], np.float64).reshape(-1, 3)


def _remarks(questions: int, windows: Dataset) -> tuple[str, ...]:
    cut = _cut(windows)
    held = {row for row, missed in zip(windows["row"], windows["missed"], strict=True) if not missed}
    nowhere = len(set(windows["row"]) - held)
    told = (
        (cut, f"longer than the window allows and cut: {cut:,} of {questions:,} questions."),
        (nowhere, f"whose answer no window holds whole, so that none is learned or found: {nowhere:,} of {questions:,} "
                  "questions. A longer --max-length, or --stride, may hold it."),
    )  # fmt: skip
    return tuple(words for count, words in told if count)


def _cut(windows: Dataset) -> int:
    return len({row for row, was in zip(windows["row"], windows["cut"], strict=True) if was})


def _without_spaces(contexts: Sequence[str]) -> tuple[str, ...]:
    """A note, if words are not parted by spaces: in English one character in six is one, in Chinese hardly any."""
    text = "".join(contexts[:_LOOKED_AT])
    if sum(map(str.isspace, text)) >= _FEWEST_SPACES * len(text):
        return ()
    return (
        "the text has hardly any spaces, and by SQuAD's rules what stands between two is one word, so F1 is hardly "
        "more than exact match. --language compares as MLQA does.",
    )


def _best_spans(outputs: Any, windows: Sequence[dict[str, Any]]) -> tuple[list[Any], ...]:
    """Of each window: no answer's score; that of all stretches together; the best one's, its first and last token."""
    starts, ends = outputs.start_logits.float(), outputs.end_logits.float()
    total = _log_sum(starts, windows) + _log_sum(ends, windows)
    null = starts[:, 0] + ends[:, 0]
    at = torch.arange(starts.shape[1], device=starts.device)
    first, end = (torch.tensor([window[key] for window in windows], device=starts.device) for key in ("first", "end"))
    outside = (at < first[:, None]) | (at >= end[:, None])
    starts, ends = (logits.masked_fill(outside, -torch.inf) for logits in (starts, ends))
    later = nn.functional.pad(ends, (0, MOST_ANSWER - 1), value=-torch.inf).unfold(1, MOST_ANSWER, 1)
    best_end, length = later.max(-1)
    score, begin = (starts + best_end).max(-1)
    last = begin + length.gather(1, begin[:, None])[:, 0]
    return null.tolist(), total.tolist(), score.tolist(), begin.tolist(), last.tolist()


def _log_sum(logits: torch.Tensor, windows: Sequence[dict[str, Any]]) -> torch.Tensor:
    """Over each window's tokens, padding left out."""
    lengths = torch.tensor([len(window["input_ids"]) for window in windows], device=logits.device)
    padding = torch.arange(logits.shape[1], device=logits.device) >= lengths[:, None]
    return logits.masked_fill(padding, -torch.inf).logsumexp(1)


def _characters(window: dict[str, Any], begin: int, last: int) -> tuple[int, int]:
    """A window's best stretch as characters of the context; nothing where the window has no passage."""
    first, end, offsets = window["first"], window["end"], window["offsets"]
    if first == end:
        return 0, 0
    return offsets[2 * (begin - first)], offsets[2 * (last - first) + 1]


def _exact_match_and_f1(sums: Counts) -> dict[str, Counts]:
    """Of sums (exact matches, F1, questions)."""
    return {"exact_match": ratio(sums[..., 0], sums[..., 2]), "f1": ratio(sums[..., 1], sums[..., 2])}
