"""Exact match and F1 of answers, by the definition of SQuAD 2.0 (Rajpurkar et al. 2018, and their evaluation script).

Version 1.1's differs in one place: there an answer of articles and punctuation alone never has an F1 above 0. Only
ASCII punctuation is left out, and only English articles, whatever the language.
"""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Sequence

_ARTICLES = re.compile(r"\b(a|an|the)\b")
_NO_PUNCTUATION = str.maketrans("", "", string.punctuation)


def normalised(text: str) -> str:
    """Lower case, without punctuation and articles, words parted by one space; in this order."""
    return " ".join(_ARTICLES.sub(" ", text.lower().translate(_NO_PUNCTUATION)).split())


def exact_match_and_f1(predicted: str, gold: Sequence[str]) -> tuple[float, float]:
    """The best of each over the gold answers, both 0…1; where there are none, "" is the answer.

    Gold answers of which normalisation leaves nothing do not count.
    """
    said = normalised(predicted)
    right = [text for text in map(normalised, gold) if text] or [""]
    return float(said in right), max(_f1(said.split(), text.split()) for text in right)


def _f1(predicted: Sequence[str], gold: Sequence[str]) -> float:
    """Of the two bags of words; 1 if both are empty."""
    if not predicted or not gold:
        return float(predicted == gold)
    common = (Counter(predicted) & Counter(gold)).total()
    return 2 * common / (len(predicted) + len(gold))
