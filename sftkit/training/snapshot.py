"""Values of parameters set aside on disk and brought back: θ(0) for rewinding, the best step so far.

Files are safetensors, memory-mapped on the way back, so that a snapshot costs disk and not memory.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save_file


class Snapshot:
    """Named tensors in one file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def save(self, tensors: Mapping[str, torch.Tensor]) -> None:
        """Write, replacing what was there only once the new file is whole."""
        part = self.path.with_suffix(".part")
        save_file({name: tensor.detach().contiguous() for name, tensor in tensors.items()}, part)
        part.replace(self.path)

    def tensor(self, name: str) -> torch.Tensor:
        """One tensor, on the CPU."""
        with safe_open(str(self.path), framework="pt") as file:
            result: torch.Tensor = file.get_tensor(name)
        return result

    def restore(self, tensors: Mapping[str, torch.Tensor]) -> None:
        """Copy the saved values back in place."""
        with safe_open(str(self.path), framework="pt") as file, torch.no_grad():
            for name, tensor in tensors.items():
                tensor.copy_(file.get_tensor(name))
