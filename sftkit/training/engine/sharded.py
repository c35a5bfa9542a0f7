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
from sftkit.modeling.rounding import rounded_sum
from sftkit.modeling.sparse import SparsePhi
from sftkit.training.engine.ranks import world

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


class ShardedPhi(SparsePhi):
    """φ on weights whose rows are shared out: ``phi`` is a DTensor, and each process has θ of its own rows alone.

    Gradients are summed over the processes at φ's positions, all of them in one go.
    """

    def __init__(
        self, weights: Mapping[str, torch.Tensor], positions: Mapping[str, torch.Tensor], mesh: DeviceMesh
    ) -> None:
        super().__init__(weights, positions)
        self._mesh = mesh
        phi = nn.Parameter(distribute_tensor(self.phi.detach(), mesh, [Shard(0)]))
        self.phi, self._written = phi, phi._version
        self._mine, self._first = dict[str, slice](), dict[str, int]()
        for name, delta in self.deltas.items():
            weight = weights[name]
            size = -(-len(weight) // mesh.size()) * (weight.numel() // len(weight))  # rows as torch.chunk gives them
            first = size * mesh.get_local_rank()
            ends = torch.tensor([first, first + size], device=delta.positions.device)
            self._first[name] = first
            self._mine[name] = slice(*torch.searchsorted(delta.positions.long(), ends).tolist())
            delta.theta, delta.phi = delta.theta[self._mine[name]].clone(), phi
        self._theta = self._theta.new_empty(0)
        self._rows: dict[str, torch.Tensor] = {}

    def shared_out(self, rows: dict[str, torch.Tensor]) -> None:
        """The weights are shared out: this process has these rows of them."""
        self._rows, self._weights = rows, {}

    def refresh(self) -> None:
        """Nothing in the midst of a pass: all processes have to write, and did before it."""

    def refresh_together(self) -> None:
        """Write θ + φ if φ may have changed. All processes call it."""
        super().refresh()

    @torch.no_grad()
    def write(self) -> None:
        """Put θ + φ into this process's rows. All processes call it."""
        phi = whole(self.phi.detach())
        for name, delta in self.deltas.items():
            mine = self._mine[name]
            values = rounded_sum(delta.theta, phi[delta.part][mine]).to(self._rows[name].dtype)
            at = delta.positions[mine].long() - self._first[name]
            self._rows[name].view(-1).index_copy_(0, at, values)
        self._written, self.stale = self.phi._version, False

    def take_gradient(self) -> torch.Tensor:
        """The mean over the processes, each of which gets its part, as FSDP2 does with other gradients."""
        parts = DTensor.from_local(
            super().take_gradient() / self._mesh.size(), self._mesh, [Partial()], run_check=False
        )
        return parts.redistribute(placements=[Shard(0)])


def share_out_phi(model: PreTrainedModel, positions: Mapping[str, torch.Tensor]) -> SparsePhi:
    """Put φ on a model that is whole in each process, and share both out. It cannot be undone.

    Args:
        model: its backbone is frozen.
        positions: canonical name -> flat positions, int32 or int64.
    """
    phi = ShardedPhi(backbone_parameters(model), positions, _mesh(model.device))
    places = put_on(model, phi.deltas)
    shard(model, [phi.phi])
    phi.shared_out({name: _rows(*used[0]) for name, used in places.items()})
    model.register_forward_pre_hook(lambda *_: phi.refresh_together(), prepend=True)  # before FSDP2 gathers
    return phi


def _rows(owner: Any, attribute: str) -> torch.Tensor:
    """What this process has of a frozen weight with φ on it."""
    return local(owner.parametrizations[attribute].original.detach())


def whole(tensor: torch.Tensor) -> torch.Tensor:
    """All of a tensor, gathered if this process has but a part of it."""
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def local(tensor: torch.Tensor) -> torch.Tensor:
    """What this process has of a tensor."""
    return tensor.to_local() if isinstance(tensor, DTensor) else tensor


def like(tensor: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
    """A whole tensor on the device of another, and shared out as that is."""
    tensor = tensor.to(other.device)
    return distribute_tensor(tensor, other.device_mesh, other.placements) if isinstance(other, DTensor) else tensor


def save_optimizer(model: nn.Module, optimizer: torch.optim.Optimizer, folder: Path) -> None:
    """Write an optimizer's state, each process its part.

    Raises:
        OSError: if the disk is full.
    """
    from torch.distributed.checkpoint.api import CheckpointException
    from torch.distributed.checkpoint.state_dict import get_optimizer_state_dict
    from torch.distributed.checkpoint.state_dict_saver import save  # slow to import

    try:
        save(get_optimizer_state_dict(model, optimizer), checkpoint_id=folder / _OPTIMIZER)
    except CheckpointException as error:  # no Exception, and what happened in which process
        first = next(iter(error.failures.values()), (error,))[0]
        raise first if isinstance(first, OSError) else OSError(str(first)) from error


def load_optimizer(model: nn.Module, optimizer: torch.optim.Optimizer, folder: Path) -> None:
    """Bring it back, in as many processes as wrote it."""
    from torch.distributed.checkpoint.state_dict import get_optimizer_state_dict, set_optimizer_state_dict
    from torch.distributed.checkpoint.state_dict_loader import load

    state = get_optimizer_state_dict(model, optimizer)
    load(state, checkpoint_id=folder / _OPTIMIZER)
    set_optimizer_state_dict(model, optimizer, state)


def _mesh(device: torch.device) -> DeviceMesh:
    return init_device_mesh(device.type, (world(),))
