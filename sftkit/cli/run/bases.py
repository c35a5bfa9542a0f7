"""Which base is meant: the one that was named, or the one that SFTs name; and what is said before one is downloaded."""

from __future__ import annotations

import os
from pathlib import Path

import typer

from sftkit.cli.options.arguments import open_sft, parse_argument
from sftkit.cli.show import render
from sftkit.errors import CheckpointError, FormatError, MismatchError
from sftkit.sharing.hub import DEFAULT_BASE, resolve_model
from sftkit.sharing.naming import cached_model

_NO_DEFAULT = "{}, the default, is not here and the hub cannot be reached; choose with --base or $SFTKIT_BASE"


def model_folder(name: str, *, quiet: bool = False) -> Path:
    """A model's directory; before it is downloaded, how much that is is told.

    Raises:
        CheckpointError: if there is none.
    """

    def told(repo: str, size: int) -> None:
        if size and not quiet:
            render.note(f"{repo} is not here yet: {render.size(size)} are downloaded from the hub, once.")

    if name == DEFAULT_BASE:
        return resolve_model(name, told=told, unreachable=_NO_DEFAULT)
    try:
        return resolve_model(name, told=told)
    except CheckpointError as error:
        if name != os.environ.get("SFTKIT_BASE"):
            raise
        raise CheckpointError(f"{error} ($SFTKIT_BASE says {name}.)") from None


def with_base(command: str, model: str, sfts: list[str], *, quiet: bool = False) -> tuple[str, list[str]]:
    """A model and the SFTs that are added to it; where SFTs alone were named, on the base that they name.

    Args:
        command: the one that was called.
        model: the first argument.
        sfts: the others.
        quiet: whether not to tell which base that is.

    Raises:
        MismatchError: if the SFTs do not name their base, or it is not at hand.
        typer.BadParameter: if the base does not come first.
    """
    from sftkit.evaluation.marks import marks

    texts = [model, *sfts]
    models = [text for text in texts if not marks(text) and _is_model(text)]
    if len(models) > 1:
        raise typer.BadParameter(f"{models[0]} and {models[1]} are both models: name one, then the SFTs on it.")
    if marks(model) or _is_model(model) is not False:
        return model, sfts
    if models:
        others = " ".join(text for text in texts if text != models[0])
        raise typer.BadParameter(f"The base comes first: sftkit {command} {models[0]} {others} …")
    base = _named_base(command, texts)
    if not quiet:
        render.note(f"on {base}, the base that {parse_argument(model).name} names.")
    return base, texts


def _is_model(text: str) -> bool | None:
    """Whether an argument names a model; None if it names nothing, which is told where it is opened."""
    try:
        return parse_argument(text).is_model
    except FormatError:
        return None


def _named_base(command: str, texts: list[str]) -> str:
    """The base that an SFT names, where it is at hand: from here, beside the SFT, or downloaded before."""
    argument = parse_argument(texts[0])
    base = open_sft(argument).sft.metadata.base
    say = f"Name the base first: sftkit {command} BASE {' '.join(texts)} …"
    if base is None or not base.name:
        raise MismatchError(f"{argument.name} does not say what its base is. {say}")
    for folder in (Path(base.name), Path(argument.name).parent / base.name):
        if (folder / "config.json").is_file():
            return str(folder)
    if cached_model(base.name) is not None:
        return base.name
    mark = f" (fingerprint {base.fingerprint[:10]}…)" if base.fingerprint else ""
    raise MismatchError(f"{argument.name} was learned on {base.name}{mark}, which is not at hand. {say}")
