"""Named entities and inference on real files, scored as seqeval, scikit-learn and plain counting score them.

Needs the data that $SFTKIT_DATA names; no model.
"""

from __future__ import annotations

import csv
import os
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from seqeval.metrics import classification_report
from seqeval.scheme import IOB2
from sklearn.metrics import accuracy_score, confusion_matrix, f1_score

from sftkit.tasks.ner import EntityEvaluator, NamedEntities
from sftkit.tasks.registry import objective_of
from sftkit.tasks.sequences import SequenceEvaluator
from tests.helpers import pico

DATA = Path(os.environ.get("SFTKIT_DATA", "no-data")) / "data"
pytestmark = pytest.mark.skipif(
    not (DATA / "ner").is_dir(), reason="SFTKIT_DATA names no folder with data/ner and data/nli"
)


@pytest.mark.parametrize("name", ["hau/dev", "hau/test", "pcm/dev", "pcm/test", "swa/dev", "swa/test"])
def test_entities_are_seqevals_and_those_of_a_plain_count(name: str) -> None:
    path = DATA / f"ner/{name}.txt"
    blocks = path.read_text(encoding="utf-8").split("\n\n")
    plain = [[line.split(" ")[1] for line in block.strip("\n").split("\n")] for block in blocks if block.strip("\n")]
    objective = NamedEntities()
    rows = objective.read([str(path)])
    gold = rows["tags"][:]
    assert gold == plain
    labels, draw = objective.labels_in(rows), np.random.default_rng(1)
    said = [[tag if draw.random() < 0.8 else str(draw.choice(labels)) for tag in tags] for tags in gold]
    found = EntityEvaluator(rows, labels, pico.make_tokenizer(), 64).scores(said)
    report = classification_report(gold, said, output_dict=True, mode="strict", scheme=IOB2, zero_division=0)
    assert found.metrics["f1"] == pytest.approx(report["micro avg"]["f1-score"])
    assert found.metrics["precision"] == pytest.approx(report["micro avg"]["precision"])
    assert found.metrics["recall"] == pytest.approx(report["micro avg"]["recall"])
    begun = Counter(tag[2:] for tags in plain for tag in tags if tag.startswith("B-"))
    assert {row["type"]: row["support"] for row in found.details["types"]} == begun


@pytest.mark.parametrize("name", ["aym.dev", "aym.test", "quy.dev", "quy.test"])
def test_labels_of_pairs_score_as_in_scikit_learn(name: str) -> None:
    path = DATA / f"nli/{name}.tsv"
    with path.open(encoding="utf-8", newline="") as file:
        plain = list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
    rows = objective_of("nli").read([str(path)])
    gold = rows["label"][:]
    assert (rows["texts"][:], gold) == ([[p["premise"], p["hypothesis"]] for p in plain], [p["label"] for p in plain])
    labels, draw = objective_of("nli").labels_in(rows), np.random.default_rng(1)
    said = [label if draw.random() < 0.5 else str(draw.choice(labels)) for label in gold]
    found = SequenceEvaluator(rows, labels, pico.make_tokenizer(), 64).scores(said)
    assert found.metrics == pytest.approx(
        {"accuracy": accuracy_score(gold, said), "macro_f1": f1_score(gold, said, average="macro")}
    )
    confusion = [[row[label] for label in labels] for row in found.details["confusion"]]
    assert confusion == confusion_matrix(gold, said, labels=labels).tolist()
