"""θ as it was and θ with φ, changed for each other: what switching costs.

Kept of each touched element are its position and the bits in which the two differ, so that one exclusive or goes either
way, and of both a hash: values that are neither are seen before anything is written in their place.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol

import numpy as np
import torch
import xxhash
from numpy.typing import NDArray

from sftkit.algebra.arithmetic import Merger, Weighted, added
from sftkit.algebra.window import Merged
from sftkit.checkpoints.checkpoint import tensor_to_numpy
from sftkit.composing.turns import THREADS
from sftkit.modeling.apply import memory_of
from sftkit.modeling.backbone import flat

#: Elements of a parameter that are read and then written: at usual densities the processor's cache still has them.
_STRETCH = 1 << 19
#: The same on a device of its own, where a call costs more than a pass over memory.
_DEVICE_STRETCH = 1 << 26
#: Entries below which threads cost more than they bring.
_FEW = 1 << 17
#: Integers that hold the bits of a number, by its size in bytes.
_BITS = {2: torch.int16, 4: torch.int32, 8: torch.int64}


class Swap(Protocol):
    """Two states of some elements of one parameter."""

    @property
    def name(self) -> str:
        """The parameter's canonical name."""
        ...

    def __len__(self) -> int:
        """How many elements."""
        ...

    def __call__(self, tensor: torch.Tensor, *, on: bool) -> bool:
        """From the one state to the other; False, and nothing is written, if they are in neither the one asked from."""
        ...


class _HostSwap:
    """In the processor's memory."""

    def __init__(self, name: str, positions: NDArray[Any], before: NDArray[Any], after: NDArray[Any]) -> None:
        self.name, self._positions, self._change = name, positions, before ^ after
        self._hashes = _hash(after), _hash(before)

    def __len__(self) -> int:
        return len(self._positions)

    def __call__(self, tensor: torch.Tensor, *, on: bool) -> bool:
        theta = _unsigned(tensor_to_numpy(flat(tensor), self.name))
        positions = self._positions.astype(np.intp)
        there = theta.take(positions, mode="clip")  # none lies outside: it need not be looked at again
        if _hash(there) != self._hashes[on]:
            return False
        theta[positions] = np.bitwise_xor(there, self._change, out=there)
        return True


class _DeviceSwap:
    """In a device's: nothing but one number of each comes back from there."""

    def __init__(
        self, name: str, positions: NDArray[Any], before: NDArray[Any], after: NDArray[Any], on: torch.device
    ) -> None:
        signed = np.dtype(f"i{before.itemsize}")
        self.name, self._positions = name, torch.from_numpy(positions).to(on)
        self._change = torch.from_numpy((before ^ after).view(signed)).to(on)
        both = (torch.from_numpy(bits.view(signed)).to(on) for bits in (after, before))
        self._hashes = tuple(_sum(bits, self._positions.long()) for bits in both)

    def __len__(self) -> int:
        return len(self._positions)

    def __call__(self, tensor: torch.Tensor, *, on: bool) -> bool:
        with torch.inference_mode():  # the only place where a model that was made in it can be written to
            theta = tensor.data.view(-1).view(_BITS[tensor.element_size()])
            positions = self._positions.long()
            there = theta.index_select(0, positions)
            if _sum(there, positions) != self._hashes[on]:
                return False
            theta.index_copy_(0, positions, there ^ self._change)
        return True


def swaps(parameters: Mapping[str, torch.Tensor], weighted: Sequence[Weighted]) -> list[Swap]:
    """What takes parameters from θ, which they have now, to θ + Σ wᵢφᵢ as ``compose`` rounds it; nothing is written.

    Raises:
        MismatchError: if a sum does not fit a parameter's dtype.
        FormatError: if a file's entries are not what the format asks for.
    """
    merger = Merger(weighted)
    names = sorted((name for name in merger.names if name in parameters), key=lambda name: -parameters[name].numel())
    with ThreadPoolExecutor(THREADS) as pool:
        found = pool.map(lambda name: list(_of(name, parameters[name], merger)), names)
        return [swap for own in found for swap in own]


def exchange(parameters: Mapping[str, torch.Tensor], chosen: Sequence[Swap], *, on: bool) -> str:
    """Put φ on, or take it off: all of it or, where one parameter's values are not those expected, none.

    Returns:
        The name of such a parameter, or "".
    """
    done = [False] * len(chosen)

    def some(first: int, step: int) -> None:
        for at in range(first, len(chosen), step):
            done[at] = chosen[at](parameters[chosen[at].name], on=on)

    try:
        if sum(map(len, chosen)) < _FEW:
            some(0, 1)
        else:
            with ThreadPoolExecutor(THREADS) as pool:
                list(pool.map(some, range(THREADS), [THREADS] * THREADS))
    finally:
        if not all(done):
            for swap in (swap for swap, was in zip(chosen, done, strict=True) if was):
                swap(parameters[swap.name], on=not on)
    return next((swap.name for swap, was in zip(chosen, done, strict=True) if not was), "")


def _of(name: str, parameter: torch.Tensor, merger: Merger) -> Iterator[Swap]:
    theta, size, device = memory_of(parameter), parameter.numel(), parameter.device
    index = np.int32 if size < 2**31 else np.int64
    for window in merger.windows(name, size, _STRETCH if device.type == "cpu" else _DEVICE_STRETCH):
        positions, values = _sorted(window)
        before = theta[positions]
        after = added(before, values, name)
        bits = _unsigned(before), _unsigned(after)
        moved = bits[0] != bits[1]  # what rounding takes away need not be written
        if moved.any():
            parts = (positions[moved].astype(index), bits[0][moved], bits[1][moved])
            yield _HostSwap(name, *parts) if device.type == "cpu" else _DeviceSwap(name, *parts, device)


def _sorted(window: Merged) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    if (np.diff(window.positions) > 0).all():
        return window.positions, window.values
    order = np.argsort(window.positions)
    return window.positions[order], window.values[order]


def _unsigned(values: NDArray[Any]) -> NDArray[Any]:
    """The bits of numbers."""
    return values.view(f"u{values.itemsize}")


def _hash(bits: NDArray[Any]) -> int:
    return xxhash.xxh3_64_intdigest(bits.view(np.uint8).data)


def _sum(bits: torch.Tensor, positions: torch.Tensor) -> int:
    """A number, modulo 2⁶⁴, that any change of one element changes, and of several all but surely."""
    return int((bits.long() * (2 * positions + 1)).sum())
