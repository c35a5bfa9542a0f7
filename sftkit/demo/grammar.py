"""The grammar that all invented languages share: trees with universal tags, and how a language puts them in order.

A tree says which roots stand in which dependency relation; it belongs to no language. A word order is a signed rank
for each relation: negative before the head, positive after it. There is no recursion deeper than one subordinate
clause, and agreement is in gender and number only.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate

from sftkit.demo.lexicon import FIELDS, Root

ON_TOPIC = 0.75
"""Share of content words drawn from the sentence's own semantic field."""

LONGEST = 12
"""Words in the longest sentence: short ones leave little padding, which keeps the demonstration quick."""


@dataclass
class Node:
    """A word in a tree: its tag, relation to the head, root (none for punctuation), paradigm cell, dependents."""

    tag: str
    relation: str
    root: Root
    cell: str = ""
    children: list[Node] = field(default_factory=list)

    @property
    def size(self) -> int:
        """Words in the tree."""
        return 1 + sum(child.size for child in self.children)


def word_order(
    clause: str,
    *,
    adjective_first: bool,
    determiner_first: bool,
    prepositions: bool,
    auxiliary_first: bool,
    adverb_first: bool,
) -> Mapping[str, int]:
    """Ranks of all relations, from the order of subject, verb and object ("SVO") and five choices."""
    verb = clause.index("V")
    ranks = {"nsubj": 4 * (clause.index("S") - verb), "obj": 4 * (clause.index("O") - verb)}
    ranks["obl"] = ranks["obj"] + 1
    ranks["aux"] = -1 if auxiliary_first else 1
    ranks["advmod"] = -2 if adverb_first else 2
    ranks["amod"] = -1 if adjective_first else 1
    ranks["nummod"] = -2 if determiner_first else 2
    ranks["det"] = -3 if determiner_first else 3
    ranks["case"] = -9 if prepositions else 9
    ranks["nmod"] = 5 if prepositions else -5
    return ranks | {"mark": -12, "cc": -13, "comma": -14, "advcl": 13, "conj": 14, "punct": 15}


class Author:
    """Writes random trees with the roots of one proto-lexicon."""

    def __init__(self, lexicon: Mapping[str, Sequence[Root]], rng: random.Random) -> None:
        self._rng = rng
        # Zipf: a root's frequency falls with its rank
        weights = {tag: [1 / (rank + 3) for rank in range(len(roots))] for tag, roots in lexicon.items()}
        self._choices = {
            (tag, topic): (
                roots,
                list(accumulate(w * _pull(root, topic) for w, root in zip(weights[tag], roots, strict=True))),
            )
            for tag, roots in lexicon.items()
            for topic in range(FIELDS)
        }

    def sentence(self) -> Node:
        """A sentence of at most `LONGEST` words: a clause, perhaps joined to another one, and a mark at the end."""
        while True:
            tree = self._sentence()
            if tree.size <= LONGEST:
                return tree

    def _sentence(self) -> Node:
        topic = self._rng.randrange(FIELDS)
        clause = self._clause(topic, "root")
        fate = self._rng.random()
        if fate < 0.1:
            second = self._clause(topic, "conj")
            second.children += [_punctuation(","), self._word("CCONJ", "cc", topic)]
            clause.children.append(second)
        elif fate < 0.2:
            second = self._clause(topic, "advcl")
            second.children.append(self._word("SCONJ", "mark", topic))
            clause.children.append(second)
        clause.children.append(_punctuation(self._rng.choices(".?!", (8, 1, 1))[0]))
        return clause

    def _clause(self, topic: int, relation: str) -> Node:
        rng = self._rng
        subject = self._word("PRON", "nsubj", topic) if rng.random() < 0.25 else self._nominal(topic, "nsubj")
        verb = self._word("VERB", relation, topic)
        verb.cell = rng.choice("ppt") + (subject.cell[-1:] or "s")
        verb.children.append(subject)
        if rng.random() < 0.6:
            verb.children.append(self._nominal(topic, "obj"))
        if rng.random() < 0.2:
            verb.children.append(self._adpositional(topic, "obl"))
        if rng.random() < 0.3:
            verb.children.append(self._word("ADV", "advmod", topic))
        if rng.random() < 0.25:
            verb.children.append(self._word("AUX", "aux", topic))
        return verb

    def _nominal(self, topic: int, relation: str) -> Node:
        rng = self._rng
        noun = self._word("NOUN", relation, topic)
        noun.cell = noun.root.gender + rng.choice("ssp")
        if rng.random() < 0.5:
            noun.children.append(self._word("DET", "det", topic, noun.cell))
        if rng.random() < 0.12:
            noun.children.append(self._word("NUM", "nummod", topic))
        if rng.random() < 0.35:
            noun.children.append(self._word("ADJ", "amod", topic, noun.cell))
        if relation == "obj" and rng.random() < 0.12:
            noun.children.append(self._adpositional(topic, "nmod"))
        return noun

    def _adpositional(self, topic: int, relation: str) -> Node:
        phrase = self._nominal(topic, relation)
        phrase.children.append(self._word("ADP", "case", topic))
        return phrase

    def _word(self, tag: str, relation: str, topic: int, cell: str = "") -> Node:
        roots, cumulative = self._choices[tag, topic]
        return Node(tag, relation, self._rng.choices(roots, cum_weights=cumulative)[0], cell)


def linearise(node: Node, order: Mapping[str, int]) -> list[Node]:
    """The nodes of a tree in the order in which a language says them."""
    ranked = sorted(node.children, key=lambda child: _rank(child, order))  # stable: equal ranks keep the tree's order
    before = [child for child in ranked if _rank(child, order) < 0]
    after = [child for child in ranked if _rank(child, order) > 0]
    parts = [linearise(child, order) for child in before] + [[node]] + [linearise(child, order) for child in after]
    return [word for part in parts for word in part]


def _rank(node: Node, order: Mapping[str, int]) -> int:
    return order["comma" if node.root.form == "," else node.relation]


def _pull(root: Root, topic: int) -> float:
    return ON_TOPIC if root.field == topic else (1 - ON_TOPIC) / (FIELDS - 1)


def _punctuation(mark: str) -> Node:
    return Node("PUNCT", "punct", Root(mark, 0, ""))
