"""What of a base and its SFTs can be checked in about a second, before torch is imported and a model is loaded.

All of it is checked again where it is used; here it is only told sooner.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from sftkit.algebra.arithmetic import Weighted
from sftkit.checkpoints.checkpoint import PYTORCH, PYTORCH_INDEX, SAFETENSORS, SAFETENSORS_INDEX, Checkpoint
from sftkit.checkpoints.config import read_config
from sftkit.composing.bases import check_belongs, set_aside
from sftkit.composing.belong import check_shapes
from sftkit.composing.heads import brings_task_head
from sftkit.composing.renamed import parameters_as_learned
from sftkit.errors import CheckpointError, MismatchError

#: Bytes of weights that are read in a second.
_SOON = 1 << 30
#: How the names of classes end that have no task's head.
_WITHOUT = ("ForMaskedLM", "ForPreTraining", "ForCausalLM", "LMHeadModel")
#: Names of files from which some tokenizer is made, and of code that may make one.
_TOKENIZERS = ("*token*", "*vocab*", "*.model", "*.tiktoken", "*.txt", "*.bpe", "*.codes", "*.py")


def check_soon(base: Path, weighted: Sequence[Weighted], *, force: bool = False) -> None:
    """See that a base is whole, and that SFTs fit it: names and shapes; fingerprints, too, where the base is small.

    Raises:
        CheckpointError, FormatError: if the base lacks a part, or one of its files is cut short.
        MismatchError: as ``check_belongs``.
    """
    _check_files(base)
    if not weighted:
        return
    if sum(path.stat().st_size for path in base.iterdir() if path.is_file()) <= _SOON:
        check_belongs(base, weighted, force=force)
        return
    checkpoint = Checkpoint(base)
    check_shapes(parameters_as_learned(checkpoint, weighted), weighted, str(base), set_aside(checkpoint))


def _check_files(base: Path) -> None:
    read_config(base)
    torchs = any((base / name).is_file() for name in (PYTORCH, PYTORCH_INDEX))
    if not torchs or any((base / name).is_file() for name in (SAFETENSORS, SAFETENSORS_INDEX)):
        Checkpoint(base)  # torch's files are opened by torch
    if not any(path for pattern in _TOKENIZERS for path in base.glob(pattern)):
        raise CheckpointError(
            f"{base}: holds no tokenizer. Copy tokenizer.json and tokenizer_config.json beside the model."
        )


def check_task(weighted: Sequence[Weighted], objective: str) -> None:
    """See that the one task's SFT among several was trained for what it is to be scored on.

    Raises:
        MismatchError: as :func:`check_objective`.
    """
    tasks = [item for item in weighted if brings_task_head(item.sft) and item.weight]
    if len(tasks) == 1:
        check_objective(tasks[0], objective)


def check_head(base: Path, name: str, weighted: Sequence[Weighted], objective: str) -> None:
    """See that one of several SFTs brings a task's head, where the base is of a language model's class.

    Args:
        base: the model's directory.
        name: what to call it.
        weighted: what is added to it.
        objective: what for.

    Raises:
        MismatchError: saying what brings one.
    """
    config = read_config(base)
    bare = str((config.get("architectures") or [""])[0]).endswith(_WITHOUT) and not config.get("auto_map")
    if objective in ("mlm", "clm") or not bare or not weighted or any(brings_task_head(item.sft) for item in weighted):
        return
    raise MismatchError(
        f"{name}: nothing brings a trained head for --{objective}. Add an SFT trained with --{objective}, or name a "
        "model that has such a head."
    )


def check_objective(item: Weighted, objective: str) -> None:
    """See that a task's SFT was trained for what it is to be scored on.

    Raises:
        MismatchError: naming both objectives.
    """
    learned = item.sft.metadata.objective
    if item.sft.metadata.is_task and learned != objective:
        raise MismatchError(
            f"{item.path}: was trained with --{learned}, not --{objective}. Use it with --{learned}, or leave it out."
        )
