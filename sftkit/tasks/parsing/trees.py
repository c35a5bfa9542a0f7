"""The best dependency tree under arc scores, with exactly one word at the root.

Chu and Liu 1965 and Edmonds 1967 on a dense matrix: best heads are followed until they lead to the root or close a
cycle, a cycle becomes one node, and in the end the arc that enters a cycle says which of its arcs falls away. O(n²) a
run, as each node is merged once. That one word alone hangs from the root is had by making all arcs from the root dear
by the same amount, so that a second one is never worth it (Stanojević and Cohen 2021, section 3). Numpy only.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Scores = NDArray[np.floating]
Heads = NDArray[np.int64]
#: A word's number and its head's, from 1; 0 is the root.
Arc = tuple[int, int]


def maximum_tree(scores: Scores) -> Heads:
    """The tree whose arcs' scores have the largest sum.

    Args:
        scores: ``[n, n + 1]``, of each word for each head; column 0 is the root, column i the word in row i - 1. Finite
            but for a word as its own head, which is never read; what is not a number counts as 0.

    Returns:
        int64 ``[n]``: 0 for the word at the root, else the head's number from 1.
    """
    scores = np.nan_to_num(scores)
    heads = greedy_heads(scores)
    if np.count_nonzero(heads == 0) == 1 and not astray(heads).any():
        return heads  # no tree is better than every word's best head
    return _Graph(scores).tree()


def greedy_heads(scores: Scores) -> Heads:
    """Every word's best head by itself, which need not give a tree; arguments and result as :func:`maximum_tree`'s."""
    words = np.arange(len(scores))
    others = np.array(scores, np.float64)
    others[words, words + 1] = -np.inf
    best: Heads = others.argmax(1).astype(np.int64)
    return best


def astray(heads: Heads) -> NDArray[np.bool_]:
    """Which words' heads, all between 0 and n, do not lead to the root but round in a circle; bool ``[n]``."""
    above = np.concatenate([[0], heads])
    for _ in range(len(above).bit_length()):  # each round doubles how far up it looks
        above = above[above]
    lost: NDArray[np.bool_] = above[1:] != 0
    return lost


@dataclass(frozen=True)
class _Cycle:
    """Nodes that were merged into one, and for each of them the arc that it has inside the cycle."""

    arcs: dict[int, Arc]


class _Graph:
    """A dense graph whose cycles are merged one after the other.

    Nodes are 0 (the root), words, and from n + 1 on merged cycles. A node has a slot in the matrices: a word its own, a
    cycle that of its first member. ``weights[d, h]`` is the score of the best arc from slot h into slot d, less what
    entering a cycle there costs; ``words[d, h]`` and ``heads[d, h]`` are the two words that this arc joins.
    """

    def __init__(self, scores: Scores) -> None:
        n = len(scores)
        self.weights = np.full((n + 1, n + 1), -np.inf)
        self.weights[1:] = scores
        np.fill_diagonal(self.weights, -np.inf)
        finite = self.weights[np.isfinite(self.weights)]
        self.weights[1:, 0] -= n * (finite.max() - finite.min()) + 1
        slots = np.arange(n + 1)
        self.words = np.repeat(slots[:, None], n + 1, 1)
        self.heads = np.repeat(slots[None], n + 1, 0)
        self.best = self.weights.argmax(1)  # of slots
        self.node = list(range(n + 1))  # in each slot
        self.parent: dict[int, int] = {}
        self.cycles: dict[int, _Cycle] = {}

    def tree(self) -> Heads:
        """The heads of the best tree."""
        done = {0}
        for start in range(1, len(self.best)):
            path: list[int] = []
            slot = start
            while slot not in done:
                if slot not in path:
                    path.append(slot)
                else:
                    cycle = path[path.index(slot) :]
                    path = path[: -len(cycle)]
                    slot = self._merge(cycle)
                    done.update(cycle[1:])
                    path.append(slot)
                slot = int(self.best[slot])
            done.update(path)
        return self._expanded()

    def _merge(self, cycle: list[int]) -> int:
        """Make one node of a cycle of slots; its slot."""
        merged = len(self.best) + len(self.cycles)
        self.cycles[merged] = _Cycle({self.node[slot]: self._arc(slot) for slot in cycle})
        self.parent.update((self.node[slot], merged) for slot in cycle)
        slots, to = np.array(cycle), cycle[0]
        self._join_outgoing(slots, to)
        self._join_incoming(slots, to)
        self.weights[slots[1:]] = -np.inf
        self.weights[:, slots[1:]] = -np.inf
        self.weights[to, to] = -np.inf
        inside = np.zeros(len(self.best), np.bool_)
        inside[slots] = True
        self.best[inside[self.best]] = to
        self.best[to] = self.weights[to].argmax()
        self.node[to] = merged
        return to

    def _join_outgoing(self, slots: NDArray[np.int64], to: int) -> None:
        """From a cycle into each other node goes the best arc of its members."""
        rows = np.arange(len(self.best))
        chosen = slots[self.weights[:, slots].argmax(1)]
        for matrix in (self.weights, self.words, self.heads):
            matrix[:, to] = matrix[rows, chosen]

    def _join_incoming(self, slots: NDArray[np.int64], to: int) -> None:
        """Into a cycle goes the arc that gains most over the member's arc inside, which it takes the place of."""
        columns = np.arange(len(self.best))
        gains = self.weights[slots] - self.weights[slots, self.best[slots]][:, None]
        at = gains.argmax(0)
        self.weights[to] = gains[at, columns]
        for matrix in (self.words, self.heads):
            matrix[to] = matrix[slots[at], columns]

    def _arc(self, slot: int) -> Arc:
        head = self.best[slot]
        return int(self.words[slot, head]), int(self.heads[slot, head])

    def _expanded(self) -> Heads:
        """From the arcs into nodes that are left to a head for every word."""
        heads = np.zeros(len(self.best) - 1, np.int64)
        entered = [(node, self._arc(slot)) for slot, node in enumerate(self.node) if slot and node not in self.parent]
        while entered:
            node, (word, head) = entered.pop()
            if node not in self.cycles:
                heads[node - 1] = head
                continue
            member = word  # the one that is or holds the word that the arc goes to
            while self.parent[member] != node:
                member = self.parent[member]
            arcs = self.cycles[node].arcs
            entered += [(each, (word, head) if each == member else arc) for each, arc in arcs.items()]
        return heads
