"""An invented world to experiment in: a base, and corpora, treebanks and entities of any number of related languages.

Nothing is fine-tuned here. The base has seen half of the languages, at most `MOST_SEEN`; the others are for transfer.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from sftkit.demo.descent import Branch, grow, newick, relatedness
from sftkit.demo.languages import Family, Language, write_conllu, write_entities, write_text
from sftkit.errors import OutputExistsError
from sftkit.storage.atomic import atomic_directory, check_output
from sftkit.storage.documents import read_object
from sftkit.storage.places import check_replaceable, is_litter
from sftkit.training.observer import Observer

MARKER = "world.json"
MOST_SEEN = 8
SPLITS = ("train", "dev", "test")
#: Seconds, measured on two cores: to begin, a sentence, a step of pretraining.
_START, _SENTENCE, _STEP = 5.0, 6e-5, 0.03
#: Bytes that a sentence takes in the corpus, and in a treebank and a file of entities together; and that a base takes.
_TEXT, _LABELLED, _BASE = 32, 290, 1.1e6


@dataclass(frozen=True)
class WorldSettings:
    """Sizes; `quick` makes a world in which nothing can be learned, in seconds.

    Attributes:
        languages: how many.
        seed: another makes another family.
        sentences: of plain text, a language.
        train, dev, test: labelled sentences, a language.
        steps_per_language, least_steps: steps of pretraining for each language that the base sees, and at least.
    """

    languages: int = 8
    seed: int = 0
    sentences: int = 4000
    train: int = 1000
    dev: int = 200
    test: int = 400
    steps_per_language: int = 350
    least_steps: int = 1400

    @staticmethod
    def quick(languages: int, seed: int) -> WorldSettings:
        """A few sentences, a few steps."""
        return WorldSettings(languages, seed, 200, 60, 20, 40, 1, 10)

    @property
    def seen(self) -> int:
        """How many languages the base sees, the source among them."""
        return min(MOST_SEEN, (self.languages + 1) // 2)

    @property
    def steps(self) -> int:
        """Steps of pretraining."""
        return max(self.least_steps, self.steps_per_language * self.seen)

    @property
    def seconds(self) -> float:
        """About how long writing it takes on two idle cores."""
        return _START + self.languages * self.sentences * _SENTENCE + self.steps * _STEP

    @property
    def bytes(self) -> int:
        """About how large the world is."""
        labelled = self.train + self.dev + self.test
        return int(_BASE + self.languages * (_TEXT * self.sentences + _LABELLED * labelled))


@dataclass(frozen=True)
class InventedWorld:
    """A family with the parts that its languages play.

    Attributes:
        settings: sizes.
        tree: the family.
        source: the language of the labelled data to learn from.
        seen: what the base is pretrained on; the source is first.
    """

    settings: WorldSettings
    tree: Branch
    source: Language
    seen: tuple[Language, ...]

    @cached_property
    def languages(self) -> tuple[Language, ...]:
        """All of them, sisters beside each other."""
        return tuple(self.tree.living())

    def document(self) -> dict[str, Any]:
        """What ``world.json`` says."""
        related, seen = relatedness(self.tree), [language.name for language in self.seen]
        names = [language.name for language in self.languages]
        return {
            "settings": asdict(self.settings) | {"steps": self.settings.steps},
            "source": self.source.name,
            "seen": seen,
            "unseen": [name for name in names if name not in seen],
            "languages": names,
            "relatedness": [[round(related[first, second], 4) for second in names] for first in names],
            "newick": newick(self.tree),
            "tree": _nested(self.tree),
        }


def invent(settings: WorldSettings) -> InventedWorld:
    """The world of some settings; nothing is written."""
    tree = grow(settings.languages, settings.seed)
    rng = random.Random(f"{settings.languages} languages, {settings.seed}: seen")
    seen = tuple(rng.sample(list(tree.living()), settings.seen))
    return InventedWorld(settings, tree, seen[0], seen)


def check_world(path: Path, *, overwrite: bool) -> None:
    """Refuse early a place where the world cannot be written.

    Raises:
        OutputExistsError: if it exists and may not be replaced, or is something else than a world.
    """
    check_output(path, overwrite=overwrite, directory=True, replaceable=_check_is_world)


def write_world(path: Path, world: InventedWorld, observer: Observer, *, overwrite: bool = False) -> dict[str, Any]:
    """Write a world, whole or not at all.

    Args:
        path: its folder: ``world.json``, ``base/``, ``mlm/LANGUAGE.txt``, ``ud/LANGUAGE/SPLIT.conllu``,
            ``ner/LANGUAGE/SPLIT.conll``.
        world: as invented.
        observer: is told of the pretraining.
        overwrite: replace a world that is there.

    Returns:
        What ``world.json`` says.

    Raises:
        OutputExistsError: as :func:`check_world`.
    """
    with atomic_directory(path, overwrite=overwrite, replaceable=_check_is_world) as folder:
        observer.loading("sentences")
        for language in world.languages:
            _write_language(language, folder, world.settings)
        _pretrain(world, folder, observer)
        document = world.document()
        lines = ",\n".join(f"  {json.dumps(key)}: {json.dumps(value)}" for key, value in document.items())
        (folder / MARKER).write_text(f"{{\n{lines}\n}}\n", encoding="utf-8")
    return document


def _write_language(language: Language, folder: Path, settings: WorldSettings) -> None:
    for name in ("mlm", f"ud/{language.name}", f"ner/{language.name}"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    write_text(language.sample(settings.sentences, seed=settings.seed), folder / f"mlm/{language.name}.txt")
    for number, (split, size) in enumerate(zip(SPLITS, _sizes(settings), strict=True), start=1):
        sentences = language.sample(size, seed=settings.seed + number * 1_000_001)  # other sentences in each
        write_conllu(sentences, folder / f"ud/{language.name}/{split}.conllu")
        write_entities(sentences, folder / f"ner/{language.name}/{split}.conll")


def _sizes(settings: WorldSettings) -> tuple[int, int, int]:
    return settings.train, settings.dev, settings.test


def _pretrain(world: InventedWorld, folder: Path, observer: Observer) -> None:
    from sftkit.demo.pretrain import pretrain_base  # torch
    from sftkit.training.engine.callbacks import ProgressCallback

    settings = world.settings
    observer.phase("base", settings.steps)
    unseen = next(language for language in world.languages if language not in world.seen)
    pretrain_base(
        Family(world.seen, world.source, unseen),
        {language.name: folder / f"mlm/{language.name}.txt" for language in world.seen},
        folder / "base",
        seed=settings.seed,
        steps=settings.steps,
        callbacks=[ProgressCallback(observer)],
    )
    observer.done()


def _nested(node: Branch) -> dict[str, Any]:
    name: dict[str, Any] = {"name": node.language.name} if node.language else {}
    children = {"children": [_nested(child) for child in node.children]} if node.children else {}
    return name | {"time": round(node.time, 4), "changes": list(node.changes)} | children


def _check_is_world(path: Path, final: Path) -> None:
    """Refuse to replace a folder that holds anything else than a world."""
    try:
        names = [str(name) for name in read_object(final / MARKER)["languages"]]
    except Exception:  # whatever is wrong with it, it is no world
        raise OutputExistsError(f"{path} holds no world, so it is not replaced. Choose another name.") from None
    own = {MARKER, *(name for language in names for name in files(language))}
    check_replaceable(path / "base", final / "base")
    for entry in sorted(final.rglob("*")):
        name = entry.relative_to(final).as_posix()
        if not (entry.is_dir() or is_litter(entry) or name in own or name.startswith("base/")):
            raise OutputExistsError(f"{path} also holds {name}, which is no part of a world. Move it away.")


def files(language: str) -> Iterator[str]:
    """A language's files, as they are called in the world's folder."""
    yield f"mlm/{language}.txt"
    for split in SPLITS:
        yield f"ud/{language}/{split}.conllu"
        yield f"ner/{language}/{split}.conll"
