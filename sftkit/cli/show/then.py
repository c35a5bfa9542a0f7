"""What a command ends with: the files that it made, and the command that comes next, to standard error.

The command is one line that a shell takes as it is: names are quoted, and what it would write is not there yet.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path

from sftkit.cli.show import render

#: Objectives whose ``predict`` takes a sentence a line, as one may type it.
_LINES = ("pos", "ner", "dep", "classify")


def made(*paths: Path | None) -> None:
    """Files beside what was printed; None for those that were not asked for."""
    there = [str(path) for path in paths if path is not None]
    if there:
        render.said(f"wrote {' and '.join(there)}")


def after_train(base: str, under: str | None, outputs: Sequence[Path]) -> None:
    """Add the SFT to its base, over the language that it was learned on; see several side by side.

    Args:
        base: as it was given.
        under: the SFT, with its weight, that was on the base meanwhile.
        outputs: the SFTs.
    """
    if len(outputs) > 1:
        _next("inspect", *map(str, outputs))
    elif outputs:
        if under:
            render.said(f"In the place of {under} goes the SFT of the language that the model is for.")
        _next(*_composing([base, *([under] if under else []), str(outputs[0])], _model_of(outputs[0])))


def after_model(folder: Path, objective: str = "") -> None:
    """Use a model that was made: label a sentence, if its head does so; else see what it was composed of."""
    if objective in _LINES:
        _predict(str(folder), objective)
    else:
        _next("inspect", str(folder))


def after_sft(path: Path, base: str | None = None) -> None:
    """Look into an SFT that was made; one that was the difference to a base can be added to that again."""
    _next(*_composing([base, str(path)], _model_of(path))) if base else _next("inspect", str(path))


def after_scores(given: Sequence[str], objective: str, model: str, sfts: Sequence[str], *, alone: bool) -> None:
    """Make the model that was scored; use one that is there; draw the scores of several.

    Args:
        given: the command line, without the program and the command.
        objective: that was scored.
        model: as it was given.
        sfts: as they were given.
        alone: whether it was one system on one set of data.
    """
    if alone and sfts:
        name = Path(model).resolve().name or "model"
        _next(
            *_composing([model, *sfts, *(["--force"] if _has(given, "--force") else [])], Path(f"{name}-{objective}"))
        )
    elif alone and objective in _LINES:
        _predict(model, objective)
    elif not _has(given, "--plot"):
        _next("evaluate", *given, "--plot", str(_free(Path("scores.png"))))


def after_overlap(given: Sequence[str]) -> None:
    """Draw it."""
    if not _has(given, "--plot"):
        _next("overlap", *given, "--plot", str(_free(Path("overlap.png"))))


def after_predict(given: Sequence[str], path: Path | None, objective: str, *, jsonl: bool) -> None:
    """Write the labels that were only seen; what was written is an end.

    Args:
        given: the command line, without the program and the command.
        path: what was written; None for a terminal.
        objective: that was predicted.
        jsonl: whether it is JSON.
    """
    if path is None:
        suffix = ".jsonl" if jsonl else {"pos": ".conllu", "dep": ".conllu", "nli": ".tsv", "classify": ".tsv",
                                         "qa": ".json"}.get(objective, ".txt")  # fmt: skip
        _next("predict", *given, "-o", str(_free(Path(f"labelled{suffix}"))))


def _composing(arguments: Sequence[str], output: Path) -> list[str]:
    return ["compose", *arguments, "-o", str(_free(output))]


def _model_of(sft: Path) -> Path:
    return sft.with_name(f"{sft.stem}-model")


def _predict(model: str, objective: str) -> None:
    render.command(f"echo 'This is a sentence .' | {shlex.join(['sftkit', 'predict', model, f'--{objective}', '-'])}")


def _next(*words: str) -> None:
    render.command(shlex.join(["sftkit", *words]))


def _has(given: Sequence[str], option: str) -> bool:
    return any(word == option or word.startswith(f"{option}=") for word in given)


def _free(path: Path) -> Path:
    """The name, or with a number the first that is not taken."""
    names = (path, *(path.with_name(f"{path.stem}-{number}{path.suffix}") for number in range(2, 1000)))
    return next((name for name in names if not name.exists()), path)
