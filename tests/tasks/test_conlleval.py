"""``--scheme conlleval``: the figures are those of the CoNLL-2000 to 2003 tasks' program, in other words.

A column of tags is read from above. At each token it is asked whether a phrase ends before it and whether one begins
at it: one begins at B, at any tag after O, and where the type changes; one ends before B, before O, and where the type
changes. A phrase is right if gold and prediction begin one at the same token, of the same type, and end it together.
Between two sentences stands an O. Schemes with E and S: one ends after these two, and one begins at S and after them.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from datasets import Dataset

from sftkit.tasks.ner import EntityEvaluator, NamedEntities
from sftkit.tasks.options import TaskOptions
from tests.helpers import pico

TYPES = ("PER", "LOC", "WORK-OF-ART")


def parted(tag: str) -> tuple[str, str]:
    letter, _, kind = tag.partition("-")
    return letter, kind


def ends(before: str, tag: str) -> bool:
    (last, old), (now, new) = parted(before), parted(tag)
    return last != "O" and (now in "OBS" or old != new or last in "ES")


def begins(before: str, tag: str) -> bool:
    (last, old), (now, new) = parted(before), parted(tag)
    return now != "O" and (now in "BS" or last in "OES" or old != new)


def conlleval(gold: Sequence[Sequence[str]], said: Sequence[Sequence[str]]) -> tuple[dict[str, float], Counter[str]]:
    """(precision, recall and F1 over all types; right phrases of each type)."""
    ours, theirs = (["O", *(tag for tags in each for tag in (*tags, "O"))] for each in (gold, said))
    right, of_gold, of_said, open_type = Counter[str](), 0, 0, ""
    for i in range(1, len(ours)):
        pairs = [(column[i - 1], column[i]) for column in (ours, theirs)]
        over = [ends(*pair) for pair in pairs]
        if open_type and any(over):
            right[open_type] += all(over)
            open_type = ""
        new = [begins(*pair) for pair in pairs]
        of_gold, of_said = of_gold + new[0], of_said + new[1]
        if all(new) and parted(ours[i])[1] == parted(theirs[i])[1]:
            open_type = parted(ours[i])[1]
    count = right.total()
    precision, recall = count / of_said if of_said else 0.0, count / of_gold if of_gold else 0.0
    f1 = 2 * precision * recall / (precision + recall) if count else 0.0
    return {"precision": precision, "recall": recall, "f1": f1}, right


def scored(gold: Sequence[Sequence[str]], said: Sequence[Sequence[str]]) -> tuple[dict[str, float], Counter[str]]:
    rows = Dataset.from_list([{"words": ["ta"] * len(tags), "tags": list(tags)} for tags in gold])
    labels = ("O", *(f"{letter}-{kind}" for kind in TYPES for letter in "BI"))
    found = EntityEvaluator(rows, labels, pico.make_tokenizer(), 64, "conlleval").scores(said)
    right = {row["type"]: round(row["recall"] * row["support"]) for row in found.details["types"]}
    return found.metrics, Counter(right)


@pytest.mark.parametrize("seed", range(6))
def test_scores_are_conllevals_whatever_the_tags(seed: int) -> None:
    draw = np.random.default_rng(seed)
    tags = ["O", *(f"{letter}-{kind}" for kind in TYPES for letter in "BI")]
    gold, said = [], []
    for _ in range(60):
        gold.append([str(tag) for tag in draw.choice(tags, draw.integers(1, 9))])
        said.append([tag if draw.random() < 0.7 else str(draw.choice(tags)) for tag in gold[-1]])
    metrics, right = scored(gold, said)
    wanted, wanted_right = conlleval(gold, said)
    assert metrics == pytest.approx(wanted)
    assert +right == +wanted_right
    assert 0.2 < metrics["f1"] < 0.9


@pytest.mark.parametrize("said", [["O", "O"], ["I-PER", "I-LOC"]])
@pytest.mark.parametrize("gold", [["O", "O"], ["I-PER", "I-PER"]])
def test_nothing_to_find_and_nothing_found_score_0(gold: list[str], said: list[str]) -> None:
    assert scored([gold], [said])[0] == conlleval([gold], [said])[0]


def tagged(spans: Sequence[tuple[str, int, int]], count: int, scheme: str) -> list[str]:
    """Tags of entities that do not overlap: (type, first word, word after the last), in their order."""
    tags, before = ["O"] * count, ("", -1)
    for kind, first, end in spans:
        letters = ["I"] * (end - first)
        if scheme != "iob1" or before == (kind, first):
            letters[0] = "B"
        if scheme == "bioes":
            letters[-1] = "S" if end - first == 1 else "E"
        tags[first:end] = [f"{letter}-{kind}" for letter in letters]
        before = (kind, end)
    return tags


def spans_of(draw: np.random.Generator, count: int) -> list[tuple[str, int, int]]:
    found, at = [], 0
    while at < count:
        if draw.random() < 0.4:
            end = min(count, at + int(draw.integers(1, 4)))
            found.append((str(draw.choice(TYPES)), at, end))
            at = end
        else:
            at += 1
    return found


@pytest.mark.parametrize("scheme", ["iob1", "iob2", "bioes"])
def test_a_file_in_any_scheme_scores_as_conlleval_scores_it_as_it_is(scheme: str, tmp_path: Path) -> None:
    draw = np.random.default_rng(3)
    spans = [(count, spans_of(draw, count)) for count in (int(n) for n in draw.integers(1, 12, 80))]
    gold = [tagged(own, count, scheme) for count, own in spans]
    said = [tagged(own if draw.random() < 0.5 else spans_of(draw, count), count, "iob2") for count, own in spans]
    (tmp_path / "x.txt").write_text("\n\n".join("\n".join(f"ta {tag}" for tag in tags) for tags in gold) + "\n")
    objective = NamedEntities(TaskOptions(scheme="conlleval"))
    rows = objective.read([str(tmp_path / "x.txt")])
    objective = objective.with_labels(objective.labels_in(rows))
    found = objective.evaluator(rows, pico.make_tokenizer(), 64, 0).scores(said).metrics
    assert found == pytest.approx(conlleval(gold, said)[0])


DATA = Path(os.environ.get("SFTKIT_DATA", "no-data")) / "data/ner"


@pytest.mark.parametrize("name", ["hau/test", "pcm/test", "swa/test"])
def test_real_files_score_as_conlleval_scores_them(name: str) -> None:
    path = DATA / f"{name}.txt"
    if not path.is_file():
        pytest.skip("SFTKIT_DATA names no folder with data/ner")
    objective, draw = NamedEntities(TaskOptions(scheme="conlleval")), np.random.default_rng(2)
    rows = objective.read([str(path)])
    labels = objective.labels_in(rows)
    gold = rows["tags"][:]
    said = [[tag if draw.random() < 0.8 else str(draw.choice(labels)) for tag in tags] for tags in gold]
    found = objective.with_labels(labels).evaluator(rows, pico.make_tokenizer(), 64, 0).scores(said).metrics
    assert found == pytest.approx(conlleval(gold, said)[0])
