"""Methods of a sweep: ways to learn the SFTs of languages and tasks and to add them up, under a name.

A name that is known needs nothing more; others say in a table what is different. A method of another program is a
template of its command.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sftkit.errors import SettingsError
from sftkit.shown import brief
from sftkit.sweeps.options import Commands, check_named, dashed
from sftkit.sweeps.tables import Section, known, without
from sftkit.training.methods.registry import METHODS

#: Full fine-tuning, as an SFT that has every entry: one phase, and nothing frozen but the output matrix.
_FULL = {"method": "random", "density": (1.0,), "train-norms": True}
#: Methods that need no table: those of ``train``, and the two that the paper compares them with.
KNOWN: dict[str, dict[str, Any]] = {
    **{name: {} for name in METHODS if name != "mask"},
    "full": {"language": _FULL, "task": _FULL},
    "task-only": {"method": "lottery", "language-sft": False},
}
#: What an external method's command may ask for.
FIELDS = frozenset(
    ("program", "base", "objective", "data", "mlm", "source-mlm", "train", "dev", "test", "language", "source", "task",
     "size", "seed", "output", "language-output", "source-output", "task-output")
)  # fmt: skip


@dataclass(frozen=True)
class External:
    """Another program's method.

    Attributes:
        program: what has to be there, a file or a command on the path.
        command: scores a language; prints a JSON document with ``metrics``, and perhaps ``intervals``, ``k``,
            ``density`` and ``seconds``.
        language, task: commands that are run before, once for each language, and for each task and size; or "".
        sizes: what ``{size}`` is for the task, one after the other; for languages ``language_size``.
    """

    program: str
    command: str
    language: str
    task: str
    sizes: tuple[float, ...]
    language_size: float | None


@dataclass(frozen=True)
class SweepMethod:
    """A method.

    Attributes:
        name: in the results.
        language, task: options of ``train`` that are its own, ``method`` and ``density`` among them.
        evaluate, compose: options of scoring; of adding SFTs up, if not by a plain sum.
        source_sft: whether tasks are learned with the source language's SFT on.
        language_sft: whether the language's SFT is on when it is scored.
        language_weight, task_weight: what SFTs are multiplied by when they are added up.
        tasks: those that it is for; None for all.
        external: another program's.
    """

    name: str
    language: Mapping[str, Any] = field(default_factory=dict)
    task: Mapping[str, Any] = field(default_factory=dict)
    evaluate: Mapping[str, Any] = field(default_factory=dict)
    compose: Mapping[str, Any] = field(default_factory=dict)
    source_sft: bool = True
    language_sft: bool = True
    language_weight: float = 1.0
    task_weight: float = 1.0
    tasks: tuple[str, ...] | None = None
    external: External | None = None


def methods_in(values: object, commands: Commands, tasks: tuple[str, ...]) -> tuple[SweepMethod, ...]:
    """The methods of a list of known names, or of ``[methods.NAME]`` tables; the lottery if there is neither.

    Raises:
        SettingsError: if one is not known, or a key of its table.
    """
    if values is None:
        values = ["lottery"]
    if isinstance(values, list) and len(set(map(str, values))) == len(values) > 0:
        values = {known("methods", str(name), KNOWN): {} for name in values}
    if not isinstance(values, dict) or not values:
        raise SettingsError('methods: a list of different names, such as ["lottery", "random"], or tables.')
    return tuple(_method(name, table, commands, tasks) for name, table in values.items())


def _method(name: str, values: object, commands: Commands, tasks: tuple[str, ...]) -> SweepMethod:
    where = f"[methods.{name}]"
    given = Section(where, values)
    if given.left.keys() & {"program", "command"}:
        return SweepMethod(name, tasks=_tasks(given, where, tasks), external=_external(given, where))
    known_one = KNOWN.get(name, {})
    method = given.text("method") or known_one.get("method") or (name if name in METHODS else "lottery")
    known(where, method, METHODS)
    both = {"method": method}
    language = {**both, **known_one.get("language", {}), **_own(given, "language", commands)}
    task = {**both, **known_one.get("task", {}), **_own(given, "task", commands)}
    evaluate, compose = given.table("evaluate").rest(), given.table("compose").rest()
    check_named(f"{where} evaluate", evaluate, commands.evaluate)
    check_named(f"{where} compose", compose, commands.compose)
    made = SweepMethod(
        name, language, task, evaluate, compose,
        given.flag("source-sft", True),
        given.flag("language-sft", known_one.get("language-sft", True)),
        _weight(given, "language-weight"), _weight(given, "task-weight"), _tasks(given, where, tasks),
    )  # fmt: skip
    given.done()
    return made


def _own(given: Section, name: str, commands: Commands) -> dict[str, Any]:
    table = given.table(name)
    options = dashed(table.where, table.left)
    check_named(table.where, without(options, "density"), commands.train)
    if "density" in options:
        options["density"] = table.numbers("density")
    return options


def _weight(given: Section, name: str) -> float:
    weight = given.number(name, 1.0)
    return 1.0 if weight is None else weight


def _tasks(given: Section, where: str, tasks: tuple[str, ...]) -> tuple[str, ...] | None:
    named = given.texts("tasks")
    for name in named or ():
        known(f"{where} tasks", name, tasks)
    return named


def _external(given: Section, where: str) -> External:
    program, command = given.text("program"), given.text("command")
    if program is None or command is None:
        raise SettingsError(f"{where}: another program's method has both program = and command =.")
    made = External(
        program, command, given.text("language-command") or "", given.text("task-command") or "",
        given.numbers("sizes") or (1,), given.number("language-size"),
    )  # fmt: skip
    given.done()
    for text in (made.command, made.language, made.task):
        check_template(where, text)
    return made


def check_template(where: str, text: str) -> None:
    """Refuse a command that asks for what there is not.

    Raises:
        SettingsError: naming it.
    """
    from string import Formatter

    try:
        named = [(name, form or kind) for _, name, form, kind in Formatter().parse(text) if name is not None]
    except ValueError as error:
        raise SettingsError(f"{where}: {text}: {error}.") from None
    for name, more in named:
        known(f"{where}: {{{name}}} in a command", name, FIELDS)
        if more:
            raise SettingsError(f"{where}: {{{name}}} in a command takes nothing after its name, not {brief(more)}.")
