"""What a training run is asked for, and which of it goes together.

No torch: the command line reads this module for its defaults. What was not said is the paper's recipe: see
:mod:`sftkit.training.recipes`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from sftkit.errors import SettingsError
from sftkit.tasks.options import NO_OPTIONS, TaskOptions, check_options, check_streams
from sftkit.training.fields import (
    FROM_0,
    POSITIVE,
    SHARE,
    UNSAID,
    Length,
    at_least,
    check_each,
    checked,
    one_of,
    option_of,
)
from sftkit.training.methods.registry import METHODS
from sftkit.training.recipes import RECIPES

#: What phase 1 ranks entries by: see :mod:`sftkit.training.selection.criteria`.
CRITERIA = ("change", "magnitude-increase", "movement", "fisher")
#: Those that gradients at θ(0) can stand in for: see :mod:`sftkit.training.selection.streaming`.
STREAMED = ("change", "fisher")
#: λ of DiffPruning's penalty an entry, in its authors' program (Guo et al. 2021).
L0 = 1.25e-7
#: What a run's directory says of the run.
RUN = "run.json"
#: Who has that directory: the lock, and what it says of its owner.
LOCK, OWNER = "run.lock", "owner.json"
#: How its name ends while it is written.
PART = ".part"


@dataclass(frozen=True)
class SourceLanguage:
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
        source_weight: what its entries are multiplied by.
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
        k, density: entries of φ, as a number or as a share of the backbone's parameters; k wins. Neither: see
            :func:`sftkit.training.selection.movable.default_k`.
        phase1, phase2: how long.
        batch_size: sequences an optimizer step and process, before accumulation.
        max_length: tokens a sequence, special tokens included.
        lr: initial learning rate of AdamW, decayed linearly to 0 in each phase.
        l1: λ of the regulariser λ/N · Σ|θ - θ(0)|, N being the number of the backbone's parameters that may move: what
            is frozen and the head count neither here nor there. In the paper's code N is the number of all the model's
            parameters, the untied output matrix included: its 0.1 is 0.066 here for mBERT, 0.059 for XLM-R base.
        l0: λ of DiffPruning's penalty λ · Σ P(z ≠ 0) in phase 1, in which L1 has no part.
        eval_every: steps between evaluations; there is always one at the end.
        held_out: share of each source to choose the best step on, at most 10,000 examples.
        temperature: sources of n examples are drawn in proportion to n^(1/T).
        freeze: regular expressions of canonical names that must not move.
        train_norms: normalisation layers may move.
        seed: of the head, the order of the data, masks and dropout.
        device: "auto", "cpu", "cuda" or "mps".
        precision: "f32", "bf16" or "f16": autocast's dtype.
        accumulate: batches whose gradients are summed for one optimizer step.
        fsdp: with weights, gradients and moments shared out over the processes.
        checkpoint_gradients: compute activations again in the backward pass, to save memory.
        report_to: loggers of the Trainer, such as "tensorboard".
        trust_remote_code: run the Python code that comes with the base.
    """

    objective: str
    data: tuple[str, ...]
    base: Path
    base_name: str
    dev: tuple[str, ...] = ()
    source_sft: Path | None = None
    source_weight: float = 1.0
    sources: tuple[SourceLanguage, ...] = ()
    method: str = checked("lottery", one_of(METHODS))
    k: int | None = checked(None, POSITIVE)
    density: float | None = checked(None, SHARE)
    phase1: Length = UNSAID
    phase2: Length = UNSAID
    batch_size: int = checked(8, POSITIVE)
    max_length: int = checked(256, at_least(8))
    lr: float = checked(5e-5, POSITIVE)
    l1: float = checked(0.0, FROM_0)
    l0: float = checked(L0, FROM_0)
    eval_every: int = checked(1000, POSITIVE)
    held_out: float = 0.05
    temperature: float = checked(1.0, POSITIVE)
    freeze: tuple[str, ...] = ()
    train_norms: bool = False
    seed: int = 42
    device: str = "auto"
    precision: str = "f32"
    accumulate: int = checked(1, POSITIVE)
    criterion: str = checked("change", one_of(CRITERIA))
    selection: str = checked("full", one_of(("full", "streaming")))
    base_dtype: str = checked("f32", one_of(("f32", "bf16")))
    mask_from: Path | None = None
    avoid: tuple[Path, ...] = ()
    iterations: int = checked(1, at_least(1))
    rewind_to: int | None = 0
    checkpoint_gradients: bool = False
    fsdp: bool = False
    report_to: tuple[str, ...] = ()
    trust_remote_code: bool = False
    options: TaskOptions = NO_OPTIONS

    @property
    def tunes_theta(self) -> bool:
        """Whether phase 1 is full fine-tuning, so that θ has to be put back after it."""
        return METHODS[self.method].tunes_theta and self.selection == "full"


def check(made: Settings) -> None:
    """Refuse values that are out of range and settings that do not go together.

    Raises:
        SettingsError: naming the option.
    """
    check_each(made)
    for prefix, length in (("--", made.phase2), ("--phase1-", made.phase1)):  # --steps is about both
        length.check(prefix)
    check_options(made.options, made.objective)
    check_streams(made.options, [*made.data, *made.dev, *(source.data for source in made.sources)])
    _check_sources(made)
    _check_method(made)
    _check_memory(made)


def _check_method(made: Settings) -> None:
    """What goes with which method."""
    method = METHODS[made.method]
    if made.iterations > 1 and made.criterion != "change":
        raise SettingsError("--iterations narrows the choice by how much entries changed: leave --criterion out.")
    if (made.method == "mask") != (made.mask_from is not None):
        raise SettingsError("--method mask and --mask-from FILE go together.")
    if not method.sized and made.k is not None:
        raise SettingsError(f"--k: --method {made.method} says itself which entries φ has.")
    for name, owner in ((name, each.name) for each in METHODS.values() for name in each.own):
        if name not in method.own and getattr(made, name) != getattr(Settings, name):
            raise SettingsError(f"{option_of(name)} goes with --method {owner}, not with --method {made.method}.")
    most = max(made.phase1.steps or 0, made.phase1.min_steps)
    if made.phase1.steps is not None and made.rewind_to is not None and made.rewind_to > most:
        raise SettingsError(f"--rewind-to {made.rewind_to}: phase 1 has {most:,} steps at most.")


def _check_sources(made: Settings) -> None:
    """What goes with sources that have an SFT each."""
    if not made.sources:
        return
    if made.source_sft is not None and not made.data:
        raise SettingsError(f"--with is the SFT of --{made.objective}'s own files, and there are none. See --source.")
    if made.source_weight != 1:
        raise SettingsError("--with takes no weight beside --source.")
    if METHODS[made.method].makes_weights:
        raise SettingsError(f"--source: --method {made.method} takes no SFT for each source. Choose another method.")
    if made.fsdp:
        raise SettingsError("--fsdp and --source do not go together: SFTs are put on weights that are whole.")


def _check_memory(made: Settings) -> None:
    """What goes with which way to save memory."""
    if made.selection == "streaming":
        _check_streaming(made)
    if made.fsdp and (METHODS[made.method].makes_weights or made.selection != "full"):
        raise SettingsError("--fsdp goes with neither --method diff nor --selection streaming.")
    if made.base_dtype == "bf16" and made.precision == "f16":
        raise SettingsError("--precision f16 and --base-dtype bf16 do not go together.")
    if made.base_dtype == "bf16" and made.tunes_theta:
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
    chosen: dict[str, Any] = {"data": (), "base": Path(), "base_name": ""} | RECIPES[objective]
    chosen |= {key: value for key, value in given.items() if value is not None}
    if steps is not None or epochs is not None:
        chosen["phase1"] = chosen["phase2"] = Length(epochs, steps, min_steps or 0)
    elif min_steps is not None:
        chosen |= {phase: replace(chosen[phase], min_steps=min_steps) for phase in ("phase1", "phase2")}
    if phase1_steps is not None or phase1_epochs is not None:
        chosen["phase1"] = Length(phase1_epochs, phase1_steps)
    made = Settings(objective, **chosen)
    if made.base_dtype == "bf16" and made.precision == "f32":
        # float32 arithmetic on such weights would have to be asked of each layer
        made = replace(made, precision="bf16")
    check(made)
    return made
