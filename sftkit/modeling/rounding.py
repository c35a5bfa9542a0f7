"""θ + φ in θ's dtype, rounded once, as composing rounds it."""

from __future__ import annotations

import torch

#: Entries in half precision that are summed in float64 at a time.
_CHUNK = 1 << 24


def rounded_sum(theta: torch.Tensor, phi: torch.Tensor) -> torch.Tensor:
    """θ + φ in θ's dtype, rounded once.

    Args:
        theta: ``[n]``.
        phi: float32 ``[n]``.
    """
    if theta.dtype == torch.float32:
        return theta + phi
    result = torch.empty_like(theta)
    for begin in range(0, len(theta), _CHUNK):  # float64 takes four times as much
        some = slice(begin, begin + _CHUNK)
        result[some] = narrowed(theta[some].double() + phi[some].double(), theta.dtype)
    return result


def narrowed(values: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """As :func:`sftkit.storage.dtypes.narrowed`: torch takes both half precisions by way of float32."""
    if dtype not in (torch.float16, torch.bfloat16):
        return values.to(dtype)
    near = values.float()
    wide = near.double()
    bits = near.view(torch.int32) - (wide.abs() > values.abs()).int()
    return torch.where(wide == values, bits, bits | 1).view(torch.float32).to(dtype)
