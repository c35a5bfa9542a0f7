"""What a model directory says of itself: ``config.json``, and the index of its shards; fields checked as they are read.

Only those fields are checked that are read here and elsewhere without transformers.
"""

from __future__ import annotations

import errno
from pathlib import Path
from typing import Any

from sftkit.checkpoints.quantised import check_no_gguf
from sftkit.checkpoints.wrappers import check_no_adapter
from sftkit.errors import CheckpointError
from sftkit.storage.documents import read_object
from sftkit.storage.nearby import no_such

#: Field -> its types, and what they are in words. None stands for "not said" in all of them.
_FIELDS: dict[str, tuple[tuple[type, ...], str]] = {
    "model_type": ((str,), "text"),
    "architectures": ((list,), "a list of names"),
    "id2label": ((dict,), "an object"),
    "label2id": ((dict,), "an object"),
    "text_config": ((dict,), "an object"),
    "quantization_config": ((dict,), "an object"),
    "tie_word_embeddings": ((bool,), "true or false"),
    "problem_type": ((str,), "text"),
}
#: How much of a wrong value is quoted.
_QUOTED = 60


def read_config(path: Path) -> dict[str, Any]:
    """``config.json`` of a model directory.

    Raises:
        CheckpointError: if there is none, it is malformed, or a field has another type than it is read as.
    """
    if not path.is_dir():
        raise CheckpointError(no_such(path, "model directory"))
    check_no_adapter(path)
    try:
        config = read_object(path / "config.json")
    except FileNotFoundError:
        check_no_gguf(path)
        raise CheckpointError(f"{path}: not a model directory (it has no config.json).") from None
    for field, (types, called) in _FIELDS.items():
        value = config.get(field)
        if value is not None and not isinstance(value, types):
            raise CheckpointError(f"{path}/config.json: {field} is {quoted(value)}, not {called}.")
    if config.get("transformers_weights"):
        named = quoted(config["transformers_weights"])
        raise CheckpointError(f"{path}/config.json: transformers_weights names {named}; other names are not read here.")
    if not all(isinstance(each, str) for each in config.get("architectures") or ()):
        raise CheckpointError(f"{path}/config.json: architectures is {quoted(config['architectures'])}, not of names.")
    return config


def of_texts(config: dict[str, Any]) -> dict[str, Any]:
    """The part of a config that is about texts: its ``text_config`` if it has one, as models of images and texts do."""
    return config.get("text_config") or config


def read_index(index: Path) -> list[str]:
    """The shards that an index names, sorted; each is a regular file beside it.

    Raises:
        CheckpointError: if it is malformed, or a shard is not there.
    """
    names = read_object(index).get("weight_map")
    if not isinstance(names, dict) or not all(isinstance(name, str) for name in names.values()):
        raise CheckpointError(f"{index}: not a valid index of shards (weight_map is {quoted(names)}).")
    shards = sorted(set(names.values()))
    for name in shards:
        if not _is_file_beside(index, name):
            raise CheckpointError(f"{index}: names the shard {quoted(name)}, which is not in that directory.")
    return shards


def _is_file_beside(index: Path, name: str) -> bool:
    """Whether a name, which may be any text, is that of a regular file in an index's directory."""
    if not name or Path(name).name != name or "\0" in name:
        return False
    try:
        return (index.parent / name).is_file()
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:  # no file has it
            return False
        raise


def quoted(value: Any) -> str:
    """A value for a message, cut where it is long."""
    text = repr(value)
    return text if len(text) <= _QUOTED else f"{text[:_QUOTED]}…"
