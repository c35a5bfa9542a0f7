"""Exact match and F1 against cases worked out by hand."""

from __future__ import annotations

import itertools
import string
import unicodedata
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sftkit.tasks.evaluator import Scores
from sftkit.tasks.options import TaskOptions
from sftkit.tasks.qa import QuestionAnswering
from sftkit.tasks.readers.squad import Answer
from sftkit.tasks.squad_metrics import LANGUAGES, exact_match_and_f1, normalised
from tests.helpers import pico, squad


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("The  Battle of Hastings!", "battle of hastings"),
        ("an apple, a day", "apple day"),
        ("another theatre", "another theatre"),  # articles are whole words
        ("U.S.A", "usa"),  # punctuation goes before articles are looked for
        ("the-end", "theend"),
        ("$1,000.50", "100050"),
        ("«Ћирилица» – İ…", "«ћирилица» – i̇…"),  # only ASCII punctuation is left out
        ("A.", ""),
        (" \t\n", ""),
    ],
)
def test_texts_are_normalised_in_the_official_order(text: str, expected: str) -> None:
    assert normalised(text) == expected


@pytest.mark.parametrize(
    ("predicted", "gold", "exact", "f1"),
    [
        ("the Normans", ["Normans"], 1, 1),
        ("Normans in France", ["Normans"], 0, 0.5),  # 1 of 3 words predicted, 1 of 1 gold: 2·1/(3+1)
        ("10th and 11th", ["10th century", "in the 10th and 11th centuries"], 0, 0.75),  # 3 of 3, 3 of 5: 6/8
        ("to be to be", ["to be"], 0, 2 * 2 / 6),  # a word counts as often as both have it
        ("Paris", [], 0, 0),
        ("", [], 1, 1),
        ("", ["Paris"], 0, 0),
        ("the", [], 1, 1),  # nothing is left of it
        ("Paris", ["the", "Paris"], 1, 1),
        ("", ["the", "Paris"], 0, 0),  # a gold answer of which nothing is left does not count
        ("a", ["the"], 1, 1),
        ("B C", ["C D", "x"], 0, 0.5),
    ],
)
def test_the_best_gold_answer_counts(predicted: str, gold: list[str], exact: float, f1: float) -> None:
    assert exact_match_and_f1(predicted, gold) == pytest.approx((exact, f1))


@pytest.mark.parametrize(
    ("language", "text", "expected"),
    [
        ("en", "The «end», a—day", "end aday"),  # all punctuation
        ("en", "der Tag", "der tag"),
        ("de", "Der Tag, eines the", "tag the"),
        ("es", "¿Las unas? a the", "a the"),
        ("vi", "Cái nhà của the", "nhà the"),
        ("hi", "घर। a", "घर a"),
        ("ar", "البيت والباب", "بيت و باب"),  # wherever the letters stand
        ("zh", "塔ta米,1990年。the", "塔 ta 米 1990 年 the"),
    ],
)
def test_texts_are_normalised_by_the_rules_of_a_language(language: str, text: str, expected: str) -> None:
    assert normalised(text, language) == expected


# MLQA's rules in other words: what is left of a text is collected character by character, and counted by sorting.
_ARTICLES = {
    "en": "a an the", "es": "un una unos unas el la los las", "vi": "của là cái chiếc những",
    "de": "ein eine einen einem eines einer der die das den dem des",
}  # fmt: skip


def _mlqa_words(text: str, language: str) -> list[str]:
    kept = [c for c in text.lower() if not unicodedata.category(c).startswith("P") and c not in string.punctuation]
    plain = "".join(kept)
    if language == "ar":
        plain = " ".join(plain.split("ال"))
    runs = ["".join(run) for _, run in itertools.groupby(plain, lambda c: c.isalnum() or c == "_")]
    drop = set(_ARTICLES.get(language, "").split())
    words = "".join(" " if run in drop else run for run in runs).split()
    if language != "zh":
        return words
    apart = [["".join(run)] if not chinese else list(run) for word in words
             for chinese, run in itertools.groupby(word, lambda c: "\u4e00" <= c <= "\u9fa5")]  # fmt: skip
    return [part for parts in apart for part in parts]


def _mlqa(predicted: str, gold: list[str], language: str) -> tuple[float, float]:
    said = _mlqa_words(predicted, language)
    best_match, best_f1 = 0.0, 0.0
    for text in gold:
        words = _mlqa_words(text, language)
        best_match = max(best_match, float(words == said))
        left, same = list(words), 0
        for word in said:
            if word in left:
                left.remove(word)
                same += 1
        if same:
            precision, recall = same / len(said), same / len(words)
            best_f1 = max(best_f1, 2 * precision * recall / (precision + recall))
    return best_match, best_f1


@pytest.mark.parametrize("language", LANGUAGES)
def test_scores_are_those_of_mlqas_rules_in_other_words(language: str) -> None:
    parts = ["the", "a", "der", "das", "la", "un", "của", "là", "ال", "بيت", "塔", "米", "洛", "ta", "90", " ", " ",
             ", ", "。", "«", "-", "$", "The", "ß", "_", "घर", "ा", "।", "¿", "？", "é", "e\u0301", "Des", "LÀ", "٪",
             "１", "\u00a0", "\u3000", "İ", "龥", "龦"]  # fmt: skip
    draw = np.random.default_rng(7)
    for _ in range(400):
        texts = ["".join(draw.choice(parts, draw.integers(0, 7))) for _ in range(3)]
        found = exact_match_and_f1(texts[0], texts[1:], language)
        assert found == pytest.approx(_mlqa(texts[0], texts[1:], language)), texts


def test_with_a_language_questions_without_an_answer_are_as_in_squad() -> None:
    assert exact_match_and_f1("", [], "zh") == (1.0, 1.0)
    assert exact_match_and_f1("塔", [], "zh") == (0.0, 0.0)


def _squad_words(text: str) -> list[str]:
    plain = "".join(c for c in text.lower() if c not in string.punctuation)
    runs = ["".join(run) for _, run in itertools.groupby(plain, lambda c: c.isalnum() or c == "_")]
    return "".join(" " if run in ("a", "an", "the") else run for run in runs).split()


@pytest.mark.parametrize("version", ["1.1", "2.0"])
def test_scores_are_those_of_squads_rules_in_other_words(version: str) -> None:
    parts = ["the", "a", "an", "ta", "mi", "lo", "90", " ", " ", ", ", "«", "-", "$", "The"]
    draw = np.random.default_rng(8)
    for _ in range(400):
        said, *gold = ("".join(draw.choice(parts, draw.integers(0, 7))) for _ in range(3))
        words, right = _squad_words(said), [_squad_words(text) for text in gold]
        if version == "2.0":  # what nothing is left of does not count as an answer
            right = [each for each in right if each] or [[]]
        elif not all([words, *right]):
            continue  # the two versions differ there
        f1 = []
        for each in right:
            same = sum(min(words.count(word), each.count(word)) for word in set(words))
            f1.append(2 * same / (len(words) + len(each)) if words and each else float(words == each))
        assert exact_match_and_f1(said, gold) == pytest.approx((float(words in right), max(f1))), (said, gold)


ANSWERS = {
    "": ("the Normans", "10th and 11th", "a", "France.", "U.S.A", "the", "$5", "in 1066"),
    "en": ("the Normans", "«France»", "a–b", "the", "in 1066"),
    "es": ("El Niño", "la señal", "¿las unas?", "en 1492", "un"),
    "de": ("Der Große", "dem Haus", "eine Straße", "im Jahr 1648", "„das“"),
    "ar": ("البيت الكبير", "في عام ١٩٩٠", "،الكتاب", "ال"),
    "hi": ("घर में", "१९४७ में।", "दिल्ली", "।"),
    "vi": ("của nhà", "những cái bàn", "năm 1975", "là"),
    "zh": ("塔拉米洛", "1990年，在塔", "TA米", "。"),
}


def _file(draw: np.random.Generator, language: str, *, unanswered: bool) -> tuple[dict[str, Any], list[Answer]]:
    """A file of questions with one to three answers, or none, and what was said to each."""
    paragraphs, said = [], []
    for i in range(60):
        context = " . ".join(str(text) for text in draw.permutation(ANSWERS[language]))
        known = [str(text) for text in draw.choice(ANSWERS[language], draw.integers(1, 4))]
        known = [] if unanswered and draw.random() < 0.3 else known
        answers = [{"text": text, "answer_start": context.index(text)} for text in known]
        qa = {"id": str(i), "question": "?", "answers": answers} | ({"is_impossible": not known} if unanswered else {})
        paragraphs.append((context, [qa]))
        begin, end = sorted(int(place) for place in draw.integers(0, len(context), 2))
        text = str(draw.choice([*known, context[begin:end], "" if unanswered else context[:9], *ANSWERS[language]]))
        said.append(Answer(text, max(context.find(text), 0)))
    return squad.document(*paragraphs, version="v2.0" if unanswered else "1.1"), said


def _scored(folder: Path, made: dict[str, Any], said: list[Answer], language: str = "") -> Scores:
    objective = QuestionAnswering(TaskOptions(language=language))
    rows = objective.read([str(squad.save(folder / "x.json", made))])
    return objective.evaluator(rows, pico.make_tokenizer(), 384, 0).scores(said)


def _squad(said: str, gold: list[str]) -> tuple[float, float]:
    """Exact match and F1 of one answer, by version 2.0's rules."""
    right = [words for words in map(_squad_words, gold) if words] or [[]]
    words, f1 = _squad_words(said), []
    for each in right:
        same = (Counter(each) & Counter(words)).total()
        f1.append(2 * same / (len(each) + len(words)) if each and words else float(each == words))
    return float(words in right), max(f1)


def _mean(pairs: list[tuple[float, float]]) -> dict[str, float]:
    return {"exact_match": sum(em for em, _ in pairs) / len(pairs), "f1": sum(f1 for _, f1 in pairs) / len(pairs)}


def _questions(made: dict[str, Any]) -> list[list[str]]:
    return [[each["text"] for each in qa["answers"]] for p in made["data"][0]["paragraphs"] for qa in p["qas"]]


@pytest.mark.parametrize("seed", range(4))
def test_a_file_of_version_2_scores_as_in_squad_with_and_without_an_answer(seed: int, tmp_path: Path) -> None:
    made, said = _file(np.random.default_rng(seed), "", unanswered=True)
    found, gold = _scored(tmp_path, made, said), _questions(made)
    pairs = [_squad(answer.text, texts) for answer, texts in zip(said, gold, strict=True)]
    assert found.metrics == pytest.approx(_mean(pairs))
    for row, answerable in zip(found.details["answerable"], (True, False), strict=True):
        own = [pair for pair, texts in zip(pairs, gold, strict=True) if bool(texts) == answerable]
        assert {key: row[key] for key in ("exact_match", "f1")} == pytest.approx(_mean(own))
        assert row["questions"] == len(own)


@pytest.mark.parametrize("seed", range(4))
def test_a_file_of_version_1_1_scores_as_in_squad(seed: int, tmp_path: Path) -> None:
    made, said = _file(np.random.default_rng(seed), "", unanswered=False)
    assert _scored(tmp_path, made, said).metrics == pytest.approx(
        _mean([_squad(answer.text, texts) for answer, texts in zip(said, _questions(made), strict=True)])
    )


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_file_scores_as_in_mlqa(language: str, tmp_path: Path) -> None:
    made, said = _file(np.random.default_rng(1), language, unanswered=False)
    found = _scored(tmp_path, made, said, language).metrics
    pairs = zip(said, _questions(made), strict=True)
    assert found == pytest.approx(_mean([_mlqa(answer.text, texts, language) for answer, texts in pairs]))
    assert all(0.1 < value < 0.95 for value in found.values())
