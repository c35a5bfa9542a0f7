"""Words of the invented family: one proto-lexicon, and the sound laws that make each daughter's words of it.

A root is a meaning with a form in the proto-language. A daughter language derives its stems by regular sound
laws, applied in order, and puts its own endings on them, so related words look alike without being equal.
Sentences are the business of `grammar`.
"""

from __future__ import annotations

import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

CONSONANTS = "ptkbdgmnslrfvzhjw"
VOWELS = "aeiou"
FIELDS = 3
"""Semantic fields: a sentence draws most of its content words from one, which a language model can learn."""

SIZES = {
    "NOUN": 24, "VERB": 16, "ADJ": 12, "ADV": 6, "ADP": 4, "DET": 2, "PRON": 4, "AUX": 2, "CCONJ": 2, "SCONJ": 2,
    "NUM": 4,
}  # fmt: skip
"""Roots of each universal part of speech; beside these come the `AMBIGUOUS` ones."""

OPEN = ("NOUN", "VERB", "ADJ", "ADV")
"""Parts of speech that daughters inherit whole; the others, the function words, wear down and are renewed."""

LITTLE, LONG = ("CV", "VC"), ("CVCV", "CVC", "VCVC")
"""Shapes of function words, and of the roots of open classes."""

AMBIGUOUS = 12
"""Roots that are nouns as well as verbs: only the ending, or the place in the sentence, tells which."""

INFLECTED: Mapping[str, tuple[str, ...]] = {
    "NOUN": ("1s", "1p", "2s", "2p"),
    "ADJ": ("1s", "1p", "2s", "2p"),
    "VERB": ("ps", "pp", "ts", "tp"),
    "ADV": ("",),
}
"""Cells of each paradigm: gender and number of nominals, tense (present, past) and number of verbs."""


@dataclass(frozen=True)
class Root:
    """A meaning: its proto-form, its semantic field and, used as a noun, its gender."""

    form: str
    field: int
    gender: str


@dataclass(frozen=True)
class SoundLaw:
    """A regular change: every match of `pattern` becomes `replacement`."""

    pattern: str
    replacement: str

    def apply(self, form: str) -> str:
        """The form after the change."""
        return re.sub(self.pattern, self.replacement, form)


def evolve(form: str, laws: Sequence[SoundLaw]) -> str:
    """The daughter's form of a proto-form: all laws in order (a law that would leave nothing is skipped)."""
    for law in laws:
        form = law.apply(form) or form
    return form


def proto_lexicon(rng: random.Random) -> Mapping[str, tuple[Root, ...]]:
    """Roots by part of speech, all different in form; open classes are longer than function words."""
    taken: set[str] = set()
    lexicon: dict[str, list[Root]] = {}
    for tag, size in SIZES.items():
        patterns = LONG if tag in OPEN else LITTLE
        lexicon[tag] = [new_root(rng, patterns, taken) for _ in range(size)]
    shared = [new_root(rng, ("CVC", "CVCV"), taken) for _ in range(AMBIGUOUS)]
    for tag in ("NOUN", "VERB", "ADJ"):
        lexicon[tag] += shared
        rng.shuffle(lexicon[tag])
    return {tag: tuple(roots) for tag, roots in lexicon.items()}


def renew_little_words(
    lexicon: Mapping[str, tuple[Root, ...]], share: float, rng: random.Random
) -> Mapping[str, tuple[Root, ...]]:
    """The lexicon of a daughter that has new words in place of a share of the function words."""
    taken = {root.form for roots in lexicon.values() for root in roots}
    little = [root for tag, roots in lexicon.items() if tag not in OPEN for root in roots]
    new = {root.form: new_root(rng, LITTLE, taken) for root in rng.sample(little, round(share * len(little)))}
    return {tag: tuple(new.get(root.form, root) for root in roots) for tag, roots in lexicon.items()}


def proto_endings(rng: random.Random) -> Mapping[tuple[str, str], str]:
    """An ending for each cell of each paradigm, by part of speech and cell.

    One verb ending is that of a noun, so that a form of an ambiguous root can be either.
    """
    taken: set[str] = set()
    endings = {
        (tag, cell): new_root(rng, ("V", "VC", "VC"), taken).form
        for tag in ("NOUN", "VERB", "ADJ", "ADV")
        for cell in INFLECTED[tag]
    }
    endings["VERB", "ps"] = endings["NOUN", "1s"]
    return endings


def new_root(rng: random.Random, patterns: Sequence[str], taken: set[str]) -> Root:
    """A root whose form has one of the shapes ("CVC") and is not in `taken`, which it joins."""
    while True:
        form = "".join(rng.choice(VOWELS if letter == "V" else CONSONANTS) for letter in rng.choice(patterns))
        if form not in taken:
            taken.add(form)
            return Root(form, rng.randrange(FIELDS), rng.choice("12"))
