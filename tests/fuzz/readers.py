"""Readers of files: SFTs, safetensors, configs, indexes, data of every objective, the TOML of ``--config``."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import typer

from sftkit.checkpoints.checkpoint import Checkpoint
from sftkit.checkpoints.fingerprint import fingerprint
from sftkit.cli.app import built
from sftkit.composing.layout import BaseView
from sftkit.composing.record import Record
from sftkit.errors import SftkitError
from sftkit.format.files import read
from sftkit.inspecting.summary import summarise
from sftkit.sharing.card import card
from sftkit.storage.safefile import SafeReader
from sftkit.tasks.look import look_at
from sftkit.tasks.options import NO_OPTIONS
from sftkit.tasks.registry import objective_of
from tests.fuzz import seeds
from tests.fuzz.mutations import bytes_of
from tests.fuzz.trial import Tally

Change = Callable[[bytes, random.Random], bytes]


@dataclass(frozen=True)
class Target:
    """A reader, and what it is given.

    Attributes:
        file: the name of the file that is wrong.
        right: contents that are right.
        call: reads it, given its path.
        change: makes other contents of some.
        beside: what else stands in the folder, by its name.
    """

    file: str
    right: tuple[bytes, ...]
    call: Callable[[Path], Any]
    change: Change = bytes_of
    beside: Mapping[str, bytes] = field(default_factory=dict)

    def prepare(self, folder: Path) -> Path:
        """Put down what stands beside the file; gives the file's path."""
        for name, data in self.beside.items():
            (folder / name).write_bytes(data)
        return folder / self.file

    def mutants(self, count: int, seed: int) -> Iterator[tuple[str, bytes]]:
        """Contents that may be wrong, each with a name from which it can be made again."""
        for number in range(count):
            draw = random.Random(f"{seed}/{number}")
            yield f"{seed}/{number}", self.change(draw.choice(self.right), draw)

    def attempt(self, tally: Tally, path: Path, name: str, data: bytes) -> bool:
        """Let the reader have these contents, and count what comes of it; gives whether it was right."""
        path.write_bytes(data)
        return tally.attempt(name, lambda: self.call(path), len(data))


def _sft(path: Path) -> None:
    """Read whole, summed up, and made a card of."""
    read(path)
    card(summarise(path), "a/b", "x.sft").encode()


def _every_tensor(path: Path) -> None:
    reader = SafeReader(path)
    for name in reader:
        reader.read(name)


def _model(path: Path) -> None:
    """What is asked of a model directory without torch."""
    checkpoint = Checkpoint(path.parent)
    view = BaseView.of(checkpoint)
    for asked in (checkpoint.dtype, checkpoint.tied, checkpoint.copies, view.parameters, view.heads, view.family):
        repr(asked)
    fingerprint(checkpoint)


def _data(objective_name: str, path: Path) -> None:
    """As training and ``sftkit data`` read."""
    objective = objective_of(objective_name)
    rows = objective.read([str(path)])
    objective.with_labels(objective.labels_in(rows)).check_labels(rows, [str(path)])
    look_at(objective_name, {"train": [str(path)]}, NO_OPTIONS).document()


_TRAIN = built("train")


def _options(path: Path) -> None:
    """All options of ``train``, of which none is acted on."""
    try:
        _TRAIN.make_context("train", ["--mlm", "x", "-o", "y", "--base", "z", "--config", str(path)]).close()
    except typer.TyperException as error:
        raise SftkitError(error.format_message()) from None


def _json(document: object) -> bytes:
    return json.dumps(document).encode()


def _targets() -> Iterator[tuple[str, Target]]:
    yield "sft", Target("x.sft", (seeds.SFT,), _sft, seeds.sft_of)
    yield "safetensors", Target("x.safetensors", (seeds.SAFETENSORS,), _every_tensor, seeds.safetensors_of)
    for (config, _), weights in zip(seeds.CONFIGS, seeds.WEIGHTS, strict=True):
        beside = {"model.safetensors": weights}
        name = f"config.{config['model_type']}"
        yield name, Target("config.json", (_json(config),), _model, seeds.text_of, beside)
    beside = dict(zip(seeds.SHARDS, seeds.SHARD_BYTES, strict=True)) | {"config.json": _json(seeds.CONFIGS[0][0])}
    yield "index", Target("model.safetensors.index.json", (_json(seeds.INDEX),), _model, seeds.text_of, beside)
    yield "record", Target("sftkit.json", (_json(seeds.RECORD),), lambda path: Record.read(path.parent), seeds.text_of)
    for name, text in seeds.DATA.items():
        objective, ending = name.split(".")
        change = seeds.text_of if ending == "json" else bytes_of
        yield name, Target(f"x.{ending}", (text.encode(),), partial(_data, objective), change)
    yield "toml", Target("x.toml", (seeds.TOML.encode(),), _options)


TARGETS = dict(_targets())
