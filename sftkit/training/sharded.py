"""FSDP2 (``--fsdp``): weights, gradients and moments shared out over the processes, by rows.

``fully_shard`` is put on each layer and on the model; the Trainer takes it as it takes models that transformers shards
while loading. A sharded parameter is a DTensor; what goes to disk or is looked at as a whole is gathered one parameter
at a time. Every function here that gathers is called by all processes in the same order.

In phase 2 θ stays frozen and shared out, and so are φ, its gradient and its moments. Before a forward pass each process
writes θ + φ into the rows that it holds, so that what FSDP2 gathers, on the way forward and back, is the tuned weight.
Gradients are gathered at φ's positions by each process, and only these are summed.

Not covered: models whose weights do not fit into one process's memory on the CPU while they are loaded; offloading;
FSDP1.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh
from torch.distributed.tensor import DTensor, Partial, Shard, distribute_tensor
from transformers import PreTrainedModel

from sftkit.modeling.backbone import backbone_parameters
from sftkit.modeling.parametrized import put_on
from sftkit.modeling.sparse import SparseDelta
from sftkit.training.ranks import world

_OPTIMIZER = "optimizer-shards"


def shard(model: PreTrainedModel, apart: Collection[nn.Parameter] = ()) -> None:
    """Share out a model's parameters over the processes, in place. It cannot be undone: load the model again.

    Args:
        model: whole in each process.
        apart: parameters to leave as they are.
    """
    from torch.distributed.fsdp import fully_shard, register_fsdp_forward_method  # slow, and seldom asked for

    # resharded after each forward pass, the model's own parameters, too: what is written into rows is gathered anew
    how: dict[str, Any] = {"mesh": _mesh(model.device), "ignored_params": set(apart), "reshard_after_forward": True}
    for module in _units(model):
        fully_shard(module, **how)
    fully_shard(model, **how)
    for name in getattr(model, "other_forwards", ()):
        register_fsdp_forward_method(model, name)
    flagged: Any = model  # the Trainer then neither wraps nor shards it
    flagged._is_distributed_loading_by_transformers = flagged._is_fsdp_managed_module = True


def _units(model: PreTrainedModel) -> list[nn.Module]:
    """What is whole at a time, inner modules first: a layer, or an embedding or output matrix that nothing shares."""
    layers = set(model._no_split_modules or ())
    uses = Counter(id(parameter) for _, parameter in model.named_parameters(remove_duplicate=False))
    ends = [module for module in (model.get_input_embeddings(), model.get_output_embeddings()) if module is not None]
    alone = [module for module in ends if all(uses[id(parameter)] == 1 for parameter in module.parameters())]
    found = [module for module in model.modules() if type(module).__name__ in layers or module in alone]
    return found[::-1]


class ShardedDelta(SparseDelta):
    """φ on one weight whose rows are shared out: ``phi`` is a DTensor, ``theta`` what this process has of θ there."""

    def __init__(self, weight: torch.Tensor, positions: torch.Tensor, mesh: DeviceMesh) -> None:
        super().__init__(weight, positions)
        size = -(-len(weight) // mesh.size()) * (weight.numel() // len(weight))  # rows as torch.chunk gives them
        self._first = size * mesh.get_local_rank()
        mine = torch.tensor([self._first, self._first + size], device=positions.device)
        self._mine = slice(*torch.searchsorted(positions.long(), mine).tolist())
        self.theta = self.theta[self._mine].clone()
        self.phi = nn.Parameter(distribute_tensor(self.phi.detach(), mesh, [Shard(0)]))
        self._mesh, self._written = mesh, self.phi._version

    def forward(self, weight: torch.Tensor) -> torch.Tensor:
        """The weight, which holds θ + φ since its rows do, differentiable in φ."""
        return self.differentiable(weight)

    def update(self, rows: torch.Tensor) -> None:
        """Put θ + φ into this process's rows if φ may have changed. All processes call it."""
        if self.stale or self.phi._version != self._written:
            phi = whole(self.phi.detach())
            self.put(rows, self.positions[self._mine].long() - self._first, phi[self._mine])
            self._written, self.stale = self.phi._version, False

    def summed(self, gradient: torch.Tensor) -> torch.Tensor:
        """The mean over the processes, each of which gets its part, as FSDP2 does with other gradients."""
        parts = DTensor.from_local(gradient / self._mesh.size(), self._mesh, [Partial()], run_check=False)
        return parts.redistribute(placements=[Shard(0)])


def share_out_phi(model: PreTrainedModel, positions: Mapping[str, torch.Tensor]) -> dict[str, SparseDelta]:
    """Put φ on a model that is whole in each process, and share both out. It cannot be undone.

    Args:
        model: its backbone is frozen.
        positions: canonical name -> flat positions, int32 or int64.

    Returns:
        canonical name -> the delta on that parameter.
    """
    parameters, mesh = backbone_parameters(model), _mesh(model.device)
    deltas = {name: ShardedDelta(parameters[name], where, mesh) for name, where in positions.items()}
    places = put_on(model, deltas)
    shard(model, [delta.phi for delta in deltas.values()])
    rows = {name: _rows(*used[0]) for name, used in places.items()}

    def update(*_: Any) -> None:
        for name, delta in deltas.items():
            delta.update(rows[name])

    model.register_forward_pre_hook(update, prepend=True)  # before FSDP2 gathers
    return dict(deltas)


def _rows(owner: Any, attribute: str) -> torch.Tensor:
    """What this process has of a frozen weight with φ on it."""
    rows: torch.Tensor = owner.parametrizations[attribute].original.detach().to_local()
    return rows


def whole(tensor: torch.Tensor) -> torch.Tensor:
    """All of a tensor, gathered if this process has but a part of it."""
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def like(tensor: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
    """A whole tensor on the device of another, and shared out as that is."""
    tensor = tensor.to(other.device)
    return distribute_tensor(tensor, other.device_mesh, other.placements) if isinstance(other, DTensor) else tensor


def save_optimizer(model: nn.Module, optimizer: torch.optim.Optimizer, folder: Path) -> None:
    """Write an optimizer's state, each process its part."""
    from torch.distributed.checkpoint.state_dict import get_optimizer_state_dict
    from torch.distributed.checkpoint.state_dict_saver import save  # slow to import

    save(get_optimizer_state_dict(model, optimizer), checkpoint_id=folder / _OPTIMIZER)


def load_optimizer(model: nn.Module, optimizer: torch.optim.Optimizer, folder: Path) -> None:
    """Bring it back, in as many processes as wrote it."""
    from torch.distributed.checkpoint.state_dict import get_optimizer_state_dict, set_optimizer_state_dict
    from torch.distributed.checkpoint.state_dict_loader import load

    state = get_optimizer_state_dict(model, optimizer)
    load(state, checkpoint_id=folder / _OPTIMIZER)
    set_optimizer_state_dict(model, optimizer, state)


def _mesh(device: torch.device) -> DeviceMesh:
    return init_device_mesh(device.type, (world(),))
