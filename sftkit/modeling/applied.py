"""SFTs that are put on a model in memory and taken off again: checked before, exact after, one thread at a time.

What is on a model is known for each model: what was put on last comes off first, and what was changed meanwhile is
refused before anything is written. Threads take turns with ``with`` blocks; a thread that only *uses* a model while
another has put something on it cannot be seen from here.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from weakref import WeakKeyDictionary

from torch import nn
from transformers import PreTrainedModel

from sftkit.errors import MismatchError
from sftkit.modeling.apply import (
    Kept,
    add_differences,
    check_fits,
    check_writable,
    embeddings_of,
    movable_parameters,
    put_back,
    unchanged,
)
from sftkit.modeling.backbone import backbone_parameters, unwrapped
from sftkit.modeling.identity import check_identity
from sftkit.operations.arithmetic import Weighted, collapse
from sftkit.operations.heads import choose_head
from sftkit.operations.lm_heads import is_lm_class, lm_head


@dataclass
class _Worn:
    """What one model has on, from the first put on to the last."""

    turn: threading.Condition = field(default_factory=threading.Condition)
    stack: list[Applied] = field(default_factory=list)


_WORN: WeakKeyDictionary[nn.Module, _Worn] = WeakKeyDictionary()
_TABLE = threading.Lock()


class Applied:
    """SFTs on a torch model, and the values that were there before."""

    def __init__(
        self, model: nn.Module, weighted: Sequence[Weighted], *, force: bool = False, scoped: bool = False
    ) -> None:
        """Put them on, all or none.

        Args:
            model: any head on the backbone that the SFTs were learned on.
            weighted: the SFTs.
            force: even if the weights are those of another base.
            scoped: it will be taken off at the end of a block: other threads may wait for that.

        Raises:
            MismatchError: if they do not fit, or another thread has SFTs on the model. Nothing was changed then.
        """
        self._model: PreTrainedModel = unwrapped(model)
        self._kept: Mapping[str, Kept] = {}
        self._tied: tuple[nn.Module, nn.Module, Any] | None = None
        self._thread, self._scoped, self._on = threading.get_ident(), scoped, False
        worn = _worn(self._model)
        with worn.turn:
            self._wait(worn)
            self._check(weighted, worn, force=force)
            self._untie(weighted)
            try:
                self._kept = add_differences(self._model, weighted)
            except BaseException:
                self._tie()
                raise
            worn.stack.append(self)
            self._on = True

    def revert(self) -> None:
        """Put θ back where it was touched, to the bit. A second call does nothing.

        Raises:
            MismatchError: if SFTs that were put on later are still on, or the weights were changed meanwhile. Nothing
                is written then.
        """
        worn = _worn(self._model)
        with worn.turn:
            if not self._on:
                return
            if worn.stack[-1] is not self:
                raise MismatchError("SFTs that were put on this model later are still on it: take those off first.")
            changed = unchanged(self._model, self._kept)
            if changed:
                raise MismatchError(
                    f"{changed} was changed since the SFTs were put on (converted, loaded or trained): they cannot be "
                    "taken off exactly. Load the model again."
                )
            put_back(self._model, self._kept)
            self._tie()
            self._kept, self._on = {}, False
            worn.stack.pop()
            worn.turn.notify_all()

    def _wait(self, worn: _Worn) -> None:
        """Let other threads' blocks end; what others put on without a block stays on for who knows how long."""

        def foreign() -> list[Applied]:
            return [each for each in worn.stack if each._thread != self._thread]

        if self._scoped:
            worn.turn.wait_for(lambda: not foreign() or not all(each._scoped for each in foreign()))
        if foreign():
            raise MismatchError("Another thread has SFTs on this model. Give each thread a model, or use with-blocks.")

    def _check(self, weighted: Sequence[Weighted], worn: _Worn, *, force: bool) -> None:
        parameters = movable_parameters(self._model)
        check_writable(parameters)
        for item in weighted:
            check_fits(parameters, item)
        if not worn.stack and not force:  # with others on it, it was looked at when it was bare
            check_identity(self._model, weighted)

    def _untie(self, weighted: Sequence[Weighted]) -> None:
        """Give the output matrix values of its own where compose would."""
        own, output = embeddings_of(self._model)
        if output is None or own is not None:
            return
        inputs = self._model.get_input_embeddings()
        if getattr(output, "weight", None) is None or inputs is None:
            return
        name, model_type = type(self._model).__name__, str(self._model.config.model_type)
        known = lm_head(model_type, name, backbone_parameters(self._model))
        choice = choose_head(collapse(weighted), name, known, base_has_lm_head=is_lm_class(name))
        if choice.untie is not None:
            self._tied = (inputs, output, self._model.config.tie_word_embeddings)
            weight: Any = inputs.weight
            output.weight = nn.Parameter(weight.detach().clone(), requires_grad=weight.requires_grad)
            self._model.config.tie_word_embeddings = False

    def _tie(self) -> None:
        if self._tied is not None:
            inputs, output, said = self._tied
            output.weight, self._tied = inputs.weight, None
            self._model.config.tie_word_embeddings = said


def check(model: nn.Module, weighted: Sequence[Weighted], *, force: bool = False) -> None:
    """Whether SFTs can be put on a model that has none on; nothing is written.

    Raises:
        MismatchError: as :class:`Applied`.
    """
    own = unwrapped(model)
    parameters = movable_parameters(own)
    check_writable(parameters)
    for item in weighted:
        check_fits(parameters, item)
    if not force:
        check_identity(own, weighted)


@contextmanager
def applied_to(model: nn.Module, weighted: Sequence[Weighted], *, force: bool = False) -> Iterator[nn.Module]:
    """A model with SFTs on it for the length of a block; other threads wait for its end.

    Raises:
        MismatchError: as :class:`Applied`.
    """
    applied = Applied(model, weighted, force=force, scoped=True)
    try:
        yield model
    finally:
        applied.revert()


def _worn(model: nn.Module) -> _Worn:
    with _TABLE:
        return _WORN.setdefault(model, _Worn())
