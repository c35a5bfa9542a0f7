"""SQuAD files made by hand."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

WORDS = ("taka", "milo", "suen", "lolo", "ranka", "enlo", "kaen")


def document(*paragraphs: tuple[str, list[dict[str, Any]]], version: str = "v2.0") -> dict[str, Any]:
    """One article with these contexts and their questions."""
    return {
        "version": version,
        "data": [{"title": "t", "paragraphs": [{"context": context, "qas": qas} for context, qas in paragraphs]}],
    }


def question(context: str, answer: str | None, *, name: str = "q", text: str = "mi ka lo?") -> dict[str, Any]:
    """A question that a context answers with its first such stretch, or does not answer."""
    answers = [] if answer is None else [{"text": answer, "answer_start": context.index(answer)}]
    return {"id": name, "question": text, "answers": answers, "is_impossible": answer is None}


def save(path: Path, made: dict[str, Any]) -> Path:
    path.write_text(json.dumps(made), encoding="utf-8")
    return path


def numbers(count: int, seed: int, *, unanswered: bool) -> dict[str, Any]:
    """Passages of words among which one number, the answer, stands; in every third none, if there may be such."""
    generator, paragraphs = random.Random(seed), []
    for i in range(count):
        words = [generator.choice(WORDS) for _ in range(generator.randint(4, 12))]
        answer = None if unanswered and i % 3 == 0 else str(generator.randint(10, 999))
        if answer is not None:
            words[generator.randrange(len(words))] = answer
        context = " ".join(words) + "."
        paragraphs.append((context, [question(context, answer, name=f"{seed}-{i}")]))
    return document(*paragraphs)
