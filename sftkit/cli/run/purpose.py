"""What a model and SFTs are for, where the command line does not say: by what they were learned for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import typer

from sftkit.cli.options.arguments import open_sft, parse_argument
from sftkit.cli.options.declared import Given
from sftkit.cli.options.shared import say_what_for
from sftkit.errors import SftkitError
from sftkit.storage.places import at_home
from sftkit.tasks.options import FILES

_LANGUAGES = ("mlm", "clm")


def check_purpose(given: Given, words: Sequence[str], known: Mapping[str, str] = FILES) -> None:
    """Refuse a model, SFTs or a file of data without the option that says what they are for.

    Args:
        given: the options.
        words: the model and the SFTs, as they were typed; data may be among them by mistake.
        known: objectives of the command.

    Raises:
        typer.BadParameter: naming the option that is meant, if one of the words tells it.
    """
    if given.of(known):
        return
    files = [word for word in words if at_home(word).is_file()]
    data = [word for word in files if Path(word).suffix not in (".sft", ".gguf", ".bin")]
    learned = {objective: word for word in words if word not in data and (objective := _learned_for(word)) in known}
    named = next((each for each in reversed(learned) if each not in _LANGUAGES), next(reversed(learned), None))
    if data and not named:
        say_what_for(data[0], given, known)
    options = " or ".join(f"--{name} {data[0] if data else 'FILE'}" for name in ([named] if named else known))
    why = f", which {learned[named]} was learned for" if named else ""
    raise typer.BadParameter(f"{f'{data[0]}: what for?' if data else 'Say what for:'} {options}{why}.")


def _learned_for(word: str) -> str:
    """The objective of an SFT, or of the last SFT with a task in a composed model; "" if that cannot be told."""
    from sftkit.composing.record import Record

    if word.startswith("hf://"):  # nothing is downloaded for this
        return ""
    try:
        argument = parse_argument(word)
        if not argument.is_model:
            return open_sft(argument).sft.metadata.objective or ""
        record = Record.read(Path(argument.name))
    except (SftkitError, OSError):
        return ""
    found = [str(each.get("objective") or "") for each in (record.sfts if record else ())]
    return next((each for each in found if each not in _LANGUAGES), found[-1] if found else "")
