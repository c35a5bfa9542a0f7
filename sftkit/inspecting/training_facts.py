"""A training record in words: what was in force, and its learning curves as numbers.

The record is whatever an SFT's file says: one that sftkit did not write is told as far as it is understood.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from sftkit.inspecting.curves import PHASES, best, curves
from sftkit.inspecting.facts import share
from sftkit.inspecting.gain import no_gain

#: Shown elsewhere, or only what was asked for where another line says what came of it.
_LEFT_OUT = {"k", "density", "phase1", "phase2", "freeze", "history", "losses"}
#: Rows that the table of curves has at most, but for step 0, the best and the last step.
_ROWS = 12


def training_facts(training: Mapping[str, Any], method: str) -> list[tuple[str, str]]:
    """What was in force, line by line; what was not asked for is left out.

    Args:
        training: the record.
        method: how positions were chosen.
    """
    left_out = _LEFT_OUT | ({"held_out"} if training.get("dev") else set()) | ({"l0"} if method != "diff" else set())
    if method != "lottery":  # what a method without a ranking records all the same
        left_out |= {"criterion", "selection", "iterations", "rewind_to"}
    known = [(*_KNOWN[key], key) for key in _KNOWN if key in training and key not in left_out]
    others = [key for key in training if key not in _KNOWN and key not in left_out]
    told = [(called, _in_words(training[key], how)) for called, how, key in known]
    told += [("note", no_gain(training))]
    told += [(key.replace("_", " "), _said(training[key])) for key in others]
    return [(name, text) for name, text in told if text]


def _in_words(value: Any, how: Callable[[Any], str]) -> str:
    try:
        return how(value)
    except (TypeError, KeyError, ValueError, AttributeError, OverflowError):
        return _said(value)


def _sources(value: Any) -> str:
    """Names of files with the digests of what they held, a line each."""
    each = value if isinstance(value, list) else [value] if value else []
    return "\n".join(f"{source['name']}  {source.get('xxh3_128', '')}".rstrip() for source in each)


def _under(value: Any) -> str:
    """Sources that have an SFT each, a line each."""
    return "\n".join(f"{each['name']}: {each['data']['name']} under {each['sft']['name']}" for each in value)


def _steps(value: Any) -> str:
    return " + ".join(f"{steps:,}" for steps in value.values() if steps)


def _best(value: Any) -> str:
    return f"{value['step']:,}: {value['metric']} {value['value']:.6g}"


def _start(value: Any) -> str:
    return f"{value['metric']} {value['value']:.6g}" if value else ""


def _rewound(value: Any) -> str:
    return "the end of phase 1" if value is None else f"{value:,}" if value else ""


def _several(value: Any) -> str:
    return f"{value:,}" if value > 1 else ""


def _unless(usual: str) -> Callable[[Any], str]:
    return lambda value: "" if value == usual else _said(value)


def _unless_1(value: Any) -> str:
    return f"{value:g}" if value != 1 else ""


def _said(value: Any) -> str:
    """A setting that is in force, in words; "" for one that is not."""
    if value is None or value is False or value in ("", 0) or value in ([], {}, ()):
        return ""
    if isinstance(value, Mapping):
        parts = ((str(key).replace("_", " "), _said(part)) for key, part in value.items())
        return ", ".join(f"{key} {said}" for key, said in parts if said)
    if isinstance(value, list | tuple):
        return ", ".join(map(_said, value))
    if value is True:
        return "yes"
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:.6g}" if isinstance(value, float) else str(value)


#: Key of the record -> how it is called and said, in the order in which they are shown.
_KNOWN: dict[str, tuple[str, Callable[[Any], str]]] = {
    "data": ("data", _sources),
    "sources": ("sources", _under),
    "source_weight": ("source weight", _unless_1),
    "temperature": ("temperature", _unless_1),
    "dev": ("data for the best step", _sources),
    "held_out": ("held out of the data", share),
    "steps": ("steps", _steps),
    "start": ("before the first step", _start),
    "best": ("best step", _best),
    "batch_size": ("sequences a batch", _said),
    "accumulate": ("batches a step", _several),
    "processes": ("processes", _several),
    "max_length": ("tokens a sequence", _said),
    "lr": ("learning rate", _said),
    "l1": ("λ (L1)", _said),
    "l0": ("λ (L0)", _said),
    "frozen": ("frozen", _said),
    "criterion": ("ranked by", _said),
    "selection": ("phase 1 as", _unless("full")),
    "base_dtype": ("base held in", _unless("f32")),
    "iterations": ("rounds of phase 1", _several),
    "rewind_to": ("phase 2 from step", _rewound),
    "mask_from": ("mask from", _sources),
    "avoid": ("kept clear of", _sources),
    "eval_every": ("steps between evaluations", _said),
    "seed": ("seed", str),
    "precision": ("precision", _said),
    "versions": ("made with", _said),
}


def curve_rows(training: Mapping[str, Any]) -> tuple[list[str], list[list[str]]]:
    """Headings, and rows of steps and values of both phases, thinned evenly; step 0, the best and the last stay."""
    scores, losses = curves(training, "history"), curves(training, "losses")
    columns = [curve.get(phase, {}) for phase in PHASES for curve in (scores, losses)]
    steps = sorted({step for column in columns for step in column})
    stride = -(-len(steps) // _ROWS)
    kept, _, metric = best(training) or (0, 0.0, "score")
    shown = [step for at, step in enumerate(steps, start=1) if at % stride == 0 or step in (0, kept, steps[-1])]
    headings = ["step", *(f"{phase} {what}" for phase in PHASES.values() for what in (metric, "training loss"))]
    rows = [[f"{step:,}", *(f"{column[step]:.5g}" if step in column else "" for column in columns)] for step in shown]
    return headings, rows
