"""What is put on a model in memory and taken off again: in order, one thread at a time, all or nothing.

What is on a model is known for each model: what was put on last comes off first, and what was changed meanwhile is
refused before anything is written. Threads take turns with ``with`` blocks; a thread that only *uses* a model while
another has put something on it cannot be seen from here.
"""

from __future__ import annotations

import _thread
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from weakref import WeakKeyDictionary, ref

import torch
from torch import nn
from transformers import PreTrainedModel

from sftkit.errors import MismatchError
from sftkit.modeling.identity import forget

#: Seconds after which it is looked whether a thread that is waited for still runs.
_PATIENCE = 1.0


@dataclass
class Worn:
    """What one model has on, from the first put on to the last."""

    turn: threading.Condition = field(default_factory=threading.Condition)
    stack: list[Layer] = field(default_factory=list)


_WORN: WeakKeyDictionary[nn.Module, Worn] = WeakKeyDictionary()
_TABLE = threading.Lock()


def worn_by(model: nn.Module) -> Worn:
    """What a model has on."""
    with _TABLE:
        return _WORN.setdefault(model, Worn())


class Layer(ABC):
    """Something that can be put on one model once.

    Attributes:
        thread: who put it on.
        scoped: it comes off at the end of a block: other threads may wait for that.
    """

    def __init__(self, model: PreTrainedModel, *, scoped: bool) -> None:
        self._model, self._worn = ref(model), worn_by(model)  # what is never taken off keeps no model alive
        self.thread, self.scoped = threading.get_ident(), scoped
        self._on = self._late = False
        self._lost = ""

    @property
    def model(self) -> PreTrainedModel:
        """The model."""
        model = self._model()
        assert model is not None, "nobody has the model any more"
        return model

    @abstractmethod
    def check(self, worn: Worn) -> None:
        """Refuse a model that it cannot be put on.

        Raises:
            MismatchError: nothing was written.
        """

    @abstractmethod
    def write(self) -> None:
        """Change the model, or raise and leave it as it is."""

    @abstractmethod
    def restore(self) -> None:
        """Undo it to the bit, or raise MismatchError, if it was changed meanwhile, and write nothing."""

    def put_on(self) -> None:
        """Check and write.

        Raises:
            MismatchError: if it does not fit, or another thread has something on the model. Nothing was changed then.
        """
        with self._worn.turn:
            _wait(self._worn, scoped=self.scoped)
            self.check(self._worn)
            try:
                unbroken(self._write)
            except BaseException:
                if self._on:  # interrupted, and its owner never learns of it
                    unbroken(self._restore)
                raise

    def take_off(self) -> None:
        """Put everything back, to the bit. A second call does nothing.

        Raises:
            MismatchError: if something that was put on later is still on (what ends out of order because its block
                ended comes off with that), or the weights were changed meanwhile. Nothing is written then.
        """
        with self._worn.turn:
            if self._lost:
                raise MismatchError(self._lost)
            if self._model() is None or not self._on:
                return
            if self._worn.stack[-1] is not self:
                self._late = self.scoped
                raise MismatchError("SFTs that were put on this model later are still on it: take those off first.")
            try:
                unbroken(self._restore)
            finally:
                self._worn.turn.notify_all()

    def _write(self) -> None:
        settle(self.model)
        self.write()
        settle(self.model)
        self._worn.stack.append(self)
        self._on = True

    def _restore(self) -> None:
        try:
            settle(self.model)
            self.restore()
            settle(self.model)
        except BaseException as error:
            self._lost = str(error)  # it stays on: there is nothing left to wait for
            forget(self.model)
            raise
        finally:
            self._on = False
            self._worn.stack.pop()
            if self._worn.stack and self._worn.stack[-1]._late:
                self._worn.stack[-1]._restore()


@contextmanager
def bare(model: PreTrainedModel) -> Iterator[None]:
    """For the length of a block nothing is put on a model; other threads' blocks end first.

    Raises:
        MismatchError: if something is on it.
    """
    worn = worn_by(model)
    with worn.turn:
        _wait(worn, scoped=True)
        if worn.stack:
            raise MismatchError("SFTs are on this model: take them off first.")
        yield


def _wait(worn: Worn, *, scoped: bool) -> None:
    """Let other threads' blocks end; what others put on without a block stays on for who knows how long."""
    while foreign := [each for each in worn.stack if each.thread != threading.get_ident()]:
        alive = {thread.ident for thread in threading.enumerate()}
        if not scoped or not all(each.scoped and each.thread in alive for each in foreign):
            raise MismatchError("Another thread has SFTs on this model. Give each thread a model, or use with-blocks.")
        worn.turn.wait(_PATIENCE)


def settle(model: nn.Module) -> None:
    """Wait for what devices were told to do with a model: it may be on its way in another stream than ours."""
    for device in {parameter.device for parameter in model.parameters()}:
        if device.type not in ("cpu", "meta"):
            torch.accelerator.synchronize(device)


def unbroken(work: Callable[[], None]) -> None:
    """Do something to its end, whatever interrupts this thread meanwhile, as Ctrl-C does; then raise that."""
    if threading.current_thread() is not threading.main_thread():  # only the main thread is interrupted
        work()
        return
    finished = threading.Event()
    raised: list[BaseException] = []

    def run() -> None:
        try:
            work()
        except BaseException as error:
            raised.append(error)
        finally:
            finished.set()

    _thread.start_new_thread(run, ())
    while not finished.is_set():
        try:
            finished.wait()
        except BaseException as error:  # noqa: PERF203
            raised.append(error)
    if raised:
        raise raised[-1]
