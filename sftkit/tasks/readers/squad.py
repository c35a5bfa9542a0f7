"""Questions in SQuAD's JSON, versions 1.1 and 2.0, and in the flat layout that data sets on the hub have.

An answer that does not stand in its context where the file says can be scored and not be trained on. A question has no
answer if the file says so, or has none for it and some for others. Otherwise, without an answer that is not blank,
what is right is not known. Other keys, such as ``title`` and ``plausible_answers``, are passed over.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from datasets import Dataset, Features, List, Value

from sftkit.errors import DataError
from sftkit.shown import brief, quoted
from sftkit.storage.documents import NotJson, check_characters, check_levels
from sftkit.tasks.readers.guess import looks_like
from sftkit.tasks.readers.local import HUB
from sftkit.tasks.readers.sources import hub_rows, read_text

#: No texts: the context does not answer the question. None in their place: what is right is not known. A start is -1
#: where the answer does not stand in the context as the data says.
FEATURES = Features(
    {
        "question": Value("string"),
        "context": Value("string"),
        "texts": List(Value("string")),
        "starts": List(Value("int64")),
    }
)


class Answer(NamedTuple):
    """A stretch of a context, and the character where it starts; an empty text is no answer."""

    text: str
    start: int


class Questions(NamedTuple):
    """A row a question, with the columns of ``FEATURES``, and what the user may want to know of how they were read."""

    rows: Dataset
    notes: tuple[str, ...]


def question_rows(source: str, *, strict: bool = False) -> Questions:
    """All questions of a source.

    Args:
        source: a file, or a data set on the hub.
        strict: refuse answers that do not stand in their context where the source says.

    Raises:
        DataError: if the source is not SQuAD's JSON; names the question.
    """
    found = list(_hub_questions(source) if source.startswith(HUB) else _file_questions(source))
    rows = [_row(source, *each, strict=strict) for each in found]
    if not rows:
        raise DataError(f"{source}: holds no question.")
    _check_the_rest(source)
    if not any(row["texts"] for row in rows) and not any(qa.get("is_impossible") for *_, qa in found):
        rows = [row | {"texts": None, "starts": []} for row in rows]
    again = len(found) - len({name for name, *_ in found})
    starts = [start for row in rows for start in row["starts"]]
    unknown = sum(row["texts"] is None for row in rows)
    counts = (
        (again, len(rows), "questions with the id of another", ""),
        (starts.count(-1), len(starts), "answers that do not stand in their context where the data says",
         " They are scored, and not trained on; --strict-answers refuses them."),
        (unknown, len(rows), "questions without an answer that are not said to have none",
         " They are neither scored nor trained on."),
    )  # fmt: skip
    notes = tuple(f"{source}: {what}: {count:,} of {of:,}.{then}" for count, of, what, then in counts if count)
    return Questions(Dataset.from_list(rows, features=FEATURES), notes)


def answered(source: str, answers: Sequence[Answer]) -> str:
    """A file with its questions' answers replaced: by one, or by none and ``is_impossible``.

    Args:
        source: a file that :func:`question_rows` reads.
        answers: one a question.
    """
    document = _document(source)
    questions = (qa for article in document["data"] for paragraph in article["paragraphs"] for qa in paragraph["qas"])
    for qa, (text, start) in zip(questions, answers, strict=True):
        qa["answers"] = [{"text": text, "answer_start": start}] if text else []
        if not text or "is_impossible" in qa:
            qa["is_impossible"] = not text
    text = json.dumps(document, ensure_ascii=False)
    if any("\ud800" <= character <= "\udfff" for character in text):  # halves of characters, in what is passed over
        text = json.dumps(document)
    return text + "\n"


def write_answers(source: str, path: Path, answers: Sequence[Answer]) -> None:
    """:func:`answered`, written to a new file."""
    path.write_text(answered(source, answers), encoding="utf-8")


#: id, context, the question with its answers as read.
_Found = tuple[str, str, Mapping[str, Any]]


def _file_questions(source: str) -> Iterator[_Found]:
    articles = _items(source, "the document", _document(source), "data")
    for a, article in enumerate(articles, start=1):
        for p, paragraph in enumerate(_items(source, f"article {a}", article, "paragraphs"), start=1):
            where = f"article {a}, paragraph {p}"
            questions = _items(source, where, paragraph, "qas")
            context = _text(source, where, paragraph, "context")
            for q, qa in enumerate(questions, start=1):
                yield _name(source, f"{where}, question {q}", qa), context, qa


def _hub_questions(source: str) -> Iterator[_Found]:
    rows = hub_rows(source)
    missing = {"id", "context", "question", "answers"} - set(rows.column_names)
    if missing:
        raise DataError(f"{source}: has no column {min(missing)!r}, only {', '.join(rows.column_names)}.")
    for number, row in enumerate(rows, start=1):
        where, marks = f"row {number}", row["answers"] or {}
        texts, starts = (_items(source, where, marks, key) for key in ("text", "answer_start"))
        if len(texts) != len(starts):
            raise DataError(f"{source}, {where}: has {len(texts)} answers, and says of {len(starts)} where they start.")
        answers = [{"text": text, "answer_start": start} for text, start in zip(texts, starts, strict=True)]
        yield _name(source, where, row), _text(source, where, row, "context"), {**row, "answers": answers}


def _document(source: str) -> Any:
    try:
        document = json.loads(read_text(source))
        check_levels(document)
        return document
    except json.JSONDecodeError as error:
        where = f"{source}, line {error.lineno}, column {error.colno}"
        told = looks_like(read_text(source), "--qa")
        raise DataError(
            f"{where}: not JSON ({error.msg}). --qa takes SQuAD's JSON, version 1.1 or 2.0.{told}"
        ) from None
    except RecursionError:
        raise DataError(f"{source}: its JSON is nested too deep to be SQuAD's.") from None
    except NotJson as error:
        raise DataError(f"{source}: {error}.") from None
    except ValueError:  # Python refuses to read numbers of thousands of digits
        raise DataError(f"{source}: a number in it is too long to be read. --qa takes SQuAD's JSON.") from None


def _check_the_rest(source: str) -> None:
    """See that what nobody reads, such as a title, can be written again beside the answers."""
    if source.startswith(HUB) or "\\ud" not in read_text(source).lower():
        return
    try:
        check_characters(_document(source))
    except NotJson as error:
        raise DataError(f"{source}: {error}.") from None


def _row(source: str, name: str, context: str, qa: Mapping[str, Any], *, strict: bool) -> dict[str, Any]:
    where = f"question {brief(name)}"
    if not context.strip():
        raise DataError(f"{source}, {where}: its context is empty.")
    answers = _items(source, where, qa, "answers") if qa.get("answers") is not None else []
    marked = [(answer, text) for answer in answers if (text := _text(source, where, answer, "text")).strip()]
    if qa.get("is_impossible") and marked:
        raise DataError(f"{source}, {where}: is_impossible, and has answers.")
    none = bool(qa.get("is_impossible", qa.get("answers") == []))
    starts = [_start(source, where, context, *pair, strict=strict) for pair in marked]
    return {
        "question": _text(source, where, qa, "question"),
        "context": context,
        "texts": [text for _, text in marked] if marked or none else None,
        "starts": starts,
    }


def _start(source: str, where: str, context: str, answer: Mapping[str, Any], text: str, *, strict: bool) -> int:
    start = answer.get("answer_start")
    if (start is None and strict) or (start is not None and (not isinstance(start, int) or isinstance(start, bool))):
        raise DataError(f"{source}, {where}: answer {quoted(text)} needs 'answer_start', a number of characters.")
    there = context[start : start + len(text)] if start is not None and start >= 0 else ""
    if there == text:
        return int(start or 0)
    if strict:
        at = context.find(text)
        hint = f" (it does at {at})" if at >= 0 else ""
        raise DataError(
            f"{source}, {where}: the answer {quoted(text)} does not stand at answer_start {start!s:.20} of the "
            f"context, where {quoted(there)} is{hint}."
        )
    return -1


def _name(source: str, where: str, parent: Any) -> str:
    number = _value(source, where, parent, "id")
    return str(number) if isinstance(number, int) else _text(source, where, parent, "id")


def _items(source: str, where: str, parent: Any, key: str) -> Sequence[Any]:
    items = _value(source, where, parent, key)
    if not isinstance(items, list):
        raise DataError(f"{source}, {where}: {key!r} is not a list. --qa takes SQuAD's JSON.")
    return items


def _text(source: str, where: str, parent: Any, key: str) -> str:
    text = _value(source, where, parent, key)
    if not isinstance(text, str):
        raise DataError(f"{source}, {where}: {key!r} is {text!r:.40}, which is no text.")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise DataError(f"{source}, {where}: {key!r} holds half a character ({text[error.start]!r}).") from None
    return text


def _value(source: str, where: str, parent: Any, key: str) -> Any:
    if not isinstance(parent, dict) or key not in parent:
        raise DataError(f"{source}, {where}: has no {key!r}. --qa takes SQuAD's JSON, version 1.1 or 2.0.")
    return parent[key]
