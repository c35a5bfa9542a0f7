"""What a word may mean that leads to nothing on this machine: a model on the hub, or a path that is misspelt.

A model's id there is "owner/name". The ids without an owner are those of the first models, a list that is closed: they
begin with the family's name. All other words are paths, and so are those of a path's shape: with a file's suffix, with
a folder that is here before the slash, or near to the name of something that is here. An id with a revision
("owner/name@main") is the hub's whatever is here, and so is one that was downloaded before.
"""

from __future__ import annotations

import os
import re
from difflib import SequenceMatcher
from pathlib import Path

from sftkit.storage.nearby import nearby, no_such
from sftkit.storage.places import at_home

_HUB_ID = re.compile(r"^[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?$")
#: How ids without an owner begin.
_FAMILIES = re.compile(
    r"(albert|bert|camembert|ctrl|distilbert|distilgpt2|distilroberta|gpt2|openai-gpt|roberta|t5|transfo-xl|xlm|xlnet)"
    r"(-|$)"
)
#: Suffixes of files; ids on the hub have dots, too: "Llama-3.2-1B", "whisper-tiny.en".
_FILES = re.compile(
    r"(bin|bz2|conllu?|csv|gguf|gz|h5|html|ipynb|jsonl?|log|md|npz|parquet|pdf|pkl|png|pth?|py|safetensors|sft|svg|tar|"
    r"toml|tsv|txt|xml|xz|ya?ml|zip|zst)"
)
#: How like a suffix must be to "sft" (difflib's ratio) to be a misspelt one: stf, fst, sf, stft.
_LIKE = 0.6


def looks_like_hub_id(name: str) -> bool:
    """Whether a name could be a model's id on the hub: "name" or "owner/name", without a file's suffix."""
    return bool(_HUB_ID.match(name)) and not _has_suffix(name)


def cached_model(name: str) -> Path | None:
    """The directory of a hub model that was downloaded before; None if there is none. Never touches the network."""
    if not looks_like_hub_id(name.partition("@")[0]):
        return None
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

    repo, _, revision = name.partition("@")
    try:
        return Path(snapshot_download(repo, revision=revision or None, local_files_only=True))
    except (LocalEntryNotFoundError, HFValidationError):
        return None


def why_no_model(name: str) -> str:
    """Why a name that leads to nothing here can be no model on the hub; "" if it can.

    Args:
        name: as the user wrote it, without "hf://".
    """
    repo, at, _ = name.partition("@")
    if not looks_like_hub_id(repo):
        return no_such(name, "file or directory")
    if at or cached_model(name) is not None:
        return ""
    owner, slash, _ = repo.partition("/")
    near = nearby(name)
    if slash and (near or at_home(owner).is_dir()):
        return f"{no_such(name, 'file or directory')} If the hub's is meant, name its revision: {name}@main"
    if slash or _FAMILIES.match(repo) or (os.environ.get("HF_ENDPOINT") and not near):
        return ""
    told = no_such(name, "file or directory")
    return told if near else f"{told} On the hub models are called owner/name."


def _has_suffix(repo: str) -> bool:
    suffix = Path(repo).suffix[1:].lower()
    return bool(_FILES.fullmatch(suffix)) or SequenceMatcher(None, suffix, "sft").ratio() > _LIKE
