"""What a sweep's file says: languages, tasks, methods, densities and seeds. Nothing is looked for on the disk here.

Names of files are those that a command would be given in the same folder. ``{}`` in them stands for a language,
``{seed}`` for the seed, ``{world}`` for the invented world of the seed, if the file asks for one.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sftkit.errors import SettingsError
from sftkit.evaluation.misspelt import check_marks
from sftkit.format.metadata import LANGUAGE_OBJECTIVES, TASK_OBJECTIVES
from sftkit.shown import brief, meant
from sftkit.sweeps.costs import Costs, costs_in
from sftkit.sweeps.methods import SweepMethod, methods_in
from sftkit.sweeps.options import Commands, check_named, dashed
from sftkit.sweeps.tables import Section, unfit, without

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

#: What a world's languages may be called together.
GROUPS = ("unseen", "seen", "all")
#: What stands at the top of a file: values and tables.
_KEYS = (
    "base", "source", "languages", "seeds", "device", "world", "language", "task", "tasks", "methods", "evaluate",
    "resources", "cost",
)  # fmt: skip
_MOST_BYTES = 1 << 20


@dataclass(frozen=True)
class Corpora:
    """What languages are learned from: ``[language]``.

    Attributes:
        objective: "mlm" or "clm".
        data, dev: names of files; dev may be "".
        options: of ``train``, density among them.
    """

    objective: str
    data: str
    dev: str
    options: Mapping[str, Any]


@dataclass(frozen=True)
class Task:
    """A task: ``[tasks.NAME]``.

    Attributes:
        name: in the results.
        objective: one of ``TASK_OBJECTIVES``.
        base, source: model, and language of the labelled data to learn from.
        languages: to be scored; None: the sweep's.
        train, dev, test: names of files; dev may be "".
        options: of ``train``, density among them.
    """

    name: str
    objective: str
    base: str
    source: str
    languages: tuple[str, ...] | None
    train: str
    dev: str
    test: str
    options: Mapping[str, Any]


@dataclass(frozen=True)
class WorldTable:
    """An invented world for each seed, or one: ``[world]``.

    Attributes:
        languages: how many it has.
        seed: of the world; None: the sweep's seeds, a world each.
        quick: of ``sftkit demo``.
        scored: at most so many languages of the group that the sweep names; None: all of them.
    """

    languages: int
    seed: int | None
    quick: bool
    scored: int | None = None


@dataclass(frozen=True)
class Resources:
    """What a cell takes: threads, memory in MB, GPUs."""

    threads: int = 1
    memory: int | None = None
    gpu: int = 0


@dataclass(frozen=True)
class Sweep:
    """A sweep's file.

    Attributes:
        name: the file's, without its ending.
        languages: names, or one of ``GROUPS``.
        seeds: one or more.
        corpora, tasks, methods: what is crossed.
        evaluate: options of every scoring.
        device: of every cell; "" for the commands' own choice.
        world: if there is one.
        resources: of every cell.
        costs: what the file says that cells take.
    """

    name: str
    languages: tuple[str, ...] | str
    seeds: tuple[int, ...]
    corpora: Corpora
    tasks: tuple[Task, ...]
    methods: tuple[SweepMethod, ...]
    evaluate: Mapping[str, Any] = field(default_factory=dict)
    device: str = ""
    world: WorldTable | None = None
    resources: Resources = Resources()
    costs: Costs = field(default_factory=Costs)


def read_sweep(path: Path, commands: Commands) -> Sweep:
    """Read a file and see that all in it is known and of its kind.

    Raises:
        SettingsError: in one line, naming the file, the key, and the one that is probably meant.
        OSError: if it cannot be read.
    """
    with path.open("rb") as file:
        content = file.read(_MOST_BYTES + 1)
    try:
        if len(content) > _MOST_BYTES:
            raise SettingsError(f"more than {_MOST_BYTES:,} bytes, which no sweep has.")
        values = tomllib.loads(content.decode("utf-8-sig"))
        if wrong := unfit(values):
            raise SettingsError(f"{wrong} stands in it, which nothing takes. Leave it out.")
        return _sweep(path.stem, values, commands)
    except (ValueError, RecursionError) as error:
        raise SettingsError(f"{path}: no TOML that can be read ({brief(str(error), 200)}).") from None
    except SettingsError as error:
        raise SettingsError(f"{path}: {error}", path=str(path)) from None


def _sweep(name: str, values: dict[str, Any], commands: Commands) -> Sweep:
    try:
        return _read(name, values, commands)
    except SettingsError as error:  # what is missing may be there under a misspelt name
        key = next((key for key in values if key not in _KEYS), None)
        if key is None or str(error).startswith("the file"):
            raise
        raise SettingsError(f"{error} At the top there is no {brief(key, 60)}.{meant(key, _KEYS)}") from None


def _read(name: str, values: dict[str, Any], commands: Commands) -> Sweep:
    top = Section("the file", values)
    world = _world(top.table("world")) if "world" in values else None
    base, source = top.text("base"), top.text("source")
    if world is not None:
        base, source = base or "{world}/base", source or "{source}"
    common = _options(top.table("task").rest(), "[task]", commands)
    tasks = top.table("tasks").rest()
    made = Sweep(
        name,
        _languages(top, world),
        top.wholes("seeds") or (0,),
        _corpora(top.table("language"), world, commands),
        tuple(_task(each, table, (base, source), common, commands) for each, table in tasks.items()),
        methods_in(top.left.pop("methods", None), commands, tuple(tasks)),
        top.table("evaluate").rest(),
        top.text("device") or "",
        world,
        _resources(top.table("resources")),
        costs_in(top.table("cost")),
    )
    top.table("methods")
    top.done()
    if not made.tasks:
        raise SettingsError("there is no task. Name one: [tasks.pos] with train = and test =.")
    check_named("[evaluate]", made.evaluate, commands.evaluate)
    _check_seeds(made)
    return made


def _world(table: Section) -> WorldTable:
    counts = table.whole("languages", 8) or 0, table.whole("seed")
    made = WorldTable(*counts, table.flag("quick", False), table.whole("scored"))
    table.done()
    if made.languages < 2:
        raise SettingsError("[world] languages: a world has at least 2.")
    if made.scored is not None and made.scored < 1:
        raise SettingsError("[world] scored: at least one language.")
    return made


def _languages(top: Section, world: WorldTable | None) -> tuple[str, ...] | str:
    if isinstance(top.left.get("languages", "" if world else ()), str):
        group = top.text("languages") or ("unseen" if world else None)
        if world is not None and group in GROUPS:
            return group
        raise SettingsError('languages: name them in a list, such as ["mt", "wo"].' if world is None else
                            f"languages: a list, or one of {', '.join(GROUPS)}.")  # fmt: skip
    return top.texts("languages") or ()


def _corpora(table: Section, world: WorldTable | None, commands: Commands) -> Corpora:
    named = [(each, text) for each in LANGUAGE_OBJECTIVES if (text := table.text(each))]
    if not named and world is not None:
        named = [("mlm", "{world}/mlm/{}.txt")]
    if len(named) != 1:
        raise SettingsError('[language] mlm = "text/{}.txt" (or clm) says where the text of each language is.')
    objective, data = named[0]
    _check_marked(f"[language] {objective}", data)
    return Corpora(objective, data, table.text("dev") or "", _options(table.rest(), "[language]", commands))


def _task(
    name: str, values: object, default: tuple[str | None, str | None], common: Mapping[str, Any], commands: Commands
) -> Task:
    where = f"[tasks.{name}]"
    table = Section(where, values)
    objective = table.text("objective") or name
    if objective not in TASK_OBJECTIVES:
        raise SettingsError(f"{where}: objective is one of {', '.join(TASK_OBJECTIVES)}.")
    base, source = table.text("base") or default[0], table.text("source") or default[1]
    train, test = table.text("train"), table.text("test")
    for key, value in (("base", base), ("source", source), ("train", train), ("test", test)):
        if value is None:
            raise SettingsError(f"{where}: {key} is missing.")
    assert base
    assert source
    assert train
    assert test
    _check_marked(f"{where} test", test)
    own = (table.texts("languages"), train, table.text("dev") or "", test)
    return Task(name, objective, base, source, *own, {**common, **_options(table.rest(), where, commands)})


def _options(table: dict[str, Any], where: str, commands: Commands) -> dict[str, Any]:
    """Options of training, their names with dashes; densities are a tuple."""
    table = dashed(where, table)
    if "method" in table:
        raise SettingsError(f'{where} method: methods stand at the top, methods = ["lottery"], or in [methods.NAME].')
    check_named(where, without(table, "density"), commands.train)
    if "density" in table:
        table["density"] = Section(where, {"density": table["density"]}).numbers("density")
        if any(density > 1 for density in table["density"]):
            raise SettingsError(f"{where} density: a share of the backbone, from 0 to 1.")
    return table


def _resources(table: Section) -> Resources:
    memory = table.text("memory")
    made = Resources(table.whole("threads", 1) or 1, _megabytes(memory) if memory else None, table.whole("gpu", 0) or 0)
    table.done()
    return made


def _megabytes(text: str) -> int:
    number, _, unit = text.strip().partition(" ")
    try:
        return max(1, round(float(number) * {"MB": 1, "GB": 1000, "TB": 1e6}[unit.strip().upper()]))
    except (ValueError, KeyError, OverflowError):
        raise SettingsError(f'[resources] memory = "{text}": write it as "8 GB".') from None


def _check_marked(where: str, name: str) -> None:
    if "{}" not in name:
        raise SettingsError(f"{where} = {brief(repr(name), 80)}: {{}} has to stand in the place of the language.")


def _check_seeds(made: Sweep) -> None:
    """Names of files speak of a world only if there is one."""
    named = [made.corpora.data, *(text for task in made.tasks for text in (task.base, task.train, task.test))]
    devs = [made.corpora.dev, *(task.dev for task in made.tasks)]
    check_marks([*named, *devs], ("{}", "{seed}", "{world}"))
    if made.world is None and any("{world}" in text for text in named):
        raise SettingsError("{world} in a file's name: the sweep has no [world].")
