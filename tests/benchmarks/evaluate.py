"""Sentences a second of ``evaluate --pos`` beside a plain transformers loop with the same batch on the same tagger.

Run by hand: ``python -m tests.benchmarks.evaluate BASE TREEBANK.conllu [BATCH]``: a model directory that gets a random
tagger's head. Both read the file, tokenise, predict and score; neither loads the model in its time. Limit: 1.0 x.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch
from transformers import AutoModelForTokenClassification, AutoTokenizer

from sftkit.evaluation.run import Scorer, Scoring, judged
from sftkit.tasks.readers.conllu import UPOS, tagged_sentences
from sftkit.tasks.registry import objective_of

_RUNS = 5
_LENGTH = 256


def plain(folder: Path, data: str, batch_size: int) -> tuple[float, float]:
    """(seconds, accuracy) of the loop that one would write: batches in the file's order."""
    model = AutoModelForTokenClassification.from_pretrained(folder).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    begin, right, total = time.perf_counter(), 0, 0
    sentences = list(tagged_sentences(data))
    for start in range(0, len(sentences), batch_size):
        chosen = sentences[start : start + batch_size]
        batch = tokenizer(
            [words for words, _ in chosen], is_split_into_words=True, padding=True, truncation=True,
            max_length=_LENGTH, return_tensors="pt",
        )  # fmt: skip
        with torch.no_grad():
            best = model(**batch).logits.argmax(-1)
        for row, (_, tags) in enumerate(chosen):
            last = None
            for at, word in enumerate(batch.word_ids(row)):
                if word is not None and word != last:
                    right += UPOS[int(best[row, at])] == tags[word]
                    total += 1
                last = word
    return time.perf_counter() - begin, right / total


def ours(folder: Path, data: str, batch_size: int) -> tuple[float, float]:
    """(seconds, accuracy) of ``evaluate``, bootstrap intervals included."""
    scoring = Scoring("pos", batch_size=batch_size, max_length=_LENGTH, device="cpu")
    scorer = Scorer(scoring, folder)
    with scorer.stage.model(()):
        pass  # loads it
    begin, objective = time.perf_counter(), objective_of("pos")
    scores, _ = scorer.exam(objective, objective.read([data]), [data]).score(())
    return time.perf_counter() - begin, judged(scoring, [data], scores).metrics["accuracy"]


def main(base: Path, data: str, batch_size: int) -> None:
    """Measure both in turns, print sentences a second and the ratio."""
    labels = {"id2label": dict(enumerate(UPOS)), "label2id": {tag: i for i, tag in enumerate(UPOS)}}
    sentences = len(list(tagged_sentences(data)))
    with tempfile.TemporaryDirectory() as folder:
        torch.manual_seed(0)
        AutoModelForTokenClassification.from_pretrained(base, **labels).save_pretrained(folder)
        AutoTokenizer.from_pretrained(base).save_pretrained(folder)
        variants: tuple[Callable[[Path, str, int], tuple[float, float]], ...] = (plain, ours)
        runs = [[variant(Path(folder), data, batch_size) for variant in variants] for _ in range(_RUNS)]
    speeds = [sentences / statistics.median(run[i][0] for run in runs) for i in (0, 1)]
    print(f"plain loop {speeds[0]:7.1f} sentences/s, accuracy {runs[0][0][1]:.4f}")
    print(f"evaluate   {speeds[1]:7.1f} sentences/s, accuracy {runs[0][1][1]:.4f}; {speeds[1] / speeds[0]:.2f} x")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], int((sys.argv[3:4] or ["32"])[0]))
