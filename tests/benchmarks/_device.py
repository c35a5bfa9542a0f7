"""Where the benchmarks of a GPU run, and what each part of them gives."""

from __future__ import annotations

import torch

CUDA = torch.cuda.is_available()
DEVICE = "cuda" if CUDA else "cpu"
#: What, figure, unit.
Rows = list[tuple[str, float | str, str]]
