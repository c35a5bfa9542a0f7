"""A family of any size: a random tree, along whose branches one proto-language changes into its daughters.

What changes, and how often, is the same on every branch: sound laws, endings, function words, roots and the choices of
word order. So two languages differ the more the earlier their last common ancestor lived, and relatedness is known.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import count

from sftkit.demo.grammar import word_order
from sftkit.demo.languages import Language
from sftkit.demo.lexicon import LITTLE, LONG, OPEN, Root, SoundLaw, evolve, new_root, proto_endings, proto_lexicon

#: Lineages split at even steps from time 0, the proto-language, to this time; the living languages are at 1.
LAST_SPLIT = 0.7
#: From time 0 to 1: sound laws; the share of endings, function words and other roots renewed; choices of order turned.
LAWS, ENDINGS, LITTLE_WORDS, ROOTS, TURNS = 3.0, 0.3, 0.2, 0.1, 0.25

_LAST = "(?=[^aeiou]*$)"  # the last vowel of a stem
_BETWEEN = ("(?<=[aeiou])", "(?=[aeiou])")
_VOWELS = (("a", "e"), ("e", "i"), ("i", "e"), ("o", "u"), ("u", "o"), ("o", "a"))
_FIRST = (("p", "f"), ("t", "d"), ("k", "s"), ("b", "p"), ("d", "z"), ("g", "k"), ("v", "b"))
#: Sound laws by name, each some changes at once.
_LAWS: Mapping[str, tuple[tuple[str, str], ...]] = {
    **{f"{old} > {new} in the last syllable": ((old + _LAST, new),) for old, new in _VOWELS},
    **{f"{old} > {new} at the beginning": ((f"^{old}", new),) for old, new in _FIRST},
    "voicing between vowels": tuple(
        (_BETWEEN[0] + hard + _BETWEEN[1], soft) for hard, soft in zip("ptkfs", "bdgvz", strict=True)
    ),
    "devoicing at the end": tuple((f"{soft}$", hard) for hard, soft in zip("ptkfs", "bdgvz", strict=True)),
    "k > s before e, i": (("k(?=[ei])", "s"),),
    "t > z before i": (("t(?=i)", "z"),),
    "p > f": (("p", "f"),),
    "w > v, h lost": (("w", "v"), ("h", "")),
    "j > z": (("j", "z"),),
    "r > l": (("r", "l"),),
    "l > r between vowels": ((_BETWEEN[0] + "l" + _BETWEEN[1], "r"),),
    "z > r between vowels": ((_BETWEEN[0] + "z" + _BETWEEN[1], "r"),),
    "m > n at the end": (("m$", "n"),),
    "last vowel lost": (("(?<=[aeiou][^aeiou])[aeiou]$", ""),),
    "e before s and r": (("^(?=[sr][aeiou][^aeiou])", "e"),),
}  # fmt: skip
_CLAUSES = ("SVO", "SOV", "VSO")
_CHOICES = ("adjective_first", "determiner_first", "prepositions", "auxiliary_first", "adverb_first")


@dataclass(frozen=True)
class Branch:
    """A language of the tree with its history since it split from its sister.

    Attributes:
        time: when it split in two, from 0; 1 if it lives.
        changes: what happened on the way, in words.
        children: the two that it became; none if it lives.
        language: the living language.
    """

    time: float
    changes: tuple[str, ...]
    children: tuple[Branch, ...] = ()
    language: Language | None = None

    def living(self) -> Iterator[Language]:
        """The languages that descend from it, from left to right."""
        if self.language is not None:
            yield self.language
        for child in self.children:
            yield from child.living()


@dataclass(frozen=True)
class _State:
    """A language at some time: what changes."""

    lexicon: Mapping[str, tuple[Root, ...]]
    endings: Mapping[tuple[str, str], str]
    clause: str
    choices: Mapping[str, bool]

    def speaker(self, name: str) -> Language:
        """The language under a name. Its laws were applied as they came."""
        return Language(name, (), word_order(self.clause, **self.choices), self.endings, self.lexicon)


@dataclass
class _Lineage:
    """A node of a tree while that grows."""

    time: float = 1.0
    children: tuple[_Lineage, ...] = ()


def grow(languages: int, seed: int) -> Branch:
    """The family of a seed: its proto-language, with the tree below it.

    Args:
        languages: how many live; at least two.
        seed: the same gives the same family.
    """
    rng = random.Random(f"{languages} languages, {seed}")
    proto = _State(
        proto_lexicon(rng), proto_endings(rng), rng.choice(_CLAUSES), {name: rng.random() < 0.5 for name in _CHOICES}
    )
    root = _tree(languages, rng)
    names = _names(languages, rng)
    return Branch(root.time, (), tuple(_descend(child, proto, root.time, names, rng) for child in root.children))


def relatedness(root: Branch) -> dict[tuple[str, str], float]:
    """For every two living languages, when their last common ancestor split: 0 to 1, and 1 with themselves."""
    found = {(language.name, language.name): 1.0 for language in root.living()}
    nodes = [root]
    while nodes:
        node = nodes.pop()
        nodes += node.children
        for first in node.children:
            for second in node.children:
                if first is not second:
                    found |= {(a.name, b.name): node.time for a in first.living() for b in second.living()}
    return found


def newick(root: Branch) -> str:
    """The tree in Newick's notation, with the lengths of its branches."""
    return _clade(root) + ";"


def _clade(node: Branch) -> str:
    if node.language is not None:
        return node.language.name
    return "(" + ",".join(f"{_clade(child)}:{child.time - node.time:.4g}" for child in node.children) + ")"


def _tree(languages: int, rng: random.Random) -> _Lineage:
    """Yule's process: whichever lineage splits next is drawn at random."""
    root = _Lineage()
    living = [root]
    for split in range(languages - 1):
        node = living.pop(rng.randrange(len(living)))
        node.time = LAST_SPLIT * split / max(1, languages - 2)
        node.children = (_Lineage(), _Lineage())
        living += node.children
    return root


def _descend(node: _Lineage, state: _State, since: float, names: Iterator[str], rng: random.Random) -> Branch:
    state, changes = _changed(state, node.time - since, rng)
    if not node.children:
        return Branch(node.time, changes, language=state.speaker(next(names)))
    return Branch(node.time, changes, tuple(_descend(child, state, node.time, names, rng) for child in node.children))


def _changed(state: _State, length: float, rng: random.Random) -> tuple[_State, tuple[str, ...]]:
    """What becomes of a language in some time, and what happened, in words."""
    clause, choices, turned = _turned(state, TURNS * length, rng)
    lexicon, renewed = _renewed(state.lexicon, length, rng)
    endings, replaced = _with_new_endings(state.endings, ENDINGS * length, rng)
    lexicon, laws = _with_laws(lexicon, LAWS * length, rng)
    told = [*laws, *turned, f"{replaced} of {len(set(state.endings.values()))} endings new", f"{renewed} roots new"]
    return _State(lexicon, endings, clause, choices), tuple(told)


def _turned(state: _State, odds: float, rng: random.Random) -> tuple[str, dict[str, bool], list[str]]:
    clause = rng.choice([each for each in _CLAUSES if each != state.clause]) if rng.random() < odds else state.clause
    choices = {name: value != (rng.random() < odds) for name, value in state.choices.items()}
    told = [f"{state.clause} > {clause}"] if clause != state.clause else []
    for name, value in choices.items():
        if value != state.choices[name]:
            told.append(name.replace("_", " ") if value else f"no longer {name.replace('_', ' ')}")
    return clause, choices, told


def _renewed(
    lexicon: Mapping[str, tuple[Root, ...]], length: float, rng: random.Random
) -> tuple[dict[str, tuple[Root, ...]], int]:
    """Some roots have new forms; what they mean stays."""
    taken = {root.form for roots in lexicon.values() for root in roots}
    new: dict[str, str] = {}
    seen: set[str] = set()
    for tag, roots in lexicon.items():
        odds, shapes = (ROOTS, LONG) if tag in OPEN else (LITTLE_WORDS, LITTLE)
        for root in roots:
            if root.form not in seen and rng.random() < odds * length:
                new[root.form] = new_root(rng, shapes, taken).form
            seen.add(root.form)  # a noun that is a verb, too, changes once
    renewed = {
        tag: tuple(replace(root, form=new.get(root.form, root.form)) for root in roots)
        for tag, roots in lexicon.items()
    }
    return renewed, len(new)


def _with_new_endings(
    endings: Mapping[tuple[str, str], str], odds: float, rng: random.Random
) -> tuple[dict[tuple[str, str], str], int]:
    """Some endings are new, each in all its cells at once."""
    own = proto_endings(rng)
    new = {ending for ending in sorted(set(endings.values())) if rng.random() < odds}
    return {cell: own[cell] if ending in new else ending for cell, ending in endings.items()}, len(new)


def _with_laws(
    lexicon: Mapping[str, tuple[Root, ...]], expected: float, rng: random.Random
) -> tuple[dict[str, tuple[Root, ...]], list[str]]:
    """The stems after as many sound laws as expected on average; each changes some stem when it comes."""
    told: list[str] = []
    changed = dict(lexicon)
    for _ in range(int(expected + rng.random())):
        for name in rng.sample(sorted(_LAWS), len(_LAWS)):
            laws = [SoundLaw(*change) for change in _LAWS[name]]
            after = {
                tag: tuple(replace(root, form=evolve(root.form, laws)) for root in roots)
                for tag, roots in changed.items()
            }
            if name not in told and after != changed:
                changed = after
                told.append(name)
                break
    return changed, told


def _names(languages: int, rng: random.Random) -> Iterator[str]:
    """Different names that are fit for files."""
    taken: set[str] = set()
    for _ in range(languages):
        for attempt in count():
            syllables = [rng.choice("bdfgklmnprstvz") + rng.choice("aeiou") for _ in range(2 + attempt // 100)]
            name = "".join(syllables) + rng.choice(("n", "l", "r", "s")) + rng.choice(("ic", "ese", "ish", "ian"))
            if name not in taken:
                taken.add(name)
                yield name
                break
