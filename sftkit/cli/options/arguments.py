"""What an argument of compose, subtract or evaluate is: a model, or an SFT with its weight."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from sftkit.checkpoints.wrappers import check_no_adapter
from sftkit.errors import FormatError, SftkitError
from sftkit.sharing.hub import PUBLISHED, SCHEME, local_sft
from sftkit.sharing.naming import why_no_model
from sftkit.storage.nearby import nearby, no_such
from sftkit.storage.places import at_home

if TYPE_CHECKING:
    from sftkit.algebra.arithmetic import Weighted

#: Where a home folder's short name stands: at the beginning, or after NAME= or a colon.
_HOME = re.compile(r"(?:^|(?<=[=:]))~[^/:=]*(?=/)|^~$")


#: Suffixes that a model's directory does not have.
_OF_FILES = (".bin", ".ckpt", ".gguf", ".gz", ".h5", ".json", ".onnx", ".pt", ".pth", ".safetensors", ".tar", ".zip")


@dataclass(frozen=True, slots=True)
class Argument:
    """One argument as it was typed: its name without the weight, the weight, and whether it names a model."""

    name: str
    weight: float
    is_model: bool
    only: str | None = None


def expanded(value: Any) -> Any:
    """A command's value with the home folder in place of ``~``, wherever a path may begin; done once, for all commands.

    The shell does it for ``~/x`` alone, not for ``--output=~/x``, ``--source en=~/en.sft:~/en.txt`` or a quoted name.
    """
    if isinstance(value, Path):
        return at_home(value)
    if isinstance(value, list | tuple):
        return type(value)(map(expanded, value))
    return _HOME.sub(lambda found: str(at_home(found[0])), value) if type(value) is str else value


def check_apart(outputs: Mapping[str, Path | None]) -> None:
    """See that options that name outputs name one each.

    Args:
        outputs: option -> what it names.

    Raises:
        typer.BadParameter: if two name the same.
    """
    from sftkit.storage.places import same

    named = [(option, path) for option, path in outputs.items() if path is not None]
    for (option, path), (other, another) in combinations(named, 2):
        if same(path, another):
            raise typer.BadParameter(f"{option} and {other} both name {path}; each is a file of its own.")


#: What --plot names to have the picture in the terminal.
TERMINAL = Path("-")


def check_plot(plot: Path | None, *, overwrite: bool, json: bool) -> None:
    """Refuse early a --plot that could not be drawn at the end.

    Raises:
        typer.BadParameter: if it is to be shown in the terminal, where --json prints one document.
        SettingsError, OutputExistsError: if the file could not be written.
    """
    if plot == TERMINAL:
        if json:
            raise typer.BadParameter("--plot - shows the picture where --json prints its document: name a file.")
    elif plot is not None:
        from sftkit.inspecting.pictures.style import check_picture

        check_picture(plot, overwrite=overwrite)


def parse_argument(text: str) -> Argument:
    """See what an argument is. Touches the file system, not the network.

    Raises:
        FormatError: if it names nothing that exists or could be on the hub.
        typer.BadParameter: if a weight is given to a model, or is no finite number.
    """
    text, only = split_pattern(text)
    name, weight = split_weight(text)
    path = at_home(name)
    if not path.exists():
        _check_not_arithmetic(name)
    elif path.is_dir():
        check_no_adapter(path)
    published = (path / PUBLISHED).is_file() and not (path / "config.json").is_file()
    if name.startswith(SCHEME) or path.is_file() or name.endswith(".sft") or published:
        return Argument(name, 1.0 if weight is None else weight, is_model=False, only=only)
    if not path.is_dir():
        problem = why_no_model(name) or (no_such(name) if weight is not None else "")
        if problem:
            raise FormatError(problem)
    if weight is not None:
        raise typer.BadParameter(f"{text}: only SFTs take a weight; {name} is a model.")
    return Argument(name, 1.0, is_model=True)


def _check_not_arithmetic(word: str) -> None:
    """Refuse what is written as a sum is written elsewhere: ``+``, ``-``, ``0.5``, ``x.sft*0.5``.

    Raises:
        typer.BadParameter: saying how it is written here.
    """
    if word == "+":
        raise typer.BadParameter("+: what is added is named, one after the other, without a plus.")
    if word == "-":
        raise typer.BadParameter("-: a minus is a weight, x.sft:-1, or sftkit subtract. Standard input is not read.")
    if re.fullmatch(r"[\d.,]+%?", word):
        raise typer.BadParameter(f"{word}: a weight follows its SFT and a colon: x.sft:{word}")
    if (found := re.fullmatch(r"(.+\.sft)[*=×]([-+.\d]+)", word)) and at_home(found[1]).exists():
        raise typer.BadParameter(f"{word}: a weight follows a colon: {found[1]}:{found[2]}")


def output_meant(typed: Sequence[str]) -> str:
    """A hint, where no output is named and the last word is no name of anything: perhaps that is it; else ""."""
    last = typed[-1] if typed else "-"
    known = last.startswith(("-", SCHEME)) or at_home(split_pattern(last)[0].rpartition(":")[0] or last).exists()
    return "" if known or nearby(last) else f" If {last} is to be its name: -o {last}"


def check_directory(output: Path) -> None:
    """Refuse for a model, which is a directory, the name of a file.

    Raises:
        SftkitError: with another name.
    """
    if str(output) == "-" or output.suffix.lower() in _OF_FILES:
        name = "model" if str(output) == "-" else output.stem
        raise SftkitError(f"A model is a directory, and {output} is no name of one. Write -o {name}/")


def parse_weighted(text: str) -> Weighted:
    """An SFT argument, opened.

    Raises:
        FormatError: if it is not an SFT.
    """
    argument = parse_argument(text)
    if argument.is_model:
        raise FormatError(f"{argument.name}: a model where an SFT (a .sft file or hf://owner/name) is expected.")
    return open_sft(argument)


def open_sft(argument: Argument) -> Weighted:
    """Open the file, downloading it if it is on the hub.

    Raises:
        FormatError: if it is not an SFT.
    """
    from sftkit.algebra.arithmetic import Weighted
    from sftkit.format.files import SftFile

    item = Weighted(SftFile(local_sft(argument.name)), argument.weight, argument.name)
    if argument.only is None:
        return item
    from sftkit.algebra.selected import selected

    return selected(item, argument.only)


@dataclass(frozen=True)
class Opened:
    """Arguments by kind: models as they were named, in order, and SFTs, opened."""

    models: list[str]
    sfts: list[Weighted]
    first_is_model: bool


def opened(texts: list[str], *, only: str | None = None, exclude: str | None = None) -> Opened:
    """Every argument of compose or subtract; of SFTs, only some parameters if that is asked for.

    Raises:
        FormatError: if one names nothing, or is no SFT.
        typer.BadParameter: as :func:`parse_argument`.
    """
    parsed = [parse_argument(text) for text in texts]
    models = [argument.name for argument in parsed if argument.is_model]
    sfts = [open_sft(argument) for argument in parsed if not argument.is_model]
    if sfts and (only is not None or exclude is not None):
        from sftkit.algebra.selected import selected_all

        sfts = selected_all(sfts, only, exclude)
    return Opened(models, sfts, parsed[0].is_model)


def split_pattern(text: str) -> tuple[str, str | None]:
    """``x.sft:0.5@REGEX`` without and with its pattern; an @ that follows no weight is part of the name."""
    match = re.fullmatch(r"(.+?:[-+0-9.eE]+)@(.+)", text)
    if match is None or at_home(text).exists():
        return text, None
    return match[1], match[2]


def split_weight(text: str) -> tuple[str, float | None]:
    """``x.sft:0.5`` in its parts; a file whose name holds the colon wins.

    Raises:
        typer.BadParameter: if what follows the colon is no finite number.
    """
    name, colon, number = text.rpartition(":")
    if not colon or number.startswith("//") or at_home(text).exists():
        return text, None
    try:
        if re.search(r"[^0-9.eE+\-a-z]", number):  # float() takes 1_0 and other scripts' digits, too
            raise ValueError
        weight = float(number)
    except ValueError:
        raise typer.BadParameter(f"{text}: {number!r} is not a weight; write x.sft:0.5.") from None
    if not math.isfinite(weight):
        raise typer.BadParameter(f"{text}: a weight must be finite.")
    return name, weight


#: Bytes that nobody means when they write a number alone.
_FEW = 100


def size_of(text: str) -> int:
    """A size such as "5GB", "500MB", or a number of bytes, as transformers counts (powers of 1000).

    Raises:
        typer.BadParameter: if it is none of these.
    """
    match = re.fullmatch(r"(\d+)\s*(|KB|MB|GB|TB)", text.strip().upper())
    if match is None or int(match[1]) == 0:
        raise typer.BadParameter(f"--shard-size {text}: write 5GB, 500MB or a number of bytes.")
    if not match[2] and int(match[1]) < _FEW:
        raise typer.BadParameter(
            f"--shard-size {text}: bytes, and too few for a tensor. Write {match[1]}GB or {match[1]}MB."
        )
    return int(match[1]) * int(1000 ** ("", "KB", "MB", "GB", "TB").index(match[2]))
