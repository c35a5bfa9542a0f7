"""Blocks of a switch: one set at a time, θ back whatever happens in them, in threads, generators and signals."""

from __future__ import annotations

import _thread
import gc
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

import sftkit
from sftkit.errors import MismatchError
from sftkit.modeling import swap, switched
from tests.helpers import pico
from tests.helpers.build import make_sft
from tests.modeling.test_applied import QUERY, in_memory, same, state

NAME = f"bert.{QUERY}"


@pytest.fixture(scope="module")
def sfts(pico_base: Path) -> dict[str, sftkit.SFT]:
    return {name: in_memory(make_sft(pico_base, seed=at, k=4000)) for at, name in enumerate(("a", "b"), 1)}


def test_one_set_at_a_time(sfts: dict[str, sftkit.SFT]) -> None:
    model: Any = pico.make_model()
    before, switch = state(model), sftkit.Switch(model, sfts)
    with switch("a"):
        on = state(model)
        with pytest.raises(MismatchError, match="already"), switch("b"):
            pass
        with sfts["b"].applied_to(model):  # this one says what it adds to
            assert not same(model, on)
        assert same(model, on)
        with pytest.raises(MismatchError, match="take them off first"):
            sftkit.Switch(model, sfts)
    assert same(model, before)
    with sfts["a"].applied_to(model), pytest.raises(MismatchError, match="already"), switch("b"):
        pass
    assert same(model, before)


def test_whatever_is_raised_in_a_block_theta_is_back(sfts: dict[str, sftkit.SFT]) -> None:
    model: Any = pico.make_model()
    before, switch = state(model), sftkit.Switch(model, sfts)
    for kind in (ValueError, KeyboardInterrupt, GeneratorExit, SystemExit):
        with pytest.raises(kind), switch("a"):
            raise kind
        assert same(model, before)


@pytest.mark.parametrize("way", ["on", "off"])
def test_ctrl_c_while_values_are_written_leaves_theta_whole(
    way: str, sfts: dict[str, sftkit.SFT], monkeypatch: pytest.MonkeyPatch
) -> None:
    model: Any = pico.make_model()
    before, switch = state(model), sftkit.Switch(model, sfts)
    exchange = swap.exchange

    def interrupted(*given: Any, on: bool) -> str:
        if on == (way == "on"):
            monkeypatch.setattr(switched, "exchange", exchange)
            _thread.interrupt_main()
        return exchange(*given, on=on)

    monkeypatch.setattr(switched, "exchange", interrupted)
    heard = signal.signal(signal.SIGINT, signal.default_int_handler)  # what shells start behind them does not hear it
    try:
        with pytest.raises(KeyboardInterrupt), switch("a"):
            pass
    finally:
        signal.signal(signal.SIGINT, heard)
    assert same(model, before)
    with switch("b"):
        pass
    assert same(model, before)


def test_one_parameter_that_cannot_be_written_leaves_all_others_as_they_were(
    sfts: dict[str, sftkit.SFT], monkeypatch: pytest.MonkeyPatch
) -> None:
    model: Any = pico.make_model()
    before, switch = state(model), sftkit.Switch(model, sfts)
    call = swap._HostSwap.__call__

    def failing(self: Any, tensor: torch.Tensor, *, on: bool) -> bool:
        if self.name == QUERY and on:
            raise MemoryError
        return call(self, tensor, on=on)

    monkeypatch.setattr(swap._HostSwap, "__call__", failing)
    with pytest.raises(MemoryError), switch("a"):
        pass
    assert same(model, before)


def _suspended(context: Any) -> Iterator[None]:
    with context:
        yield


def test_blocks_that_end_out_of_order_are_told_and_leave_the_base(sfts: dict[str, sftkit.SFT]) -> None:
    model: Any = pico.make_model()
    before = state(model)
    first, second = (_suspended(sfts[name].applied_to(model)) for name in "ab")
    next(first)
    next(second)
    with pytest.raises(MismatchError, match="later"):
        next(first)
    assert list(second) == []
    assert same(model, before)
    with sfts["a"].applied_to(model):
        pass


def test_a_generator_that_is_dropped_takes_its_set_off(sfts: dict[str, sftkit.SFT]) -> None:
    model: Any = pico.make_model()
    before, switch = state(model), sftkit.Switch(model, sfts)
    suspended = _suspended(switch("a"))
    next(suspended)
    assert not same(model, before)
    del suspended
    gc.collect()
    assert same(model, before)


def test_nobody_waits_for_a_block_that_failed_or_whose_thread_ended(sfts: dict[str, sftkit.SFT]) -> None:
    model: Any = pico.make_model()
    kept: list[Any] = []

    def leave_open() -> None:
        kept.append(_suspended(sfts["a"].applied_to(model)))
        next(kept[0])

    thread = threading.Thread(target=leave_open)
    thread.start()
    thread.join()
    with pytest.raises(MismatchError, match="Another thread"), sfts["b"].applied_to(model):
        pass
    assert list(kept[0]) == []

    def fail() -> None:
        with pytest.raises(MismatchError), sfts["a"].applied_to(model):
            model.get_parameter(NAME).data.add_(1.0)

    thread = threading.Thread(target=fail)
    thread.start()
    thread.join()
    with pytest.raises(MismatchError, match="another base"), sfts["b"].applied_to(model):
        pass


def test_a_block_is_used_again_and_again_and_as_a_decorator(sfts: dict[str, sftkit.SFT]) -> None:
    model: Any = pico.make_model()
    before, switch = state(model), sftkit.Switch(model, sfts)
    block = switch("a")
    for _ in range(2):
        with block as on:
            assert not same(on, before)
        assert same(model, before)

    @block
    def is_bare() -> bool:
        return same(model, before)

    assert not is_bare()
    assert not is_bare()
    assert same(model, before)
