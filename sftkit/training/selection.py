"""Which K entries φ may have: the ones that moved most, or random ones.

Exact: K entries over all maskable parameters together, ties to the lowest position in canonical order (parameters by
name, elements in row-major order).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import torch
from torch import nn

from sftkit.errors import SettingsError
from sftkit.operations.topk import BLOCK, Block, Selection, blocks_of, select
from sftkit.training.snapshot import Snapshot


def most_changed(maskable: Mapping[str, nn.Parameter], before: Snapshot, k: int) -> Selection:
    """The K entries of greatest |θ(1) - θ(0)|.

    Raises:
        SettingsError: if a parameter is not finite: phase 1 diverged.
    """
    for name, parameter in maskable.items():
        if not torch.isfinite(parameter).all():
            raise SettingsError(f"Phase 1 diverged: {name} is not finite. Try a lower --lr.")

    def blocks() -> Iterator[Block]:
        for name in sorted(maskable):
            after = maskable[name].detach().float().cpu().reshape(-1).numpy()
            yield from blocks_of(name, after, before.tensor(name).float().reshape(-1).numpy())

    return select(blocks, k)


def at_random(maskable: Mapping[str, nn.Parameter], k: int, seed: int) -> Selection:
    """K entries drawn uniformly without replacement: the K largest of random 32-bit keys."""

    def blocks() -> Iterator[Block]:
        rng = np.random.Generator(np.random.PCG64(seed))
        for name in sorted(maskable):
            size = maskable[name].numel()
            for start in range(0, size, BLOCK):
                # key 0 means "did not move", so it is not drawn
                yield name, start, rng.integers(1, 2**32, min(BLOCK, size - start), dtype=np.uint32)

    return select(blocks, k)
