"""Names as wrappers store them: torch.compile, DistributedDataParallel, activation checkpoints, PEFT.

A wrapper's part of a name is taken off where what remains names a tensor once; what would be wrong then is refused.
Transformers itself takes none of these names, and would leave such a model untrained.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from sftkit.errors import CheckpointError
from sftkit.shown import shown

_INNER = ("_orig_mod.", "_fsdp_wrapped_module.", "_checkpoint_wrapped_module.")
_ANYWHERE = re.compile(rf"(^|\.)(?:{'|'.join(map(re.escape, _INNER))})+")
_AROUND = ("module.", "base_model.model.")
#: Around a part of a model. Of transformers' own classes only LeViT's has such names.
_INSIDE, HAVE_MODULES = ".module.", ("levit",)
_ADAPTER = re.compile(r"(^|\.)(lora|hada|lokr|oft|vera|ia3)_\w+(\.|$)|(^|\.)prompt_encoder\.")
_BASE_LAYER, _ORIGINAL = ".base_layer.", ".original_module."
_SAVED = re.compile(r"\.modules_to_save\.([^.]+)\.")
_MERGE = "Merge it first: model.merge_and_unload().save_pretrained(…)"


def unwrapped(keys: Iterable[str], where: Path) -> dict[str, str]:
    """Name of a tensor -> its name in the checkpoint; they differ where a wrapper was around the model.

    Raises:
        CheckpointError: if an adapter beside the weights has yet to be merged into them, or two tensors would have one
            name.
    """
    names = _without_peft({key: _ANYWHERE.sub(r"\1", key) for key in keys}, where)
    found: dict[str, str] = {}
    for key, name in _without_outer(names).items():
        if name in found:
            raise CheckpointError(f"{where}: {found[name]} and {key} are one tensor without their wrappers' names.")
        found[name] = key
    return found


def wrappers_of(stored: Mapping[str, str]) -> dict[str, str]:
    """Pattern -> replacement that lead from the names in a checkpoint to those of :func:`unwrapped`, in order.

    Args:
        stored: what :func:`unwrapped` found.
    """
    if all(name == key for name, key in stored.items()):
        return {}
    around = "|".join(re.escape(each) for each in (*_AROUND, *_INNER))
    inner = {rf"\.{re.escape(each)}": "." for each in _INNER}
    return {rf"^(?:{around})+": "", **inner, r"\.base_layer\.": ".", r"\.modules_to_save\.[^.]+\.": "."}


def check_no_adapter(path: Path) -> None:
    """Refuse a directory that holds an adapter and no model.

    Raises:
        CheckpointError: saying what to do.
    """
    if (path / "adapter_config.json").is_file() and not (path / "config.json").is_file():
        raise CheckpointError(f"{path}: a PEFT adapter without its model. {_MERGE}")


def check_all_wrapped(where: Path, names: Iterable[str]) -> None:
    """Refuse a wrapper's name before some of the weights: transformers would leave those random.

    Args:
        where: the checkpoint.
        names: what :func:`unwrapped` found.

    Raises:
        CheckpointError: quoting a name.
    """
    names = tuple(names)
    wrapped = [name for name in names if name.startswith(_AROUND) or _INSIDE in name]
    if wrapped:
        around = next((each for each in _AROUND if wrapped[0].startswith(each)), _INSIDE)
        raise CheckpointError(
            f"{where}: {len(wrapped)} of {len(names)} weights, such as {shown(wrapped[0])}, are called what a wrapper "
            f"calls them ({around.strip('.')}.…), the others are not. Rename them, or save the model itself: "
            "model.save_pretrained(…)"
        )


def _without_outer(names: dict[str, str]) -> dict[str, str]:
    """Without what is before every name."""
    around = next((each for each in _AROUND if names and all(name.startswith(each) for name in names.values())), None)
    if around is None:
        return names
    return _without_outer({key: name[len(around) :] for key, name in names.items()})


def _without_peft(names: dict[str, str], where: Path) -> dict[str, str]:
    """A module that an adapter replaces is the replacement; one that it wraps is what is wrapped."""
    marked = any(_BASE_LAYER in name or _SAVED.search(name) for name in names.values())
    marked = marked or any("base_model.model." in name for name in names.values())
    loose = next((name for name in names.values() if marked and _ADAPTER.search(name)), None)
    if loose is not None:
        raise CheckpointError(f"{where}: {loose} is a PEFT adapter's, apart from the weights. {_MERGE}")
    adapters = sorted({match[1] for name in names.values() if (match := _SAVED.search(name))})
    if len(adapters) > 1:
        raise CheckpointError(f"{where}: holds modules of the PEFT adapters {' and '.join(adapters)}. {_MERGE}")
    kept = {key: name for key, name in names.items() if not (adapters and _ORIGINAL in name)}
    return {key: _SAVED.sub(".", name).replace(_BASE_LAYER, ".") for key, name in kept.items()}
