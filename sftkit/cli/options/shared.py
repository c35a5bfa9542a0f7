"""Options that several commands share, and what they mean together."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer

from sftkit.cli.options.declared import Given, choice
from sftkit.declared import BASE, DATA, OUTPUT
from sftkit.errors import SettingsError
from sftkit.shown import brief, meant
from sftkit.storage.nearby import did_you_mean
from sftkit.storage.places import at_home
from sftkit.tasks.options import FILES, TaskOptions, check_options, check_streams, names_about

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

_LOOKED_AT = 1 << 16  # bytes of a file of which it is not said what for

Sources = Annotated[
    list[str] | None,
    typer.Option(
        "--source",
        metavar="NAME=LANG.sft:FILE",
        help="One of several source languages: its SFT is on while its batches are learned.",
        rich_help_panel=BASE,
    ),
]
ObjectiveName = Annotated[
    str | None,
    choice(
        "--objective", known=tuple(FILES), metavar="pos|dep|…", help="What --source files are for, if they are all.",
        rich_help_panel=DATA,
    ),
]  # fmt: skip
Json = Annotated[
    bool,
    typer.Option("--json", help="Print one JSON document and nothing else to standard output.", rich_help_panel=OUTPUT),
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress and no remarks.", rich_help_panel=OUTPUT)]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace an existing output.", rich_help_panel=OUTPUT)]
Force = Annotated[
    bool,
    typer.Option(
        "--force",
        help="Go on where a fingerprint says that an SFT belongs to another base.",
        rich_help_panel=BASE,
    ),
]
Values = Annotated[
    str,
    choice("--values", known=("f32", "bf16", "f16"), help="How an SFT's values are stored.", rich_help_panel=OUTPUT),
]
Model = Annotated[str, typer.Argument(metavar="MODEL", help="A model, or the base that the SFTs are added to.")]
Sfts = Annotated[list[str] | None, typer.Argument(metavar="[X.sft[:WEIGHT]]…", help="SFTs to add, in memory.")]


#: Of a file of options.
_MOST_BYTES = 1 << 20


def _read_config(ctx: typer.Context, path: Path | None) -> Path | None:
    """Make a TOML file's values the defaults of the command's options.

    Raises:
        typer.BadParameter: if it cannot be read, or names an option that there is not.
    """
    if path is None:
        return None
    path = at_home(path)
    try:
        with path.open("rb") as file:
            text = file.read(_MOST_BYTES + 1)
        if len(text) > _MOST_BYTES:
            raise ValueError(f"more than {_MOST_BYTES:,} bytes, which no file of options has")
        values = tomllib.loads(text.decode())
    except OSError as error:
        raise typer.BadParameter(f"{path}: {error.strerror}.{did_you_mean(path)}") from None
    except (ValueError, RecursionError) as error:
        raise typer.BadParameter(f"{path}: no TOML that can be read ({brief(str(error), 200)}).") from None
    known = {option.removeprefix("--"): each for each in ctx.command.params for option in each.opts}
    for name in values:
        if (called := name.replace("_", "-")) not in known:
            raise typer.BadParameter(f"{path}: there is no option --{brief(called)}.{meant(called, known)}")
    found = ((known[name.replace("_", "-")], value) for name, value in values.items())
    ctx.default_map = {str(each.name): _as_typed(each, value) for each, value in found}
    return path


def _as_typed(option: Any, value: Any) -> Any:
    """A value as one would type it: a list for an option that is given once has commas, one of several is a list."""
    if option.multiple and not isinstance(value, list):
        return [value]
    return ",".join(map(str, value)) if isinstance(value, list) and not option.multiple else value


Config = Annotated[
    Path | None,
    typer.Option(
        "--config",
        metavar="FILE.toml",
        is_eager=True,
        callback=_read_config,
        help="Options by their long names; those on the command line win.",
        rich_help_panel=OUTPUT,
    ),
]


def task_options(given: Mapping[str, Any], objective: str, data: Sequence[str] = ()) -> TaskOptions:
    """What was said about a task's data; all else as nobody named it.

    Raises:
        typer.BadParameter: if an option makes no sense, or is about another objective.
    """
    try:
        options = TaskOptions(**given)
        check_options(options, objective)
        check_streams(options, data)
    except SettingsError as error:
        raise typer.BadParameter(str(error)) from None
    return options


def objectives(given: Given, *, several: bool) -> list[tuple[str, tuple[str, ...], TaskOptions]]:
    """The objective, or objectives if there may be several; the data of each, and what was said that is about it.

    Raises:
        typer.BadParameter: as :func:`one_objective` and :func:`task_options`.
    """
    names, said = list(given.of(FILES)), given.of(TaskOptions)
    if not several or len(names) < 2:
        objective, data = one_objective(given)
        return [(objective, data, task_options(said, objective, data))]
    found = []
    for name in names:
        objective, data = one_objective(Given({name: given[name]}))
        others = [other for other in names if other != name]
        of_others = {each for other in others for each in names_about(other)}
        mine = {each: value for each, value in said.items() if each in names_about(name) or each not in of_others}
        found.append((objective, data, task_options(mine, objective, data)))
    return found


def one_objective(
    given: Given, name: str | None = None, *, sources: Sequence[object] = (), known: Mapping[str, str] = FILES
) -> tuple[str, tuple[str, ...]]:
    """The one objective that was named, and its data; with sources the name alone will do.

    Raises:
        typer.BadParameter: if none or several were, or a file without a name.
    """
    named = given.of(known)
    if name is not None and not sources:
        raise typer.BadParameter(f"--objective {name}: says what --source is for: one of {', '.join(known)}.")
    if name is not None:
        named.setdefault(name, ())
    if not named and sources:
        raise typer.BadParameter(f"Say what --source is for: --objective NAME, one of {', '.join(known)}.")
    if not named:
        options = " or ".join(f"--{name} FILE" for name in known)
        raise typer.BadParameter(f"Say what for: {options}.")
    if len(named) > 1:
        told = " and ".join(f"--{name}" for name in named)
        raise typer.BadParameter(f"One objective at a time: {told} were given (evaluate takes several with {{task}}).")
    found, files = next(iter(named.items()))
    if "" in files:
        raise typer.BadParameter(f"--{found}: the name of the file is empty.")
    return found, files


def say_what_for(source: str, given: Given, known: Mapping[str, str] = FILES) -> NoReturn:
    """A file was named, and not what it is for: which objectives read such a file.

    Raises:
        typer.BadParameter: that says so.
    """
    from sftkit.tasks.readers.guess import looks_like
    from sftkit.tasks.readers.local import local_file

    for name in given.of(known):
        raise typer.BadParameter(f"{source}: each file takes an option of its own: --{name} {source}.")
    with local_file(source).open("rb") as file:
        told = looks_like(file.read(_LOOKED_AT).decode(errors="replace"), "")
    objectives = ", ".join(f"--{name}" for name in known)
    raise typer.BadParameter(f"{source}: say what for, one of {objectives}.{told}")


def parse_sources(texts: list[str] | None) -> list[tuple[str, str, str]]:
    """``en=en.sft:en.conllu`` as (name, SFT, data).

    Raises:
        typer.BadParameter: if one is written otherwise, or two have one name.
    """
    found = []
    for text in texts or ():
        match = re.fullmatch(r"([^=]+)=((?:hf://)?[^:]+):(.+)", text)
        if match is None:
            raise typer.BadParameter(f"--source {text}: write NAME=LANG.sft:FILE, such as en=en.sft:en.conllu.")
        found.append((match[1], match[2], match[3]))
    names = [name for name, *_ in found]
    if len(set(names)) < len(names):
        raise typer.BadParameter(f"--source: {max(names, key=names.count)} is there twice.")
    return found


def default_output(source: str) -> Path:
    """``corpus.sft`` in the present folder, for ``any/corpus.txt`` and for ``hf://owner/corpus:config``."""
    name = source.removeprefix("hf://").split(":")[0] if source.startswith("hf://") else source
    return Path(Path(name).with_suffix(".sft").name)
