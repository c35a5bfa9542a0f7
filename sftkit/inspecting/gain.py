"""Whether training was worth its time, by its record: the best step against what was there before the first one.

The record is whatever an SFT's file says: one without a score of the start tells nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sftkit.inspecting.curves import best, curves, start

#: Metrics of which less is better.
LOSSES = ("loss",)
#: The rate of the paper's languages, and one above which AdamW tears a pretrained model apart, as experience has it.
_USUAL, _HIGH = 5e-5, 1e-2
#: A loss that grew by more than this share of itself did not grow by chance.
_GREW = 0.02
#: Phase 2 is worse than phase 1 by more than this share of its value before it is told: some of it is usual.
_LESS = 0.05
#: Fewer steps than these move little at any rate that is safe.
_FEW = 100


def no_gain(training: Mapping[str, Any]) -> str:
    """Why the best step may be no better than the model was before the first, and what to try; "" where it is better.

    Args:
        training: an SFT's training record.
    """
    found, before = best(training), start(training)
    if found is None or before is None:
        return ""
    step, value, metric = found
    grew = (value - before) if metric in LOSSES else (before - value)
    if grew < 0:
        return ""
    told = (
        f"nothing was gained: {metric} was {before:.4g} before the first step, and is {value:.4g} at the best step, "
        f"{step:,}"
    )
    return f"{told}. {_cause(training, metric in LOSSES and grew > _GREW * abs(before))}"


def worse_than_phase1(phase1: float, phase2: float, metric: str) -> str:
    """That phase 2 ended worse than phase 1, what it costs, and what to try; "" if it did not, or hardly.

    Args:
        phase1: the best value of phase 1.
        phase2: and of phase 2.
        metric: which.
    """
    lost = (phase2 - phase1) if metric in LOSSES else (phase1 - phase2)
    if not lost > _LESS * abs(phase1):
        return ""
    return (
        f"phase 2 ends at {metric} {phase2:.4g}, phase 1 with all parameters at {phase1:.4g}: this many entries hold "
        "less of it. A larger --k or --density, or more --steps, may keep more."
    )


def _cause(training: Mapping[str, Any], grew: bool) -> str:
    rate = training.get("lr")
    rate = rate if isinstance(rate, float) else 0.0
    if grew or rate > _HIGH or _rising(training):
        lower = _USUAL if rate > 10 * _USUAL else rate / 10
        advice = f" ({rate:g}): try --lr {lower:g}" if rate else ": try a lower one"
        return f"The learning rate is likely too high{advice}."
    steps = max(curves(training, "history").get("phase2", {0: 0.0}))
    if steps < _FEW:
        return f"{steps:,} steps are likely too few: give more --steps, or a higher --lr."
    return (
        "The data may hold nothing that the base does not know, or be too little of it; "
        "or the rate is too low: try another --lr, or more data."
    )


def _rising(training: Mapping[str, Any]) -> bool:
    """Whether the training loss ended above where it began."""
    losses = list(curves(training, "losses").get("phase2", {}).values())
    return len(losses) > 1 and losses[-1] > (1 + _GREW) * losses[0]
