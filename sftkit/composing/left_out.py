"""What the difference of two models does not hold: tensors that will not come out of base + SFT as they were."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from collections.abc import Set as AbstractSet

from sftkit.checkpoints.lm_heads import is_task_class
from sftkit.checkpoints.ties import same_bytes
from sftkit.composing.layout import BaseView, is_untied
from sftkit.storage.dtypes import FLOATS


def left_out(tuned: BaseView, base: BaseView, inside: AbstractSet[str], head: Iterable[str]) -> Iterator[str]:
    """Tensors of the tuned model that base + SFT will not have as they are.

    Args:
        tuned: the model that was fine-tuned.
        base: the model that it came from.
        inside: keys of the tuned model that the SFT covers.
        head: keys of its head, whole.
    """
    mine, theirs = tuned.checkpoint, base.checkpoint
    output = tuned.known.output if tuned.known is not None else ""
    for key in mine.keys:
        if key in inside or key in mine.ignored or key in mine.copies:
            continue
        other = next((each for each in (key, theirs.backbone.get(mine.names.get(key, ""))) if each in theirs.keys), "")
        if key == output and not other:
            other = theirs.backbone.get(tuned.known.input, "") if tuned.known else ""
        if not other or not same_bytes(mine, key, theirs, other):
            yield key
    lacks = not is_untied(tuned) and not is_task_class(tuned.architecture)  # a task's head is in its place
    if base.known is not None and is_untied(base) and lacks and base.known.output in theirs.keys:
        yield base.known.output
    for key in head:  # composing gives a head the base's dtype
        if key in mine.keys and theirs.dtype and mine.spec(key).dtype.itemsize > _width(theirs.dtype):
            yield key


def _width(dtype: str) -> int:
    return next(int(each.itemsize) for each in FLOATS if each.name == dtype)
