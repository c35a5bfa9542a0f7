"""Exact match and F1 of answers, by the definition of SQuAD 2.0 (Rajpurkar et al. 2018, and their evaluation script).

Version 1.1's differs in one place: there an answer of articles and punctuation alone never has an F1 above 0. Only
ASCII punctuation is left out, and only English articles, whatever the language.

With a language, by the definition of MLQA (Lewis et al. 2020, and their evaluation script): all punctuation of Unicode
is left out, and that language's articles; every Chinese character is a word by itself; nothing in common is an F1 of 0,
even where nothing is left of both; and all gold answers count. Questions without an answer, which MLQA does not have,
are as in SQuAD 2.0. Other languages than MLQA's seven are not covered.
"""

from __future__ import annotations

import re
import string
import unicodedata
from collections import Counter
from collections.abc import Sequence
from functools import lru_cache

#: Whose rules there are beside SQuAD's; with their articles. Arabic's goes wherever its two letters stand: the script's
#: other pattern for it never matches.
_ARTICLES = {
    "ar": re.compile("ال"),
    "de": re.compile(r"\b(ein|eine|einen|einem|eines|einer|der|die|das|den|dem|des)\b"),
    "en": re.compile(r"\b(a|an|the)\b"),
    "es": re.compile(r"\b(un|una|unos|unas|el|la|los|las)\b"),
    "hi": None,
    "vi": re.compile(r"\b(của|là|cái|chiếc|những)\b"),
    "zh": None,
}
LANGUAGES = tuple(_ARTICLES)
_NO_PUNCTUATION = str.maketrans("", "", string.punctuation)
_CHINESE = re.compile("([\u4e00-\u9fa5])")


def normalised(text: str, language: str = "") -> str:
    """Lower case, without punctuation and articles, words parted by one space; in this order."""
    text = text.lower()
    if language:
        text = "".join(character for character in text if not _is_punctuation(character))
    else:
        text = text.translate(_NO_PUNCTUATION)
    articles = _ARTICLES[language or "en"]
    text = articles.sub(" ", text) if articles else text
    return " ".join((_CHINESE.sub(r" \1 ", text) if language == "zh" else text).split())


@lru_cache(maxsize=1 << 12)
def _is_punctuation(character: str) -> bool:
    return character in string.punctuation or unicodedata.category(character)[0] == "P"


def exact_match_and_f1(predicted: str, gold: Sequence[str], language: str = "") -> tuple[float, float]:
    """The best of each over the gold answers, both 0…1; where there are none, "" is the answer.

    Args:
        predicted: the answer; "" for none.
        gold: those that are right. By SQuAD's rules those of which normalisation leaves nothing do not count.
        language: one of ``LANGUAGES``, for MLQA's rules; "": SQuAD's.
    """
    said = normalised(predicted, language)
    right = [normalised(text, language) for text in gold]
    if language and right:
        return float(said in right), max(_f1(said.split(), text.split(), nothing=0.0) for text in right)
    right = [text for text in right if text] or [""]
    return float(said in right), max(_f1(said.split(), text.split(), nothing=1.0) for text in right)


def _f1(predicted: Sequence[str], gold: Sequence[str], nothing: float) -> float:
    """Of the two bags of words; ``nothing`` if both are empty."""
    if not predicted or not gold:
        return nothing if predicted == gold else 0.0
    common = (Counter(predicted) & Counter(gold)).total()
    return 2 * common / (len(predicted) + len(gold))
