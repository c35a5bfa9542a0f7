"""A composed model in transformers' own pipelines says what ``sftkit predict`` says.

Of taggers that holds where the tokenizer is BERT's. With others the pipeline guesses from spaces where words begin: it
takes what follows a piece that is a space alone for a word of its own, and such words are not among those here.
"""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest
from transformers import pipeline

from tests.cli.run import sftkit, train
from tests.helpers import pico
from tests.modeling.test_prefix_space import save

WORDS = ["ta", "mi", "tami", "dami", "dadada"]  # each begins with a piece that has a letter
TAGS = {"ta": "B-PER", "tami": "B-LOC", "mi": "I-PER", "dami": "I-LOC"}


def _sentences(count: int, seed: int = 0) -> list[list[str]]:
    drawn = random.Random(seed)
    return [drawn.choices(WORDS, k=drawn.randint(1, 9)) for _ in range(count)]


def _composed(kind: str, objective: str, text: str, folder: Path) -> Path:
    """A model of an objective, learned well enough to have an opinion, with a tokenizer of a kind."""
    base = pico.save_base(folder / "base", vocab_size=300)
    if kind != "BERT":
        save(kind, base)
    (folder / "x.txt").write_text(text)
    given = (f"--{objective}", folder / "x.txt", "--base", base, "-o", folder / "x.sft", "--lr", "0.05")
    done = train(*given, "--steps", 10)
    assert done.status == 0, done.stderr
    done = sftkit("compose", base, folder / "x.sft", "-o", folder / "model")
    assert done.status == 0, done.stderr
    return folder / "model"


def _predicted(model: Path, objective: str, text: str, folder: Path) -> list[dict[str, Any]]:
    (folder / "y.txt").write_text(text)
    done = sftkit("predict", model, f"--{objective}", folder / "y.txt", "--jsonl", "--device", "cpu")
    assert done.status == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def _entities(words: list[str], tags: list[str]) -> list[tuple[str, int, int]]:
    """(type, first character, the one after the last) of runs of a type, as the pipeline has them."""
    found: list[tuple[str, int, int]] = []
    start, last = 0, "O"
    for word, tag in zip(words, tags, strict=True):
        if tag != "O":
            goes_on = tag[0] == "I" and last == tag[2:]
            begin = found.pop()[1] if goes_on else start
            found.append((tag[2:], begin, start + len(word)))
        start, last = start + len(word) + 1, tag[2:] or "O"
    return found


@pytest.mark.filterwarnings("ignore:Tokenizer does not support real words")  # spaces part them in the data, too
@pytest.mark.parametrize("kind", ["BERT", "XLM-R, T5"])
def test_words_get_the_entities_that_predict_finds(kind: str, tmp_path: Path) -> None:
    tagged = "\n\n".join("\n".join(f"{w} {TAGS.get(w, 'O')}" for w in words) for words in _sentences(40))
    model = _composed(kind, "ner", tagged, tmp_path)
    more = ["lotasu", ".", ",", "ka"] if kind == "BERT" else []
    texts = [" ".join([*words, *more]) for words in _sentences(30, seed=1)]
    said = _predicted(model, "ner", "\n".join(texts) + "\n", tmp_path)
    label: Any = pipeline("token-classification", str(model), aggregation_strategy="first", device="cpu")
    found = [
        # other tokenizers count the space before a word as its own
        [
            (each["entity_group"], each["end"] - len(text[each["start"] : each["end"]].strip()), each["end"])
            for each in label(text)
        ]
        for text in texts
    ]
    assert any(found)
    assert found == [_entities(each["words"], each["labels"]) for each in said]


@pytest.mark.parametrize("pair", [False, True], ids=["classify", "nli"])
def test_texts_get_the_labels_that_predict_finds(pair: bool, tmp_path: Path) -> None:
    objective, header = ("nli", "premise\thypothesis\tlabel") if pair else ("classify", "text\tlabel")
    texts = [[" ".join(words) for words in _sentences(1 + pair, seed)] for seed in range(30)]
    rows = ["\t".join([*row, "a" if row[0].startswith("ta") else "b"]) for row in texts]
    model = _composed("BERT", objective, "\n".join([header, *rows]) + "\n", tmp_path)
    said = _predicted(model, objective, "\n".join([header, *rows]) + "\n", tmp_path)
    label: Any = pipeline("text-classification", str(model), device="cpu")
    given = [{"text": row[0], "text_pair": row[1]} if pair else row[0] for row in texts]
    found = label(given)
    assert [each["label"] for each in found] == [each["labels"][0] for each in said]
    assert [each["score"] for each in found] == pytest.approx([each["scores"][0] for each in said], abs=1e-5)
