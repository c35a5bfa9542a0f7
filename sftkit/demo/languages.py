"""A family of invented languages: one grammar, one proto-lexicon, five daughters with texts to sample.

Four daughters are there to pretrain on, among them the source of task annotation; the fifth, the target, is unseen
until its language SFT is trained. All is deterministic in the seed. Nothing here knows about models or tokenizers.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from sftkit.demo.grammar import Author, Node, linearise, word_order
from sftkit.demo.lexicon import INFLECTED, Root, SoundLaw, evolve, proto_endings, proto_lexicon, renew_little_words

ENTITIES = ("PER", "LOC", "O")
"""What a noun of each semantic field names: the third field's name nothing."""


@dataclass(frozen=True)
class Sentence:
    """Words with universal part-of-speech tags and a dependency tree (heads count from 1; 0 is the root).

    `entities` are tags in IOB2: a noun with its adjective, determiner and number, by the noun's semantic field.
    """

    words: tuple[str, ...]
    tags: tuple[str, ...]
    heads: tuple[int, ...]
    relations: tuple[str, ...]
    entities: tuple[str, ...]


@dataclass(frozen=True)
class Language:
    """A daughter language: how it sounds, what it puts on its stems, and in which order it speaks."""

    name: str
    laws: tuple[SoundLaw, ...]
    order: Mapping[str, int]
    endings: Mapping[tuple[str, str], str]
    lexicon: Mapping[str, tuple[Root, ...]]

    def sample(self, n: int, seed: int) -> list[Sentence]:
        """`n` random sentences, the same for the same seed."""
        author = Author(self.lexicon, random.Random(f"{self.name} {seed}"))
        return [self._say(author.sentence()) for _ in range(n)]

    def word(self, tag: str, root: Root, cell: str = "") -> str:
        """The form of a root used as a `tag` in a cell of its paradigm."""
        return evolve(root.form, self.laws) + self.endings.get((tag, cell), "")

    def vocabulary(self) -> set[str]:
        """Every form that the language has, punctuation aside."""
        return {
            self.word(tag, root, cell)
            for tag, roots in self.lexicon.items()
            for root in roots
            for cell in INFLECTED.get(tag, ("",))
            if tag != "NOUN" or cell.startswith(root.gender)
        }

    def _say(self, tree: Node) -> Sentence:
        nodes = linearise(tree, self.order)
        places = {id(node): place for place, node in enumerate(nodes, start=1)}
        heads = {id(child): places[id(node)] for node in nodes for child in node.children}
        return Sentence(
            words=tuple(
                node.root.form if node.tag == "PUNCT" else self.word(node.tag, node.root, node.cell) for node in nodes
            ),
            tags=tuple(node.tag for node in nodes),
            heads=tuple(heads.get(id(node), 0) for node in nodes),
            relations=tuple(node.relation for node in nodes),
            entities=_entities(nodes),
        )


def _entities(nodes: Sequence[Node]) -> tuple[str, ...]:
    """Tags in IOB2; the words of a name stand together in every word order."""
    kinds = {
        id(part): (id(node), ENTITIES[node.root.field])
        for node in nodes
        if node.tag == "NOUN"
        for part in (node, *(child for child in node.children if child.relation in ("det", "nummod", "amod")))
    }
    found = [kinds.get(id(node), (0, "O")) for node in nodes]
    return tuple(
        kind if kind == "O" else f"{'I' if place and found[place - 1][0] == name else 'B'}-{kind}"
        for place, (name, kind) in enumerate(found)
    )


@dataclass(frozen=True)
class Family:
    """The languages with their parts in the demonstration."""

    pretraining: tuple[Language, ...]
    source: Language
    target: Language

    @property
    def languages(self) -> tuple[Language, ...]:
        """All of them: those pretrained on, then the target."""
        return (*self.pretraining, self.target)


@dataclass(frozen=True)
class _Sketch:
    """What sets one daughter apart, whatever the seed: laws, order, and how many of its forms are its own."""

    name: str
    laws: tuple[tuple[str, str], ...]
    order: Mapping[str, int]
    new_endings: float
    new_little_words: float


_VOICING = tuple((f"(?<=[aeiou]){hard}(?=[aeiou])", soft) for hard, soft in zip("ptkfs", "bdgvz", strict=True))
_PALATALS = (("k(?=[ei])", "s"),)
_FRICATION = (("p", "f"),)
_GLIDES = (("w", "v"), ("h", ""))
# each last vowel of a stem changes in one daughter and stays in the others, so that no cognate is the same everywhere
_LAST = "(?=[^aeiou]*$)"

_SKETCHES = (
    _Sketch(
        "Talassi",
        _PALATALS,
        word_order(
            "SVO",
            adjective_first=True,
            determiner_first=True,
            prepositions=True,
            auxiliary_first=True,
            adverb_first=False,
        ),
        0.0,
        0.0,
    ),
    _Sketch(
        "Ondric",
        (*_FRICATION, ("u" + _LAST, "o")),
        word_order(
            "SOV",
            adjective_first=True,
            determiner_first=True,
            prepositions=False,
            auxiliary_first=False,
            adverb_first=True,
        ),
        0.25,
        0.15,
    ),
    _Sketch(
        "Vesperin",
        (*_VOICING, ("i" + _LAST, "e")),
        word_order(
            "SVO",
            adjective_first=False,
            determiner_first=True,
            prepositions=True,
            auxiliary_first=True,
            adverb_first=True,
        ),
        0.25,
        0.15,
    ),
    _Sketch(
        "Karthal",
        (*_GLIDES, ("o" + _LAST, "u")),
        word_order(
            "SVO",
            adjective_first=False,
            determiner_first=False,
            prepositions=True,
            auxiliary_first=True,
            adverb_first=False,
        ),
        0.25,
        0.15,
    ),
    _Sketch(
        "Sarrowin",
        (*_VOICING, ("e" + _LAST, "i"), ("a" + _LAST, "e")),
        word_order(
            "SOV",
            adjective_first=True,
            determiner_first=True,
            prepositions=True,
            auxiliary_first=False,
            adverb_first=True,
        ),
        0.5,
        0.3,
    ),
)
_SOURCE, _TARGET = "Talassi", "Sarrowin"


def make_family(seed: int) -> Family:
    """The family of a seed: names, sound laws and word orders stay, roots and endings change."""
    for attempt in count():
        rng = random.Random(f"{seed} again {attempt}" if attempt else seed)
        lexicon, endings = proto_lexicon(rng), proto_endings(rng)
        daughters = {sketch.name: _daughter(sketch, lexicon, endings, rng) for sketch in _SKETCHES}
        # cognates differ somewhere by the laws, but unrelated words may fall together: then draw again
        if not set.intersection(*(language.vocabulary() for language in daughters.values())):
            break
    pretraining = tuple(language for name, language in daughters.items() if name != _TARGET)
    return Family(pretraining, daughters[_SOURCE], daughters[_TARGET])


def _daughter(
    sketch: _Sketch,
    lexicon: Mapping[str, tuple[Root, ...]],
    endings: Mapping[tuple[str, str], str],
    rng: random.Random,
) -> Language:
    laws = tuple(SoundLaw(pattern, replacement) for pattern, replacement in sketch.laws)
    own, inherited = proto_endings(rng), sorted(set(endings.values()))
    renewed = set(rng.sample(inherited, round(sketch.new_endings * len(inherited))))
    # an ending is renewed in all its cells at once; endings escape the sound laws, as analogy keeps them
    chosen = {cell: own[cell] if ending in renewed else ending for cell, ending in endings.items()}
    own_lexicon = renew_little_words(lexicon, sketch.new_little_words, rng)
    return Language(sketch.name, laws, sketch.order, chosen, own_lexicon)


def write_text(sentences: Iterable[Sentence], path: Path) -> None:
    """A plain corpus: one sentence a line, words apart by blanks."""
    path.write_text("".join(" ".join(sentence.words) + "\n" for sentence in sentences), encoding="utf-8")


def write_entities(sentences: Iterable[Sentence], path: Path) -> None:
    """Named entities: a word and its tag a line, an empty line after each sentence."""
    blocks = (zip(sentence.words, sentence.entities, strict=True) for sentence in sentences)
    text = "".join("".join(f"{word} {tag}\n" for word, tag in block) + "\n" for block in blocks)
    path.write_text(text, encoding="utf-8")


def write_conllu(sentences: Sequence[Sentence], path: Path) -> None:
    """A treebank in CoNLL-U: ten columns, with `sent_id` and `text` comments and the grammar's dependency trees."""
    blocks = []
    for number, sentence in enumerate(sentences, start=1):
        rows = zip(sentence.words, sentence.tags, sentence.heads, sentence.relations, strict=True)
        lines = [f"# sent_id = {number}", f"# text = {' '.join(sentence.words)}"]
        lines += [
            f"{place}\t{word}\t_\t{tag}\t_\t_\t{head}\t{relation}\t_\t_"
            for place, (word, tag, head, relation) in enumerate(rows, start=1)
        ]
        blocks.append("\n".join(lines) + "\n\n")
    path.write_text("".join(blocks), encoding="utf-8")
