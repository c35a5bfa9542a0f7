"""What is written beside the weights of a composed model: ``sftkit.json`` and ``config.json``.

``sftkit.json`` says what the model was made of, in an order that does not depend on the command line.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sftkit import __version__
from sftkit.algebra.arithmetic import Weighted
from sftkit.checkpoints.checkpoint import Checkpoint
from sftkit.composing.beside import RECORD
from sftkit.errors import CheckpointError, SettingsError
from sftkit.shown import shown
from sftkit.storage.documents import read_object

_OF_ITS_OWN = "Delete it to use the model as a base of its own."


def check_names(names: Iterable[str]) -> None:
    """Refuse what no record could hold: names that are not UTF-8.

    Args:
        names: of bases, SFTs and data, as they were given.

    Raises:
        SettingsError: naming one.
    """
    for name in names:
        if any("\ud800" <= letter <= "\udfff" for letter in name):
            raise SettingsError(
                f"{shown(name)}: this name is not UTF-8, so no record could hold it. Rename it, or link to it."
            )


@dataclass(frozen=True)
class Record:
    """The content of ``sftkit.json``.

    Attributes:
        base: name, path, fingerprint and model type of what the SFTs were added to.
        sfts: path, weight, digest, k and objective of each, sorted by digest.
        method: how they were added, with its settings; {"name": "several"} after steps of different methods.
        fingerprint: of the result, so that a model that was changed since is recognised.
        carried: what was copied from the base, so that the folder is known again when it is to be replaced.
    """

    base: Mapping[str, Any]
    sfts: tuple[Mapping[str, Any], ...]
    method: Mapping[str, Any] = field(default_factory=lambda: {"name": "sum"})
    fingerprint: str = ""
    carried: tuple[str, ...] = ()

    def write(self, folder: Path) -> None:
        """Write ``sftkit.json``."""
        document = {
            "sftkit": __version__, "base": dict(self.base), "method": dict(self.method),
            "sfts": [dict(sft) for sft in self.sfts], "fingerprint": self.fingerprint, "carried": list(self.carried),
        }  # fmt: skip
        _write_json(folder / RECORD, document)

    @staticmethod
    def read(folder: Path) -> Record | None:
        """Read the record of a composed model; None where there is none.

        Raises:
            CheckpointError: if it is malformed.
        """
        path = folder / RECORD
        try:
            document = read_object(path)
            sfts = [
                dict(sft) | {"weight": float(sft["weight"]), "digest": str(sft["digest"])} for sft in document["sfts"]
            ]
            return Record(
                dict(document["base"]), tuple(sfts), dict(document["method"]), str(document.get("fingerprint") or "")
            )
        except FileNotFoundError:
            return None
        except CheckpointError as error:
            raise CheckpointError(f"{error} {_OF_ITS_OWN}") from None
        except (ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
            raise CheckpointError(
                f"{path}: malformed ({type(error).__name__}: {error!s:.200}). {_OF_ITS_OWN}"
            ) from None

    def origin(self, found: str) -> str:
        """The fingerprint of what the model was made from; "" if the model, which has ``found``, was changed since."""
        return str(self.base.get("fingerprint") or "") if self.fingerprint in ("", found) else ""

    def again(self, weighted: Sequence[Weighted], model: str) -> tuple[str, ...]:
        """Notes on SFTs that are to be added to the model, and that it was composed with already."""
        there = {str(sft["digest"]): sft["weight"] for sft in self.sfts}
        return tuple(
            f"{item.path} is in {model} already, with weight {there[item.sft.digest]:g}; it is added once more."
            for item in weighted
            if item.weight > 0 and there.get(item.sft.digest, 0) > 0
        )


def describe(weighted: Sequence[Weighted]) -> tuple[dict[str, Any], ...]:
    """What ``sftkit.json`` says of SFTs, sorted by digest."""
    return tuple(
        {
            "path": item.path,
            "weight": item.weight,
            "digest": item.sft.digest,
            "k": item.sft.metadata.k,
            "objective": item.sft.metadata.objective,
        }
        for item in sorted(weighted, key=lambda item: (item.sft.digest, item.weight))
    )


def summed(sfts: Sequence[Mapping[str, Any]]) -> tuple[dict[str, Any], ...]:
    """Each digest once, with the sum of its weights; those of weight 0 left out; sorted by digest."""
    totals: dict[str, dict[str, Any]] = {}
    for sft in sfts:
        known = totals.setdefault(sft["digest"], dict(sft) | {"weight": 0.0})
        known["weight"] += sft["weight"]
        known["path"] = min(str(known.get("path", "")), str(sft.get("path", "")))
    return tuple(totals[digest] for digest in sorted(totals) if totals[digest]["weight"])


def write_config(folder: Path, base: Checkpoint, changes: Mapping[str, Any]) -> None:
    """The base's config with its dtype and the head's changes."""
    config = dict(base.config)
    if "dtype" not in config and "torch_dtype" not in config and base.dtype:
        config["dtype"] = base.dtype
    if changes.get("architectures") and changes["architectures"] != config.get("architectures"):
        for key in ("id2label", "label2id", "problem_type"):  # another head's
            config.pop(key, None)
    if "pad_token_id" in changes and config.get("text_config"):
        rest = {key: value for key, value in changes.items() if key != "pad_token_id"}
        changes = rest | {"text_config": config["text_config"] | {"pad_token_id": changes["pad_token_id"]}}
    merged = config | dict(changes)
    _write_json(
        folder / "config.json", {key: value for key, value in merged.items() if key not in changes or value is not None}
    )


def _write_json(path: Path, document: Mapping[str, Any]) -> None:
    text = json.dumps(document, indent=2, sort_keys=True, ensure_ascii=False)
    path.write_text(text + "\n", encoding="utf-8")
