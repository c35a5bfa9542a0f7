"""What transformers' model classes call their weights: prefixes, ties, heads, what they ignore.

Read off the library (``classes.json``, made by ``tests/checkpoints/classes.py``), so that it need not be imported. Does
not cover classes that come as Python files with a checkpoint.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

CLASSES = Path(__file__).with_name("classes.json")


@cache
def _table() -> dict[str, dict[str, dict[str, Any]]]:
    table: dict[str, dict[str, dict[str, Any]]] = json.loads(CLASSES.read_text(encoding="utf-8"))
    return table


def type_facts(model_type: str) -> Mapping[str, Any]:
    """What the classes of a model type have in common; empty for a type that transformers lacks.

    ``prefix``: of most of them; ``others``: of the rest; ``tied``: whether weights are tied where the config does not
    say ("always": whatever it says; None: there is no such setting); ``heads``: the first part of the names of heads;
    ``parts``: the first parts of the names of a backbone's weights, where loading renames none; ``buffers``: what a
    backbone stores beside them, and misses; ``base``, ``masked``, ``causal``, ``seq2seq``: names of classes;
    ``converted``: some weights are renamed or fused while loading.
    """
    return _table()["types"].get(model_type, {})


def class_facts(model_type: str, architecture: str) -> Mapping[str, Any]:
    """What one class calls its weights, the type's prefix filled in; empty if neither is known.

    ``prefix``; ``ties``: name -> the name that it is tied to; ``output`` and ``input``: the output matrix and the input
    embedding; ``stored_output``: what the former is called in a file, if not that; ``bare``: the head is nothing else;
    ``ignored``: patterns of names that are dropped while loading.
    """
    own = _table()["classes"].get(architecture, {})
    common = type_facts(model_type)
    return {"prefix": common["prefix"], **own} if common else own


def language_class(model_type: str) -> str:
    """The class with a language model's head: masked, else causal, else sequence-to-sequence, else ""."""
    known = type_facts(model_type)
    return str(known.get("masked") or known.get("causal") or known.get("seq2seq") or "")


def is_causal(model_type: str) -> bool:
    """Whether the models of a type read from left to right, so that their classifiers look for a text's last token."""
    return language_class(model_type).endswith(("ForCausalLM", "LMHeadModel"))


def ties_of(model_type: str, architecture: str) -> dict[str, str]:
    """Name -> the name that it is tied to, where the config asks for ties; full names in the class."""
    if architecture in _table()["classes"]:
        return dict(class_facts(model_type, architecture).get("ties", {}))
    known, found = type_facts(model_type), {}
    for kind in ("base", "masked", "causal", "seq2seq"):
        found.update(class_facts(model_type, str(known.get(kind, ""))).get("ties", {}))
    return found


def ignored_by(model_type: str, architecture: str) -> tuple[str, ...]:
    """Patterns of the names that a class drops while loading."""
    name = architecture if architecture in _table()["classes"] else str(type_facts(model_type).get("base", ""))
    return tuple(class_facts(model_type, name).get("ignored", ()))
