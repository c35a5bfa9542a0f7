"""Whether a task's SFT goes with the language that it is for: notes, for other sums may be meant."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from sftkit.algebra.arithmetic import Weighted, collapse, odd_weights
from sftkit.composing.beside import RECORD

_LANGUAGES = ("mlm", "clm")


def language_notes(weighted: Sequence[Weighted]) -> tuple[str, ...]:
    """Notes on tasks that were learned on a language's SFT, where no language is added, or that one beside another.

    Args:
        weighted: what is added to a base in which there is no SFT yet.
    """
    added = [item for item in collapse(weighted) if item.weight > 0]
    languages = [item for item in added if item.sft.metadata.objective in _LANGUAGES]
    notes = []
    for task in added:
        learned_on = task.sft.metadata.trained_with
        if not learned_on or task in languages:
            continue
        if not languages:
            notes.append(
                f"{task.path} was learned on a language's SFT, and none is added here: "
                "sftkit compose BASE LANGUAGE.sft TASK.sft is the sum for a language."
            )
            continue
        sources = [item for item in languages if len(languages) > 1 and item.sft.digest in learned_on]
        others = [item for item in languages if item not in sources]
        notes += [
            f"{one.path} is the language that {task.path} was learned on; for {others[0].path} leave it out."
            for one in (sources if others else ())
        ]
    return tuple(notes)


def notes_on(base: Path, weighted: Sequence[Weighted]) -> tuple[str, ...]:
    """Notes on what is added to a base in memory: odd weights, and languages, where the base has no SFT yet."""
    composed = (base / RECORD).is_file()
    return (*odd_weights(weighted), *(() if composed else language_notes(weighted)))
