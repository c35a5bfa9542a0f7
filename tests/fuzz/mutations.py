"""Wrong inputs from right ones: bytes and JSON documents, changed at random from a seed."""

from __future__ import annotations

import copy
import json
import random
from typing import Any

#: What stands in JSON where something else is expected.
ODD: tuple[Any, ...] = (
    None, True, False, 0, 1, -1, 3, 7, 255, 2**31, 2**40, 2**62, 2**63, 10**30, -(2**63), 0.5, -0.0, 1e308, 1e-308,
    float("nan"), float("inf"), "", "x", "0", "[PAD]", "a/b", "../x", "\0", "\x1b[31m", "\ud800", "é" * 300, "/", ".",
    [], {}, [[]], [None], {"": {}}, [1, 2], {"x": 1}, ["x"], "float32", "eager", "BertForMaskedLM",
)  # fmt: skip
#: Texts that stand in the place of a value: what no document can be made of.
_RAW = ("[" * 100_000, '{"x":' * 3000 + "1" + "}" * 3000, "9" * 6000, "-", "NaN", '"\\ud800"', "", "[1,]", "1e999")
_BYTES = (b"\0", b"\n", b"\t", b'"', b"\xff", b"\xed\xa0\x80", b"[" * 50, b"-1", b"1e9")
_MARK = "\u2603 here \u2603"


def bytes_of(data: bytes, draw: random.Random) -> bytes:
    """Some bytes changed, left out, repeated, or put in."""
    made = bytearray(data)
    for _ in range(draw.choice((1, 1, 1, 2, 4, 16))):
        at = draw.randrange(len(made) + 1)
        match draw.randrange(6):
            case 0 if made:
                made[at % len(made)] = draw.randrange(256)
            case 1 if made:
                made[at % len(made)] ^= 1 << draw.randrange(8)
            case 2:
                del made[at : at + draw.choice((1, 2, 8, 100))]
            case 3:
                made[at:at] = made[at : at + draw.choice((1, 4, 40))]
            case 4:
                made[at:at] = draw.choice(_BYTES)
            case _:
                del made[at:]
    return bytes(made)


def json_of(document: Any, draw: random.Random) -> bytes:
    """A document with values replaced, left out, renamed or moved; as text, which may be no JSON any more."""
    made = copy.deepcopy(document)
    for _ in range(draw.choice((1, 1, 1, 1, 2, 3))):
        _change(made, draw)
    raw = draw.random() < 0.1
    if raw:
        _change(made, draw, _MARK)
    text = json.dumps(made)
    return (text.replace(json.dumps(_MARK), draw.choice(_RAW), 1) if raw else text).encode("utf-8", "surrogatepass")


def _change(document: Any, draw: random.Random, value: Any = None) -> None:
    places = list(_places(document))
    if not places:
        return
    inside, key = draw.choice(places)
    kind = draw.random()
    if value is not None or kind < 0.75:
        inside[key] = copy.deepcopy(draw.choice(ODD)) if value is None else value
    elif kind < 0.85:
        del inside[key]
    elif isinstance(inside, dict):
        inside[draw.choice(("", "x", "model_type", "dtype", "added_tokens", "\ud800"))] = inside.pop(key)
    else:
        inside[key] = [inside[key], inside[key]]


def _places(document: Any) -> Any:
    """(container, key) of every value; of long containers only the first."""
    items = (
        document.items() if isinstance(document, dict) else enumerate(document) if isinstance(document, list) else ()
    )
    for at, (key, value) in enumerate(list(items)):
        if at < 40:
            yield document, key
            yield from _places(value)
