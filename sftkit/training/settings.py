"""What a training run is asked for, and which of it goes together.

No torch: the command line reads this module for its defaults. What was not said is the paper's recipe: see
:mod:`sftkit.training.recipes`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, ClassVar

from sftkit.declared import (
    BASE,
    DATA,
    ENTRIES,
    FROM_0,
    LENGTH,
    MACHINE,
    OPTIMISER,
    OUTPUT,
    POSITIVE,
    SHARE,
    Check,
    at_least,
    check_each,
    option,
    option_of,
)
from sftkit.errors import SettingsError
from sftkit.tasks.options import NO_OPTIONS, TaskOptions, check_options, check_streams
from sftkit.training.length import UNSAID, Length, Lengths
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
#: Where to compute.
DEVICES = ("auto", "cpu", "cuda", "mps")


def parse_densities(text: str) -> list[float]:
    """``0.01,0.02`` as its shares.

    Raises:
        SettingsError: if one is no number.
    """
    try:
        return [float(part) for part in text.split(",")]
    except ValueError:
        raise SettingsError(f"--density {text}: a share such as 0.04, or several: 0.01,0.02,0.04.") from None


def parse_step(text: str) -> int | None:
    """A step of phase 1; None for its end.

    Raises:
        SettingsError: if it is neither.
    """
    if text != "end" and not text.isdecimal():
        raise SettingsError(f"--rewind-to {text}: a step of phase 1, or end.")
    return None if text == "end" else int(text)


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

    What most fields are is said by their options; here stands what there is to know beside that.

    Attributes:
        objective: "mlm", "clm", "pos", …: the name of its option.
        options: what the user said about the task's data.
        data: sources to train on.
        dev: sources to choose the best step on; none: a share is held out.
        base: model directory; while training it is held in ``base_dtype``, but for its head and φ, which are float32.
        base_name: what the base is called in the SFT's metadata.
        source_sft: SFT applied while training and not part of the result (``--with``).
        source_weight: what its entries are multiplied by.
        sources: further sources, each under an SFT of its own; ``data`` then is a source under ``source_sft``.
        rewind_to: where phase 2 begins: 0, θ(0); a step of phase 1; or None, phase 1's end.
        k, density: entries of φ, as a number or as a share of the backbone's parameters; k wins. Neither: see
            :func:`sftkit.training.selection.movable.default_k`.
        phase1, phase2: how long.
        l1: λ of the regulariser λ/N · Σ|θ - θ(0)|, N being the number of the backbone's parameters that may move: what
            is frozen and the head count neither here nor there. In the paper's code N is the number of all the model's
            parameters, the untied output matrix included: its 0.1 is 0.066 here for mBERT, 0.059 for XLM-R base.
        l0: λ of DiffPruning's penalty λ · Σ P(z ≠ 0) in phase 1, in which L1 has no part.
        held_out: share of each source to choose the best step on, at most 10,000 examples.
    """

    recipes: ClassVar = RECIPES

    objective: str
    data: tuple[str, ...]
    base: Path
    base_name: str
    dev: tuple[str, ...] = option(
        (), "Data to choose the best step on; else 5 % are held out, at most 10,000.", DATA, metavar="FILE"
    )
    source_sft: Path | None = None
    source_weight: float = 1.0
    sources: tuple[SourceLanguage, ...] = ()
    method: str = option("lottery", "How the entries are chosen.", ENTRIES, choices=METHODS)
    k: int | None = option(None, "Entries of φ; wins over --density.", ENTRIES, metavar="K", check=POSITIVE)
    density: float | None = option(
        None, "The same as a share of the backbone; several: an SFT of each, from one phase 1.", ENTRIES,
        metavar="D[,D…]", check=SHARE, read=parse_densities,
        unsaid="the paper's K on mBERT and XLM-R base (languages 7,667,712, tasks 14,155,776), elsewhere the shares "
        "that these are of mBERT: 0.0433 and 0.0799",
    )  # fmt: skip
    phase1: Length = UNSAID
    phase2: Length = UNSAID
    batch_size: int = option(8, "Sequences a step and process, before --accumulate.", OPTIMISER, check=POSITIVE)
    max_length: int = option(256, "Tokens a sequence, special ones included.", DATA, check=at_least(8))
    lr: float = option(5e-5, "Learning rate of AdamW, linear to 0 in each phase.", OPTIMISER, check=POSITIVE)
    l1: float = option(
        0.0, "λ of the pull λ/N·|θ-θ(0)| towards θ(0); N: the backbone's parameters that may move.", OPTIMISER,
        check=FROM_0,
    )  # fmt: skip
    l0: float = option(L0, "λ of DiffPruning's penalty an entry that is not 0.", OPTIMISER, check=FROM_0)
    eval_every: int = option(1000, "Steps between evaluations; there is always one at the end.", LENGTH, check=POSITIVE)
    held_out: float = 0.05
    temperature: float = option(
        1.0, "T: a file of n examples is drawn in proportion to n^(1/T); 1: all once.", DATA, check=POSITIVE
    )
    freeze: tuple[str, ...] = option((), "Parameters that must not move, by canonical name.", ENTRIES, metavar="REGEX")
    train_norms: bool = option(False, "Let layer norms move, which are frozen otherwise.", ENTRIES)
    seed: int = option(
        42, "Of everything that is drawn at random: the head, the order of the data, masks, dropout.", OPTIMISER,
        check=Check(lambda value: 0 <= value < 2**32, lambda _: "it must be a number from 0 to 4294967295."),
    )  # fmt: skip
    device: str = option("auto", "Where to compute.", MACHINE, choices=DEVICES)
    precision: str = option("f32", "Of the computation, by autocast.", MACHINE, choices=("f32", "bf16", "f16"))
    accumulate: int = option(1, "Batches whose gradients make one step.", OPTIMISER, check=POSITIVE)
    criterion: str = option("change", "What phase 1 ranks entries by.", ENTRIES, choices=CRITERIA)
    selection: str = option(
        "full", "Phase 1 as full fine-tuning; or, for models too large for that, gradients at θ(0).", ENTRIES,
        choices=("full", "streaming"),
    )  # fmt: skip
    base_dtype: str = option("f32", "In what the base is held; φ is always f32.", MACHINE, choices=("f32", "bf16"))
    mask_from: Path | None = option(
        None, "Take the positions of an SFT, or a file of boolean tensors.", ENTRIES, metavar="FILE"
    )
    avoid: tuple[Path, ...] = option((), "Keep clear of an SFT's or mask's positions.", ENTRIES, metavar="FILE")
    iterations: int = option(
        1, "Rounds of phase 1 that narrow the choice to K (the paper's code lets it grow).", ENTRIES, check=at_least(1)
    )
    rewind_to: int | None = option(
        0, "Begin phase 2 from this step of phase 1; end: rewind the learning rate only.", ENTRIES,
        metavar="STEP|end", read=parse_step, unsaid="0",
    )  # fmt: skip
    checkpoint_gradients: bool = option(
        False, "Compute activations twice, to save memory.", MACHINE, "--gradient-checkpointing"
    )
    fsdp: bool = option(False, "Share weights, gradients and moments out over processes (FSDP2).", MACHINE)
    report_to: tuple[str, ...] = option((), "A logger, such as tensorboard or wandb.", OUTPUT, metavar="NAME")
    trust_remote_code: bool = option(False, "Run the Python code that comes with the model.", BASE)
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
    check_options(made.options, made.objective)
    check_streams(made.options, [*made.data, *made.dev, *(source.data for source in made.sources)])
    _check_sources(made)
    _check_patterns(made.freeze)
    _check_method(made)
    _check_memory(made)


def _check_patterns(patterns: Sequence[str]) -> None:
    for pattern in patterns:
        try:
            re.compile(pattern)
        except re.error as error:  # noqa: PERF203 - there are few
            raise SettingsError(f"--freeze {pattern!r} is not a regular expression ({error}).") from None


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


def settings_for(objective: str, **given: Any) -> Settings:
    """The paper's recipe for an objective, changed by what was given (None means not given).

    Args:
        objective: one of ``RECIPES``.
        given: fields of :class:`Settings` and :class:`~sftkit.training.length.Lengths`.

    Raises:
        SettingsError: if a number is out of range.
    """
    recipe, said = RECIPES[objective], {key: value for key, value in given.items() if value is not None}
    lengths = Lengths(**{each.name: said.pop(each.name, None) for each in fields(Lengths)})
    phase1, phase2 = lengths.phases(recipe)
    chosen: dict[str, Any] = {"data": (), "base": Path(), "base_name": "", "phase1": phase1, "phase2": phase2}
    chosen |= {each.name: recipe[each.name] for each in fields(Settings) if each.name in recipe}
    made = Settings(objective, **(chosen | said))
    if made.base_dtype == "bf16" and made.precision == "f32":
        # float32 arithmetic on such weights would have to be asked of each layer
        made = replace(made, precision="bf16")
    check(made)
    return made
