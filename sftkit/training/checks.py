"""Which settings of a training run make sense, each and together. No torch."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from sftkit.errors import SettingsError
from sftkit.tasks.options import check_options, check_streams

if TYPE_CHECKING:
    from sftkit.training.settings import Settings

#: How positions are chosen. "mask" takes them from a file (``mask_from``).
METHODS = ("lottery", "diff", "random", "bitfit", "mask")
#: Those that have a phase 1.
TWO_PHASES = ("lottery", "diff")
#: λ of DiffPruning's penalty an entry, in its authors' program (Guo et al. 2021).
L0 = 1.25e-7
#: What phase 1 ranks entries by: see :mod:`sftkit.training.selection.criteria`.
CRITERIA = ("change", "magnitude-increase", "movement", "fisher")
#: Those that gradients at θ(0) can stand in for: see :mod:`sftkit.training.selection.streaming`.
STREAMED = ("change", "fisher")


def check(made: Settings) -> None:
    """Refuse numbers that are out of range and settings that do not go together.

    Raises:
        SettingsError: naming the option.
    """
    positive = {
        "--k": made.k,
        "--batch-size": made.batch_size,
        "--lr": made.lr,
        "--eval-every": made.eval_every,
        "--temperature": made.temperature,
        "--accumulate": made.accumulate,
        "--steps": made.phase2.steps,
        "--epochs": made.phase2.epochs,
        "--phase1-steps": made.phase1.steps,
        "--phase1-epochs": made.phase1.epochs,
    }
    for option, value in positive.items():
        if value is not None and not 0 < value < math.inf:
            raise SettingsError(f"{option} is {value}; it must be a number more than 0.")
    if made.density is not None and not 0 < made.density <= 1:
        raise SettingsError(f"--density is {made.density}; it is a share, more than 0 and at most 1 (0.043 is 4.3 %).")
    for option, strength in (("--l1", made.l1), ("--l0", made.l0)):
        if not 0 <= strength < math.inf:
            raise SettingsError(f"{option} is {strength}; it must be a number from 0 on.")
    if min(made.phase1.min_steps, made.phase2.min_steps) < 0:
        raise SettingsError("--min-steps must not be negative.")
    if made.max_length < 8:
        raise SettingsError(f"--max-length is {made.max_length}; it must be at least 8.")
    if made.method not in METHODS:
        raise SettingsError(f"--method is {made.method!r}; known are {', '.join(METHODS)}.")
    check_options(made.options, made.objective)
    check_streams(made.options, [*made.data, *made.dev, *(source.data for source in made.sources)])
    _check_sources(made)
    _check_method(made)
    _check_memory(made)


def _check_method(made: Settings) -> None:
    """What goes with which method."""
    if made.criterion not in CRITERIA:
        raise SettingsError(f"--criterion is {made.criterion!r}; known are {', '.join(CRITERIA)}.")
    if made.iterations < 1:
        raise SettingsError(f"--iterations is {made.iterations}; it must be at least 1.")
    if made.iterations > 1 and made.criterion != "change":
        raise SettingsError("--iterations narrows the choice by how much entries changed: leave --criterion out.")
    if (made.method == "mask") != (made.mask_from is not None):
        raise SettingsError("--method mask and --mask-from FILE go together.")
    if made.method in ("bitfit", "mask") and made.k is not None:
        raise SettingsError(f"--k: --method {made.method} says itself which entries φ has.")
    asked = {
        "--criterion": made.criterion != "change", "--iterations": made.iterations > 1,
        "--rewind-to": made.rewind_to != 0,
    }  # fmt: skip
    for option in (option for option, given in asked.items() if given and made.method != "lottery"):
        raise SettingsError(f"{option} goes with --method lottery, not with --method {made.method}.")
    most = max(made.phase1.steps or 0, made.phase1.min_steps)
    if made.phase1.steps is not None and made.rewind_to is not None and made.rewind_to > most:
        raise SettingsError(f"--rewind-to {made.rewind_to}: phase 1 has {most:,} steps at most.")
    if made.l0 != L0 and made.method != "diff":
        raise SettingsError(f"--l0 goes with --method diff, not with --method {made.method}.")


def _check_sources(made: Settings) -> None:
    """What goes with sources that have an SFT each."""
    if not made.sources:
        return
    if made.source_sft is not None and not made.data:
        raise SettingsError(f"--with is the SFT of --{made.objective}'s own files, and there are none. See --source.")
    if made.source_weight != 1:
        raise SettingsError("--with takes no weight beside --source.")
    if made.method == "diff":
        raise SettingsError("--source: --method diff takes no SFT for each source. Choose another method.")
    if made.fsdp:
        raise SettingsError("--fsdp and --source do not go together: SFTs are put on weights that are whole.")


def _check_memory(made: Settings) -> None:
    """What goes with which way to save memory."""
    if made.selection not in ("full", "streaming"):
        raise SettingsError(f"--selection is {made.selection!r}; known are full, streaming.")
    if made.base_dtype not in ("f32", "bf16"):
        raise SettingsError(f"--base-dtype is {made.base_dtype!r}; known are f32, bf16.")
    if made.selection == "streaming":
        _check_streaming(made)
    if made.fsdp and (made.method == "diff" or made.selection != "full"):
        raise SettingsError("--fsdp goes with neither --method diff nor --selection streaming.")
    if made.base_dtype == "bf16" and made.precision == "f16":
        raise SettingsError("--precision f16 and --base-dtype bf16 do not go together.")
    if made.base_dtype == "bf16" and made.method == "lottery" and made.selection == "full":
        raise SettingsError(
            "--base-dtype bf16: full fine-tuning in bfloat16 loses small updates. "
            "Add --selection streaming, or take a --method without it, or leave --base-dtype out."
        )


def _check_streaming(made: Settings) -> None:
    if made.method != "lottery":
        raise SettingsError(f"--selection streaming goes with --method lottery, not with --method {made.method}.")
    if made.criterion not in STREAMED:
        raise SettingsError(
            f"--criterion {made.criterion} asks how θ moved, and --selection streaming moves nothing: "
            f"take {' or '.join(STREAMED)}."
        )
    if made.rewind_to != 0:
        raise SettingsError("--rewind-to: θ does not move in phase 1 with --selection streaming.")
    if made.precision == "f16":
        raise SettingsError("--precision f16 scales gradients, which --selection streaming adds up: take bf16.")
