"""What a training run is asked for, and the paper's recipe for what was not said.

No torch: the command line reads this module for its defaults. Numbers are from Ansell et al. 2022, sections 4.2 and
4.3.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from sftkit.tasks.options import NO_OPTIONS, TaskOptions
from sftkit.training.checks import L0, check

#: K of the paper's experiments: a language's (section 4.2), and the largest of a task's (section 4.3), which was best.
LANGUAGE_K, TASK_K = 7_667_712, 14_155_776
#: Their backbones, mBERT and XLM-R base: model type -> (tokens, hidden size, parameters without the pooler).
PAPER_BACKBONES = {"bert": (119_547, 768, 177_262_848), "xlm-roberta": (250_002, 768, 277_453_056)}
#: The same as shares of mBERT's backbone, for all others: 4.33 % and 7.99 %.
LANGUAGE_DENSITY = LANGUAGE_K / PAPER_BACKBONES["bert"][2]
TASK_DENSITY = TASK_K / PAPER_BACKBONES["bert"][2]
#: What a run's directory says of the run.
RUN = "run.json"
#: Who has that directory: the lock, and what it says of its owner.
LOCK, OWNER = "run.lock", "owner.json"
#: How its name ends while it is written.
PART = ".part"


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
        source_weight: what its entries are multiplied by.
        sources: further sources, each under an SFT of its own; ``data`` then is a source under ``source_sft``.
        method: one of ``checks.METHODS``.
        criterion: one of ``checks.CRITERIA``.
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
    sources: tuple[Source, ...] = ()
    method: str = "lottery"
    k: int | None = None
    density: float | None = None
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
    freeze: tuple[str, ...] = ()
    train_norms: bool = False
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
    trust_remote_code: bool = False
    options: TaskOptions = NO_OPTIONS


_LANGUAGE = {
    "phase1": Length(epochs=100, steps=100_000, min_steps=30_000),
    "phase2": Length(epochs=100, steps=100_000, min_steps=30_000),
    "l1": 0.1,
    "eval_every": 1000,
}
_TASK = {
    "phase1": Length(epochs=3),
    "phase2": Length(epochs=10),
    "l1": 0.0,
    "eval_every": 250,
}
#: As Ebrahimi et al. 2022; the paper does so for NLI, and other texts as a whole are no different.
_SEQUENCE = _TASK | {
    "phase1": Length(epochs=5), "phase2": Length(epochs=5), "batch_size": 32, "lr": 2e-5, "eval_every": 625,
}  # fmt: skip
#: Not in the paper: that of its authors' script for SQuAD.
_ANSWERS = _TASK | {
    "phase1": Length(epochs=2), "phase2": Length(epochs=2), "batch_size": 12, "max_length": 384, "lr": 3e-5,
    "eval_every": 2000,
}  # fmt: skip
#: See docs/recipes.md for how they compare with the paper and its authors' scripts.
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
