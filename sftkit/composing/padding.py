"""The padding token of a composed classifier: its tokenizer pads by it, and its model finds a text's end by it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sftkit.checkpoints.classes import is_causal
from sftkit.checkpoints.config import of_texts, read_config
from sftkit.composing.heads import classifies_texts
from sftkit.errors import CheckpointError
from sftkit.inspecting.tokens import vocabulary
from sftkit.storage.documents import read_object

_SETTINGS, _SPECIAL = "tokenizer_config.json", "special_tokens_map.json"


def name_padding(folder: Path) -> None:
    """Make a classifier's tokenizer and its config agree on what padding is: batches need it.

    The token that the config names is the tokenizer's; where it names none, the tokenizer's is the config's. A causal
    classifier reads a text's last token before padding, and with two tokens for padding it would read padding.

    Args:
        folder: the composed model's.
    """
    config = read_config(folder)
    part, architecture = of_texts(config), str((config.get("architectures") or [""])[0])
    number = part.get("pad_token_id")
    tokens = _tokens(folder) if classifies_texts(architecture) else {}
    if not tokens:
        return
    wanted, named = tokens.get(number) if isinstance(number, int) else None, _named(folder)
    causal = is_causal(str(part.get("model_type") or ""))
    if wanted is not None and (not named or (causal and named != wanted)):
        _say(folder / _SETTINGS, pad_token=wanted)
        if (folder / _SPECIAL).is_file():
            _say(folder / _SPECIAL, pad_token=wanted)
    elif wanted is None and causal and (named or number is not None):
        place = next((at for at, token in tokens.items() if token == named), None)
        part["pad_token_id"] = place
        _say(folder / "config.json", **config)


def _named(folder: Path) -> str:
    """The padding token by the tokenizer's own settings; "" if they name none."""
    for name in (_SETTINGS, _SPECIAL):
        token = read_object(folder / name).get("pad_token") if (folder / name).is_file() else None
        if token:
            return str(token.get("content") or "") if isinstance(token, Mapping) else str(token)
    return ""


def _tokens(folder: Path) -> dict[int, str]:
    """Number -> token, as far as files say without sentencepiece; empty if they do not."""
    try:
        return vocabulary(folder)
    except CheckpointError:
        if (folder / "tokenizer.json").is_file():
            raise
    known: dict[int, str] = {}
    for name in ("vocab.json", "added_tokens.json"):
        numbers = read_object(folder / name) if (folder / name).is_file() else {}
        known |= {number: token for token, number in numbers.items() if isinstance(number, int)}
    settings = read_object(folder / _SETTINGS) if (folder / _SETTINGS).is_file() else {}
    added = settings.get("added_tokens_decoder")
    for number, token in added.items() if isinstance(added, Mapping) else ():
        if number.isdecimal() and isinstance(token, Mapping):
            known[int(number)] = str(token.get("content"))
    return known


def _say(path: Path, **changes: Any) -> None:
    known = read_object(path) if path.is_file() else {}
    text = json.dumps(known | changes, indent=2, ensure_ascii=False, sort_keys=path.name == "config.json")
    path.write_text(text + "\n", encoding="utf-8")
