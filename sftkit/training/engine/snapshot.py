"""Values of parameters set aside on disk and brought back: θ(0) for rewinding, the best step so far.

Files are safetensors, memory-mapped on the way back, so that a snapshot costs disk and not memory. Several processes
share a file or have one each.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save_file

from sftkit.training.engine.checkpoints import readable, writable
from sftkit.training.engine.ranks import is_first
from sftkit.training.engine.sharded import like, whole
from sftkit.training.engine.together import barrier

#: A parameter's θ(0): in memory, or what gives its elements from one to before another, flat.
Theta = torch.Tensor | Callable[[int, int], torch.Tensor]


class Snapshot:
    """Named tensors in one file."""

    def __init__(self, path: Path, *, shared: bool = False) -> None:
        """Name the file.

        Args:
            path: where.
            shared: every process names the same file, and the first one writes it.
        """
        self.path, self._shared = path, shared

    def save(self, tensors: Mapping[str, torch.Tensor]) -> None:
        """Write, replacing what was there only once the new file is whole. Every process calls it.

        Raises:
            SettingsError: if the disk is full.
        """
        mine, held = is_first() or not self._shared, dict[str, torch.Tensor]()
        for name, tensor in tensors.items():
            gathered = whole(tensor.detach()).cpu().contiguous()
            if mine:
                held[name] = gathered
        if mine:
            part = self.path.with_suffix(".part")
            with writable(self.path):
                save_file(held, part)
                part.replace(self.path)
        if self._shared:
            barrier()

    def tensor(self, name: str) -> torch.Tensor:
        """One tensor, on the CPU."""
        with readable(self.path), safe_open(str(self.path), framework="pt") as file:
            result: torch.Tensor = file.get_tensor(name)
        return result

    def mapped(self) -> Callable[[str], torch.Tensor]:
        """What gives its tensors by name, on the CPU: opening the file for each would take time."""
        with readable(self.path):
            get: Callable[[str], torch.Tensor] = safe_open(str(self.path), framework="pt").get_tensor
        return get

    def restore(self, tensors: Mapping[str, torch.Tensor]) -> None:
        """Copy the saved values back in place."""
        with readable(self.path), safe_open(str(self.path), framework="pt") as file, torch.no_grad():
            for name, tensor in tensors.items():
                tensor.copy_(like(file.get_tensor(name), tensor))


@dataclass(frozen=True)
class RunFolder:
    """Where a run keeps its files; if that outlives the run, all processes share it.

    Attributes:
        path: a directory.
        lasting: whether it outlives the run.
    """

    path: Path
    lasting: bool

    def snapshot(self, name: str) -> Snapshot:
        """The snapshot of a name."""
        return Snapshot(self.path / f"{name}.safetensors", shared=self.lasting)
