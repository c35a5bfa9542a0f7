"""Everything that a run has before it trains, loaded and checked: the cheap and the likely to fail first."""

from __future__ import annotations

import os
from dataclasses import dataclass

import transformers

from sftkit.algebra.arithmetic import Weighted, odd_weights
from sftkit.checkpoints.checkpoint import Checkpoint
from sftkit.composing.bases import check_belongs
from sftkit.errors import SettingsError
from sftkit.format.files import SftFile
from sftkit.modeling.load import check_checkpointing, device_of, load_tokenizer
from sftkit.modeling.longest import longest
from sftkit.tasks.registry import objective_of
from sftkit.training.engine.callbacks import check_loggers
from sftkit.training.engine.ranks import check_launch, world
from sftkit.training.engine.trainer import PhaseTrainer
from sftkit.training.examples import TrainingData, featured, read_examples
from sftkit.training.observer import Observer
from sftkit.training.settings import Settings
from sftkit.training.tunable import Tunable


@dataclass(frozen=True)
class Equipment:
    """What a run works with.

    Attributes:
        checkpoint: the base.
        data: what is learned from.
        tunable: the model.
        sfts: that of each source of data, or None where a source has none.
    """

    checkpoint: Checkpoint
    data: TrainingData
    tunable: Tunable
    sfts: tuple[SftFile | None, ...]


def check_processes(settings: Settings) -> None:
    """Refuse settings that ask for more, or fewer, processes than there are.

    Raises:
        SettingsError: naming the option, or what the environment says wrongly.
    """
    if settings.selection == "streaming" and world() > 1:
        raise SettingsError("--selection streaming runs in one process: start it without torchrun.")
    if settings.fsdp and world() == 1:
        raise SettingsError("--fsdp shares a model out over processes: start it with torchrun --nproc-per-node N.")
    if settings.fsdp and not hasattr(PhaseTrainer.__base__, "_defer_fsdp_gradient_reduction"):
        raise SettingsError(f"--fsdp needs transformers 5.18 or later; this is {transformers.__version__}.")
    if os.environ.get("ACCELERATE_USE_FSDP", "false").lower() in ("true", "1"):
        raise SettingsError(
            "accelerate is set to use its own FSDP. Start with torchrun, or accelerate launch --multi_gpu, "
            "and say --fsdp to sftkit."
        )
    check_launch()


def load(settings: Settings, observer: Observer) -> Equipment:
    """Load everything.

    Raises:
        SftkitError: of the kind that fits, for data, bases, SFTs and settings that cannot be.
    """
    objective = objective_of(settings.objective, settings.options)
    objective.watch = observer.reading
    device_of(settings.device)  # what is not there is better told before anything is read
    check_loggers(settings.report_to)
    if settings.checkpoint_gradients:
        check_checkpointing(settings.base, objective.auto_class, trust_remote_code=settings.trust_remote_code)
    rows = read_examples(settings, objective, observer)
    sfts = _open_sfts(settings, observer)
    checkpoint = Checkpoint(settings.base)
    tokenizer = load_tokenizer(settings.base, words=objective.takes_words, trust_remote_code=settings.trust_remote_code)
    under = None
    if not settings.sources and sfts[0] is not None:
        under = Weighted(sfts[0], settings.source_weight, str(settings.source_sft))
        for text in odd_weights([under]):
            observer.note(text)
    tunable = Tunable(settings, rows.objective, tokenizer, under, observer)
    data = featured(settings, rows, tokenizer, longest(tunable.model, tokenizer), observer)
    return Equipment(checkpoint, data, tunable, sfts)


def _open_sfts(settings: Settings, observer: Observer) -> tuple[SftFile | None, ...]:
    paths = [*[settings.source_sft] * len(settings.data), *(source.sft for source in settings.sources)]
    opened = {path: SftFile(path) for path in paths if path is not None}
    for text in check_belongs(settings.base, [Weighted(sft, 1.0, str(path)) for path, sft in opened.items()]):
        observer.note(text)
    for path, sft in opened.items():
        if sft.metadata.is_task:
            observer.note(f"{path} is a task's SFT (--{sft.metadata.objective}); its head is left out.")
    return tuple(opened[path] if path is not None else None for path in paths)
