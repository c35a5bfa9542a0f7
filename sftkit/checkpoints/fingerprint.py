"""Which base is this: a hash of a backbone, block by block, and of what the backbone would be in half precision.

Does not cover heads, poolers and buffers, which differ between copies of the same base.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import xxhash
from numpy.typing import NDArray

from sftkit.checkpoints.checkpoint import Checkpoint
from sftkit.checkpoints.names import is_pooler
from sftkit.format.metadata import Base, ParameterSpec
from sftkit.storage.dtypes import BFLOAT16, HalfRounder

#: Elements that are hashed at a time.
_BLOCK = 1 << 18
_HALVES = (BFLOAT16, np.dtype(np.float16))


class Fingerprint:
    """A hash of a backbone, fed one parameter at a time in any order.

    xxh3-128 over the sorted lines ``name dtype shape digest``, each digest being the xxh3-128 of the parameter's
    little-endian bytes. The pooler is left out: the same base has one or not, by the class that saved it.
    """

    def __init__(self) -> None:
        self._lines: list[str] = []

    def add(self, name: str, spec: ParameterSpec, digest: str) -> None:
        """Add one parameter under its canonical name, with the xxh3-128 of its bytes in hexadecimal."""
        if not is_pooler(name):
            shape = ",".join(str(size) for size in spec.shape)
            self._lines.append(f"{name} {spec.dtype} {shape} {digest}\n")

    def hexdigest(self) -> str:
        """The fingerprint, 32 hexadecimal digits."""
        return xxhash.xxh3_128_hexdigest("".join(sorted(self._lines)).encode())


def digest(checkpoint: Checkpoint, name: str, rounding: np.dtype[Any] | None = None) -> str:
    """The xxh3-128 of one parameter's bytes, or of those that it would have in another dtype."""
    key, size = checkpoint.backbone[name], checkpoint.parameters[name].size
    dtype = checkpoint.spec(key).dtype
    rounded = _rounder(dtype, rounding, min(size, _BLOCK))
    result = xxhash.xxh3_128()
    for _, block in checkpoint.blocks(key, _BLOCK * dtype.itemsize):
        result.update(rounded(block.view(dtype)).view(np.uint8).data)
    return result.hexdigest()


def fingerprint(checkpoint: Checkpoint, rounding: np.dtype[Any] | None = None) -> str:
    """The fingerprint of a base, or the one that it would have if every parameter were rounded to another dtype."""
    result = Fingerprint()
    for name, spec in checkpoint.parameters.items():
        shown = spec if rounding is None else ParameterSpec(spec.shape, rounding.name)
        result.add(name, shown, digest(checkpoint, name, rounding))
    return result.hexdigest()


def identify(checkpoint: Checkpoint, name: str) -> Callable[[], Base]:
    """Begin to hash a base on other threads, its roundings too if it is float32.

    Args:
        checkpoint: the base; may be read meanwhile.
        name: what the user calls it.

    Returns:
        A function that waits for the hashes and gives what an SFT records of its base.
    """
    halves = _HALVES if checkpoint.dtype == "float32" else ()
    pool = ThreadPoolExecutor(2)
    own, *rounded = [pool.submit(fingerprint, checkpoint, rounding) for rounding in (None, *halves)]
    pool.shutdown(wait=False)

    def wait() -> Base:
        found = {half.name: future.result() for half, future in zip(halves, rounded, strict=True)}
        return Base(name, checkpoint.model_type, None, own.result(), found)

    return wait


def _rounder(dtype: np.dtype[Any], rounding: np.dtype[Any] | None, size: int) -> Callable[[NDArray[Any]], NDArray[Any]]:
    """What gives a block of at most so many elements in the other dtype."""
    if rounding is None or rounding == dtype:
        return lambda block: block
    if (dtype.name, rounding.name) == ("float32", "float16"):
        return HalfRounder(size)

    def cast(block: NDArray[Any]) -> NDArray[Any]:
        with np.errstate(over="ignore", invalid="ignore"):
            return block.astype(rounding)

    return cast
