"""The padding token of a composed classifier."""

from __future__ import annotations

import json
from pathlib import Path

from sftkit.checkpoints.config import read_config
from sftkit.composing.heads import classifies_texts
from sftkit.inspecting.tokens import vocabulary
from sftkit.storage.documents import read_object


def name_padding(folder: Path) -> None:
    """Give a classifier's tokenizer the padding token that its config names, if it has none: batches need one.

    Args:
        folder: the composed model's.
    """
    config = read_config(folder)
    architecture, number = str((config.get("architectures") or [""])[0]), config.get("pad_token_id")
    path = folder / "tokenizer_config.json"
    if not classifies_texts(architecture) or not isinstance(number, int) or not (folder / "tokenizer.json").is_file():
        return
    settings = read_object(path) if path.is_file() else {}
    token = vocabulary(folder).get(number)
    if settings.get("pad_token") or token is None:
        return
    for each in (path, folder / "special_tokens_map.json"):
        if each == path or each.is_file():
            known = read_object(each) if each.is_file() else {}
            text = json.dumps(known | {"pad_token": token}, indent=2, ensure_ascii=False)
            each.write_text(text + "\n", encoding="utf-8")
