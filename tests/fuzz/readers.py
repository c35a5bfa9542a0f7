"""Readers of files: SFTs, safetensors, data of every objective, the TOML of ``--config``."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from sftkit.errors import SftkitError
from sftkit.format.files import read
from sftkit.inspecting.summary import summarise
from sftkit.sharing.card import card
from sftkit.storage.safefile import SafeReader
from sftkit.tasks.registry import objective_of
from tests.cli.run import sftkit
from tests.conftest import treebank_text
from tests.format.raw import document, file_bytes, tensors
from tests.fuzz.mutations import bytes_of, json_of

Inputs = Iterator[tuple[str, Callable[[], Any]]]

_TRAINING = {
    "steps": {"phase1": 2, "phase2": 2}, "best": {"step": 2, "metric": "loss", "value": 1.5}, "lr": 5e-5,
    "start": {"metric": "loss", "value": 3.5}, "history": {"phase1": [[1, 2.5]], "phase2": [[1, 2.5], [2, 1.5]]},
    "losses": {"phase1": [[1, 2.5]]}, "data": [{"name": "x.txt", "xxh3_128": "0" * 32}], "seed": 42,
    "sources": [{"name": "wo", "data": {"name": "x"}, "sft": {"name": "y", "xxh3_128": "1" * 32}}],
}  # fmt: skip
_SFT = document(
    labels=["A", "B"], head="BertForTokenClassification", objective="pos", training=_TRAINING, density=0.1,
    trained_with=["1" * 32], parents=[{"name": "a.sft", "weight": 1.0, "digest": "0" * 32}],
    tied_embeddings={"input": "embeddings.word_embeddings.weight", "output": "cls.predictions.decoder.weight"},
)  # fmt: skip
_ARRAYS = tensors() | {"head/classifier.weight": np.ones((2, 4), np.float32), "head/classifier.bias": np.ones(2)}
_SQUAD = (
    '{"version": "1.1", "data": [{"title": "t", "paragraphs": [{"context": "ta mi lo", "qas": [{"id": "1", '
    '"question": "mi?", "answers": [{"text": "mi", "answer_start": 3}]}, {"id": "2", "question": "lo?", '
    '"answers": [{"text": "lo", "answer_start": 6}]}]}]}]}'
)
_SEEDS = {
    "mlm": (".txt", "ta mi lo\nka su ra\n" * 4),
    "pos": (".conllu", treebank_text(3)),
    "dep": (".conllu", treebank_text(3)),
    "ner": (".txt", "ta B-PER\nmi I-PER\nlo O\n\nka O\nsu B-LOC\n\n"),
    "nli": (".tsv", "premise\thypothesis\tlabel\nta\tmi\tx\nlo\tka\ty\n"),
    "classify": (".jsonl", '{"text": "ta mi", "label": "x"}\n{"text": "lo", "label": "y"}\n'),
    "qa": (".json", _SQUAD),
}
_PAIRS = '{"premise": "a", "hypothesis": "b", "label": 1}\n{"premise": "c", "hypothesis": "d", "label": 0}\n'
_MORE = {"classify": (".csv", 'text,label\n"ta, mi",x\nlo,y\n'), "nli": (".jsonl", _PAIRS)}
_TOML = 'k = 20\nsteps = 2\nlr = 5e-5\ndensity = [0.1, 0.2]\nfreeze = ["^x"]\nquiet = true\nprecision = "f32"\n'


def sfts(count: int, seed: int, folder: Path) -> Inputs:
    """Mutated ``.sft`` files: read whole, summed up, and made a card of."""
    path, right = folder / "x.sft", file_bytes(_ARRAYS, _SFT)
    for number in range(count):
        draw = random.Random(f"{seed}/{number}")
        if draw.random() < 0.5:
            data = bytes_of(right, draw)
        else:
            data = file_bytes(_ARRAYS, json_of(_SFT, draw).decode("utf-8", "surrogatepass"))
        path.write_bytes(data)
        yield f"{seed}/{number}", lambda: (read(path), card(summarise(path), "a/b", "x.sft").encode())


def safetensors(count: int, seed: int, folder: Path) -> Inputs:
    """Mutated safetensors files, every tensor read."""
    path, right = folder / "x.safetensors", file_bytes(_ARRAYS, "{}")

    def everything() -> None:
        reader = SafeReader(path)
        for name in reader:
            reader.read(name)

    for number in range(count):
        path.write_bytes(bytes_of(right, random.Random(f"{seed}/{number}")))
        yield f"{seed}/{number}", everything


def data(count: int, seed: int, folder: Path) -> Inputs:
    """Mutated data files of every objective."""
    seeds = [(name, *each) for table in (_SEEDS, _MORE) for name, each in table.items()]
    for number in range(count):
        draw = random.Random(f"{seed}/{number}")
        name, ending, text = draw.choice(seeds)
        path = folder / f"x{ending}"
        path.write_bytes(bytes_of(text.encode(), draw))
        yield f"{seed}/{number} {name}{ending}", partial(_all_of, name, path)


def _all_of(name: str, path: Path) -> None:
    objective = objective_of(name)
    rows = objective.read([str(path)])
    labels = objective.labels_in(rows)
    objective.with_labels(labels).check_labels(rows, [str(path)])


def toml(count: int, seed: int, folder: Path) -> Inputs:
    """Mutated files of ``--config``, of which all options are read and no training begins."""
    path, nothing = folder / "x.toml", folder / "none.txt"

    def options() -> None:
        done = sftkit("train", "--mlm", nothing, "--base", folder, "--config", path)
        if done.status not in (1, 2) or "internal error" in done.stderr:
            raise AssertionError(done.stderr)
        raise SftkitError("refused")

    for number in range(count):
        path.write_bytes(bytes_of(_TOML.encode(), random.Random(f"{seed}/{number}")))
        yield f"{seed}/{number}", options
