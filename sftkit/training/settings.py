"""What a training run is asked for, and the paper's recipe for what was not said.

No torch: the command line reads this module for its defaults. Numbers are from Ansell et al. 2022, sections 4.2 and
4.3.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from sftkit.errors import SettingsError
from sftkit.tasks.options import NO_OPTIONS, TaskOptions, check_options

#: The paper's K for languages over mBERT's backbone parameters, so that mBERT gets that very K: 4.3 %.
LANGUAGE_DENSITY = 7_667_712 / 177_262_848
TASK_DENSITY = 0.08
#: What a run's directory says of the run.
RUN = "run.json"
#: How positions are chosen. "mask" takes them from a file (``mask_from``).
METHODS = ("lottery", "diff", "random", "bitfit", "mask")
#: Those that have a phase 1.
TWO_PHASES = ("lottery", "diff")
#: λ of DiffPruning's penalty an entry, in its authors' program (Guo et al. 2021).
L0 = 1.25e-7
#: What phase 1 ranks entries by: see :mod:`sftkit.training.criteria`.
CRITERIA = ("change", "magnitude-increase", "movement", "fisher")
#: Those that gradients at θ(0) can stand in for: see :mod:`sftkit.training.streaming`.
STREAMED = ("change", "fisher")


@dataclass(frozen=True)
class Length:
    """How long a phase trains: the lesser of ``epochs`` and ``steps`` where given, but at least ``min_steps``."""

    epochs: float | None = None
    steps: int | None = None
    min_steps: int = 0

    def total(self, steps_per_epoch: int) -> int:
        """Optimizer steps of a phase whose epoch has so many; at least 1."""
        limits = []
        if self.steps is not None:
            limits.append(self.steps)
        if self.epochs is not None:
            limits.append(round(self.epochs * steps_per_epoch))
        return max(min(limits), self.min_steps, 1)


@dataclass(frozen=True)
class Source:
    """One of several sources of a task: data in a language, and that language's SFT.

    Attributes:
        name: the user's, for messages and the record.
        sft: applied while this source's batches are processed.
        data: what is trained on.
    """

    name: str
    sft: Path
    data: str


@dataclass(frozen=True)
class Settings:
    """One training run, everything in force. Make it with :func:`settings_for`, which fills in the recipe.

    Attributes:
        objective: "mlm", "clm", "pos", …: the name of its option.
        options: what the user said about the task's data.
        data: sources to train on.
        dev: sources to choose the best step on; none: a share is held out.
        base: model directory.
        base_name: what the base is called in the SFT's metadata.
        source_sft: SFT applied while training and not part of the result (``--with``).
        sources: further sources, each under an SFT of its own; ``data`` then is a source under ``source_sft``.
        method: one of ``METHODS``.
        criterion: one of ``CRITERIA``.
        selection: "full": phase 1 is full fine-tuning; "streaming": gradients at θ(0) are added up, θ does not move.
        base_dtype: "f32" or "bf16": in what the base is held while training; its head, and φ, are float32.
        mask_from: an SFT or file of masks whose positions φ gets.
        avoid: SFTs or files of masks whose positions φ keeps clear of.
        iterations: rounds of phase 1 in which the choice narrows from all to K.
        rewind_to: where phase 2 begins: 0, θ(0); a step of phase 1; or None, phase 1's end (only the learning rate is
            rewound).
        k, density: entries of φ, as a number or as a share of the backbone's parameters; k wins.
        phase1, phase2: how long.
        batch_size: sequences an optimizer step and process, before accumulation.
        max_length: tokens a sequence, special tokens included.
        lr: initial learning rate of AdamW, decayed linearly to 0 in each phase.
        l1: λ of the regulariser λ/N · Σ|θ - θ(0)|, N being the number of parameters that may move.
        l0: λ of DiffPruning's penalty λ · Σ P(z ≠ 0) in phase 1, in which L1 has no part.
        eval_every: steps between evaluations; there is always one at the end.
        held_out: share of each source to choose the best step on, at most 10,000 examples.
        temperature: sources of n examples are drawn in proportion to n^(1/T).
        pack: lines of text are joined into windows, as many as fit.
        freeze: regular expressions of canonical names that must not move.
        seed: of the head, the order of the data, masks and dropout.
        device: "auto", "cpu", "cuda" or "mps".
        precision: "f32", "bf16" or "f16": autocast's dtype.
        accumulate: batches whose gradients are summed for one optimizer step.
        fsdp: phase 1 with its weights, gradients and moments shared out over the processes.
        checkpoint_gradients: compute activations again in the backward pass, to save memory.
        report_to: loggers of the Trainer, such as "tensorboard".
    """

    objective: str
    data: tuple[str, ...]
    base: Path
    base_name: str
    dev: tuple[str, ...] = ()
    source_sft: Path | None = None
    sources: tuple[Source, ...] = ()
    method: str = "lottery"
    k: int | None = None
    density: float = LANGUAGE_DENSITY
    phase1: Length = Length()
    phase2: Length = Length()
    batch_size: int = 8
    max_length: int = 256
    lr: float = 5e-5
    l1: float = 0.0
    l0: float = L0
    eval_every: int = 1000
    held_out: float = 0.05
    temperature: float = 1.0
    pack: bool = False
    freeze: tuple[str, ...] = ()
    seed: int = 42
    device: str = "auto"
    precision: str = "f32"
    accumulate: int = 1
    criterion: str = "change"
    selection: str = "full"
    base_dtype: str = "f32"
    mask_from: Path | None = None
    avoid: tuple[Path, ...] = ()
    iterations: int = 1
    rewind_to: int | None = 0
    checkpoint_gradients: bool = False
    fsdp: bool = False
    report_to: tuple[str, ...] = ()
    options: TaskOptions = NO_OPTIONS


_LANGUAGE = {
    "density": LANGUAGE_DENSITY,
    "phase1": Length(epochs=100, steps=100_000, min_steps=30_000),
    "phase2": Length(epochs=100, steps=100_000, min_steps=30_000),
    "l1": 0.1,
    "eval_every": 1000,
}
_TASK = {
    "density": TASK_DENSITY,
    "phase1": Length(epochs=3),
    "phase2": Length(epochs=10),
    "l1": 0.0,
    "eval_every": 250,
}
#: As Ebrahimi et al. 2022; the paper does so for NLI, and other texts as a whole are no different.
_SEQUENCE = _TASK | {
    "phase1": Length(epochs=5), "phase2": Length(epochs=5), "batch_size": 32, "lr": 2e-5, "eval_every": 625,
}  # fmt: skip
#: Not in the paper: BERT's own for SQuAD (Devlin et al. 2019, section 4.2).
_ANSWERS = _TASK | {
    "phase1": Length(epochs=3), "phase2": Length(epochs=3), "batch_size": 32, "max_length": 384, "eval_every": 1000,
}  # fmt: skip
RECIPES: dict[str, dict[str, Any]] = {
    "mlm": _LANGUAGE, "clm": _LANGUAGE, "pos": _TASK, "ner": _TASK, "dep": _TASK, "nli": _SEQUENCE,
    "classify": _SEQUENCE, "qa": _ANSWERS,
}  # fmt: skip


def settings_for(
    objective: str,
    *,
    steps: int | None = None,
    epochs: float | None = None,
    min_steps: int | None = None,
    phase1_steps: int | None = None,
    phase1_epochs: float | None = None,
    **given: Any,
) -> Settings:
    """The paper's recipe for an objective, changed by what was given (None means not given).

    A length that is given takes the place of the whole of the recipe's: ``steps=300`` means 300 steps in both phases,
    whatever the recipe's minimum; ``phase1_steps`` and ``phase1_epochs`` set phase 1 apart.

    Raises:
        SettingsError: if a number is out of range.
    """
    said = {key: value for key, value in given.items() if value is not None}
    made = replace(Settings(objective=objective, data=(), base=Path(), base_name=""), **(RECIPES[objective] | said))
    if steps is not None or epochs is not None:
        both = Length(epochs, steps, min_steps or 0)
        made = replace(made, phase1=both, phase2=both)
    elif min_steps is not None:
        made = replace(
            made, phase1=replace(made.phase1, min_steps=min_steps), phase2=replace(made.phase2, min_steps=min_steps)
        )
    if phase1_steps is not None or phase1_epochs is not None:
        made = replace(made, phase1=Length(phase1_epochs, phase1_steps))
    if made.base_dtype == "bf16" and made.precision == "f32":
        made = replace(
            made, precision="bf16"
        )  # float32 arithmetic on such weights would have to be asked of each layer
    check(made)
    return made


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
    if not 0 < made.density <= 1:
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
    if made.pack and made.objective not in ("mlm", "clm"):
        raise SettingsError(f"--pack joins lines of text, for --mlm and --clm; this is --{made.objective}.")
    _check_method(made)
    _check_memory(made)


def _check_method(made: Settings) -> None:
    """What goes with which method."""
    if made.sources and made.source_sft is not None and not made.data:
        raise SettingsError(f"--with is the SFT of --{made.objective}'s own files, and there are none. See --source.")
    if made.sources and made.method == "diff":
        raise SettingsError("--source: --method diff takes no SFT for each source. Choose another method.")
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
    if made.l0 != L0 and made.method != "diff":
        raise SettingsError(f"--l0 goes with --method diff, not with --method {made.method}.")


def _check_memory(made: Settings) -> None:
    """What goes with which way to save memory."""
    if made.selection not in ("full", "streaming"):
        raise SettingsError(f"--selection is {made.selection!r}; known are full, streaming.")
    if made.base_dtype not in ("f32", "bf16"):
        raise SettingsError(f"--base-dtype is {made.base_dtype!r}; known are f32, bf16.")
    if made.selection == "streaming":
        _check_streaming(made)
    if made.fsdp and (made.method != "lottery" or made.selection != "full"):
        raise SettingsError("--fsdp shares out full fine-tuning: it goes with --method lottery and --selection full.")
    if made.fsdp and made.sources:
        raise SettingsError("--fsdp and --source do not go together: SFTs are put on weights that are whole.")
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
