"""What lies beside a base's weights goes along: all but weights in any format, training, and what is written anew.

Old weights that stayed beside new ones would be taken for the new model by whoever loads that format.
"""

from __future__ import annotations

import fnmatch
import shutil
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from sftkit.checkpoints.checkpoint import PYTORCH, PYTORCH_INDEX, SAFETENSORS, SAFETENSORS_INDEX
from sftkit.checkpoints.config import read_index
from sftkit.errors import CheckpointError
from sftkit.shown import shown
from sftkit.storage.documents import read_json, read_object

RECORD = "sftkit.json"
_MODULES = "modules.json"
#: Endings of weights that also come with something after them (``model.safetensors.old``, indices of shards); others.
_FORMATS = ("safetensors", "bin", "h5", "msgpack", "gguf", "onnx", "ckpt", "pt", "pth", "pb", "tar")
_MORE_FORMATS = (
    "ot", "ggml", "npz", "tflite", "keras", "distcp", "pdparams", "params", "pte", "pt2", "engine", "trt", "mlmodel",
    "nemo", "task", "litertlm", "tgz", "zip",
)  # fmt: skip
_WEIGHTS = (
    *(f"*.{ending}" for ending in (*_FORMATS, *_MORE_FORMATS)), *(f"*.{ending}.*" for ending in _FORMATS),
    "*.onnx_data*", "*.ckpt-*", "*.data-?????-of-?????", "openvino_*.xml", "checkpoint",
)  # fmt: skip
#: What is written anew, is of the training that made the base, or describes the base itself, or differences from it.
_OTHER = (
    "config.json", RECORD, "README.md", "adapter_config.json", "adapter_model*", "trainer_state.json",
    "all_results.json", "train_results.json", "eval_results.json", "events.out.*", "*.sft", ".*",
)  # fmt: skip
#: Of the weights the small projections that embedding models have beside theirs (``colbert_linear.pt``).
_COPIED = ("*_linear.pt",)
#: Folders of the same model in other formats, and of its training.
_NOT_ENTERED = (
    ".*", "onnx", "openvino", "coreml", "original", "saved_model", "variables", "*.mlpackage", "*.mlmodelc", "*_fsdp_*",
    "global_step*", "runs", "logs", "wandb", "mlruns", "checkpoint-*", "__pycache__",
)  # fmt: skip


def copy_small_files(source: Path, folder: Path) -> tuple[str, ...]:
    """What lies beside the weights: tokenizer, templates, processors, Python files (which are never run), modules.

    Folders that ``modules.json`` of sentence-transformers names are copied whole: a dense layer's weights are in one.

    Returns:
        The files, and folders without any, by their paths inside; sorted.

    Raises:
        CheckpointError: if a link leads nowhere, or a module is a model of its own, which would stay as it is.
    """
    there = set(folder.rglob("*"))
    modules = _modules(source)
    for path in _files(source, source, frozenset(), modules):
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source / path, folder / path)
    for module in modules:
        (folder / module).mkdir(parents=True, exist_ok=True)
    made = (path for path in folder.rglob("*") if path not in there)
    return tuple(
        sorted(path.relative_to(folder).as_posix() for path in made if not (path.is_dir() and any(path.iterdir())))
    )


def copy_model(source: Path, folder: Path) -> None:
    """A base as it is, to the byte: config, weights under their own names, and small files; no ``sftkit.json``."""
    copy_small_files(source, folder)
    for name in ("config.json", *_weights_of(source)):
        shutil.copyfile(source / name, folder / name)


def _weights_of(source: Path) -> tuple[str, ...]:
    """The files of weights that the base is read from, and their index."""
    for whole, index in ((SAFETENSORS, SAFETENSORS_INDEX), (PYTORCH, PYTORCH_INDEX)):
        if (source / whole).is_file():
            return (whole,)
        if (source / index).is_file():
            return (index, *read_index(source / index))
    return ()


def _files(root: Path, at: Path, above: frozenset[Path], modules: frozenset[Path]) -> Iterator[Path]:
    """The files to copy in a folder, by their paths from the root; a link back to a folder above is not followed."""
    above = above | {at.resolve()}
    inside = any(at.relative_to(root).is_relative_to(module) for module in modules)
    for path in sorted(at.iterdir()):
        if path.is_dir():
            wanted = inside or any(module.is_relative_to(path.relative_to(root)) for module in modules)
            if path.resolve() not in above and (wanted or not _is_left(path)):
                yield from _files(root, path, above, modules)
        elif inside or _is_small(path, top=at == root):
            if path.is_file():
                yield _utf8(path).relative_to(root)
            elif path.is_symlink():
                raise CheckpointError(f"{path}: a link to nothing. Download the model once more, or remove the link.")


def _utf8(path: Path) -> Path:
    if any("\ud800" <= letter <= "\udfff" for letter in path.name):
        raise CheckpointError(f"{shown(str(path))}: this name is not UTF-8, so no record could hold it. Rename it.")
    return path


def _is_small(path: Path, *, top: bool) -> bool:
    """Whether a file is one to copy; a folder has a ``config.json`` of its own, which nobody writes anew."""
    if _matches(path.name, _COPIED) or (path.name == "config.json" and not top):
        return True
    return not _matches(path.name, (*_WEIGHTS, *_OTHER))


def _is_left(folder: Path) -> bool:
    """Whether a folder is of training, or of a model in its own right, such as the base in another precision."""
    return _matches(folder.name, _NOT_ENTERED) or _is_model(folder)


def _is_model(folder: Path) -> bool:
    """Whether a folder holds a model of transformers: a config that names its type, and weights."""
    try:
        named = read_object(folder / "config.json").get("model_type")
    except (OSError, CheckpointError):
        return False
    return bool(named) and any(_matches(path.name, _WEIGHTS) for path in folder.iterdir())


def _modules(source: Path) -> frozenset[Path]:
    """The folders that ``modules.json`` names and that are there, by their paths inside.

    An empty one, of a module without weights, is often not there: neither git nor the hub keeps it.
    """
    where = source / _MODULES
    try:
        named = [str(module.get("path") or "").replace("\\", "/") for module in read_json(where)]
    except FileNotFoundError:
        return frozenset()
    except (TypeError, AttributeError):
        raise CheckpointError(f"{where}: not a list of modules, as sentence-transformers writes it.") from None
    found = {Path(PurePosixPath(name)) for name in named} - {Path()}
    for path in sorted(found):
        if path.is_absolute() or ".." in path.parts:
            raise CheckpointError(f"{where}: its module {path} lies outside the model. Move it inside.")
        if _is_model(source / path):
            raise CheckpointError(
                f"{where}: its module {path} is a model of its own, which would stay as it is. Compose {source / path}."
            )
    return frozenset(path for path in found if (source / path).is_dir())


def _matches(name: str, patterns: tuple[str, ...]) -> bool:
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)
