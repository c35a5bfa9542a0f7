"""The demonstration: the whole method in miniature, on invented languages, with the functions that the commands use.

Makes a family of languages, pretrains a tiny BERT on some of them, learns language SFTs for the source and for a target
that the base has never seen, a tagging SFT on the source, composes, and scores on the target. Everything lands in one
folder. The settings are for tiny models; the recipe for real ones is in ``training.settings``.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sftkit.algebra.arithmetic import Weighted
from sftkit.composing.compose import compose
from sftkit.demo.folder import MARKER, prepare
from sftkit.demo.languages import Family, make_family, write_conllu, write_text
from sftkit.demo.pretrain import pretrain_base
from sftkit.evaluation.run import Scoring, evaluate
from sftkit.format.files import SftFile
from sftkit.format.writing import write
from sftkit.inspecting.overlap import OverlapReport, overlap
from sftkit.storage.atomic import atomic_file, named
from sftkit.training.engine.callbacks import ProgressCallback
from sftkit.training.lottery import learn
from sftkit.training.observer import Observer
from sftkit.training.settings import settings_for

#: What every SFT of the demonstration is learned with.
LR, BATCH_SIZE, MAX_LENGTH = 3e-3, 32, 32
_SCORING = Scoring("pos", max_length=64, device="cpu")
#: How many parts of the work are watched, one after the other.
PARTS = 5


@dataclass(frozen=True)
class DemoSettings:
    """Sizes: the defaults take about three minutes on two cores; ``quick`` shows that everything runs, and no more."""

    seed: int = 0
    sentences: int = 4000
    tagged: int = 1000
    test: int = 400
    pretraining_steps: int = 1400
    language_steps: int = 250
    task_steps: int = 60
    density: float = 0.10

    @staticmethod
    def quick(seed: int) -> DemoSettings:
        """A few steps of everything: the figures mean nothing."""
        return DemoSettings(seed, 200, 60, 40, 10, 6, 6)


def eval_every(steps: int) -> int:
    """Steps between evaluations in phases of so many."""
    return max(1, steps // 3)


@dataclass(frozen=True)
class Score:
    """Accuracy on the unseen language of a base with some SFTs, and its 95 % bootstrap interval."""

    what: str
    sfts: tuple[str, ...]
    accuracy: float
    interval: tuple[float, float]

    def document(self) -> dict[str, Any]:
        """For ``--json``, and for ``demo.json``."""
        return {
            "sfts": list(self.sfts), "what": self.what, "accuracy": self.accuracy, "interval": list(self.interval),
        }  # fmt: skip


@dataclass(frozen=True)
class DemoReport:
    """What the demonstration found.

    Attributes:
        folder: where everything lies.
        source, target: the names of the two languages.
        scores: accuracy on the target, as a share; the last is the lottery's.
        overlap: of the language SFTs and the task SFT.
        files: what was made, relative to the folder, with a few words each.
    """

    folder: Path
    source: str
    target: str
    scores: tuple[Score, ...]
    overlap: OverlapReport
    files: dict[str, str] = field(default_factory=dict)


#: Gives the observer of each part of the work, by its title.
Watch = Callable[[str], Observer]


def run_demo(folder: Path, settings: DemoSettings, watch: Watch, *, overwrite: bool = False) -> DemoReport:
    """Run the demonstration.

    Args:
        folder: where everything goes.
        settings: sizes.
        watch: gives the observer of each part.
        overwrite: replace what an earlier demonstration left there.

    Raises:
        OutputExistsError: if the folder holds something else, or ``overwrite`` was not given.
        OSError: if the disk is full, with a name.
    """
    with named(folder, folder):
        prepare(folder, overwrite=overwrite)
        demo = _Demo(folder, settings, watch, make_family(settings.seed))
        demo.write_settings()
        demo.write_data()
        demo.pretrain()
        demo.learn_sfts()
        report = demo.report()
        demo.write_settings(
            scores=[score.document() for score in report.scores], source=demo.source, target=demo.target
        )
        return report


class _Demo:
    """One demonstration's folder and languages."""

    def __init__(self, folder: Path, settings: DemoSettings, watch: Watch, family: Family) -> None:
        self.folder, self.settings, self.watch, self.family = folder, settings, watch, family
        self.source, self.target = family.source.name.lower(), family.target.name.lower()
        self.base = folder / "base"
        self.names = (self.source, self.target, f"{self.target}-random", "tagging")

    def text(self, language: str) -> Path:
        """A language's corpus."""
        return self.folder / f"text/{language}.txt"

    def sft(self, name: str) -> Path:
        """An SFT's file."""
        return self.folder / f"{name}.sft"

    def write_settings(self, **found: Any) -> None:
        """What this folder is, so that it is known again; and what was found in the end."""
        document = {"settings": vars(self.settings), "sfts": [self.sft(name).name for name in self.names], **found}
        with atomic_file(self.folder / MARKER, overwrite=True) as part:
            part.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")

    def write_data(self) -> None:
        """A corpus for every language, a treebank of the source, a test set of the target."""
        size, treebank = self.settings, self.folder / "treebank"
        (self.folder / "text").mkdir()
        treebank.mkdir()
        for language in self.family.languages:
            write_text(language.sample(size.sentences, seed=size.seed), self.text(language.name.lower()))
        source, target = self.family.source, self.family.target
        write_conllu(source.sample(size.tagged, seed=size.seed + 1_000_001), treebank / f"{self.source}-train.conllu")
        write_conllu(source.sample(size.test, seed=size.seed + 2_000_002), treebank / f"{self.source}-dev.conllu")
        write_conllu(target.sample(size.test, seed=size.seed + 3_000_003), treebank / f"{self.target}-test.conllu")

    def pretrain(self) -> None:
        """The base."""
        observer = self.watch("pretraining")
        observer.phase("base", self.settings.pretraining_steps)
        corpora = {language.name: self.text(language.name.lower()) for language in self.family.pretraining}
        pretrain_base(
            self.family,
            corpora,
            self.base,
            seed=self.settings.seed,
            steps=self.settings.pretraining_steps,
            callbacks=[ProgressCallback(observer)],
        )
        observer.done()

    def learn_sfts(self) -> None:
        """Two languages, the target once more under a random mask, and the task."""
        self._language(self.source, self.source, "lottery")
        self._language(self.target, self.target, "lottery")
        self._language(f"{self.target}-random", self.target, "random")
        treebank = self.folder / "treebank"
        self._learn(
            "tagging",
            "pos",
            treebank / f"{self.source}-train.conllu",
            steps=self.settings.task_steps,
            dev=(str(treebank / f"{self.source}-dev.conllu"),),
            source_sft=self.sft(self.source),
        )

    def _language(self, name: str, language: str, method: str) -> None:
        self._learn(name, "mlm", self.text(language), steps=self.settings.language_steps, method=method)

    def _learn(self, name: str, objective: str, data: Path, *, steps: int, **given: Any) -> None:
        settings = settings_for(
            objective,
            data=(str(data),),
            base=self.base,
            base_name="base",
            steps=steps,
            eval_every=eval_every(steps),
            density=self.settings.density,
            seed=self.settings.seed,
            lr=LR,
            batch_size=BATCH_SIZE,
            max_length=MAX_LENGTH,
            device="cpu",
            **given,
        )
        observer = self.watch(name)
        write(self.sft(name), learn(settings, observer).sft)

    def report(self) -> DemoReport:
        """Compose, score, compare."""
        target, task = self.target, "tagging"
        rows = (
            ("task SFT alone", (task,)),
            ("task SFT + language SFT, random mask", (task, f"{target}-random")),
            ("task SFT + language SFT, lottery", (task, target)),
        )
        scores = tuple(Score(what, sfts, *self._accuracy(sfts)) for what, sfts in rows)
        compose(self.base, self._weighted((task, target)), self.folder / "model", name="base")
        compared = overlap([self.sft(name) for name in self.names])
        return DemoReport(self.folder, self.source, target, scores, compared, self._files())

    def _weighted(self, names: tuple[str, ...]) -> list[Weighted]:
        return [Weighted(SftFile(self.sft(name)), 1.0, f"{name}.sft") for name in names]

    def _accuracy(self, names: tuple[str, ...]) -> tuple[float, tuple[float, float]]:
        test = self.folder / f"treebank/{self.target}-test.conllu"
        result = evaluate(_SCORING, (str(test),), self.base, self._weighted(names))
        low, high = result.intervals["accuracy"]
        return result.metrics["accuracy"], (low, high)

    def _files(self) -> dict[str, str]:
        return {
            "base/": f"a tiny BERT, pretrained on {', '.join(language.name for language in self.family.pretraining)}",
            "text/": "a corpus for each language",
            "treebank/": f"tagged sentences: {self.source} to learn from, {self.target} to be scored on",
            f"{self.source}.sft": "the source language",
            f"{self.target}.sft": "the unseen language",
            f"{self.target}-random.sft": "the same under a random mask",
            "tagging.sft": "the task, learned on the source language",
            "model/": f"base + tagging.sft + {self.target}.sft, for plain transformers",
        }
