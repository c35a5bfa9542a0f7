"""A run's model and what of it may move: whole in each process, or shared out over several."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

import torch
from torch import nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from sftkit.algebra.arithmetic import Weighted
from sftkit.modeling.apply import add_differences
from sftkit.modeling.backbone import backbone_parameters, widen_head
from sftkit.modeling.linked import is_added
from sftkit.modeling.load import check_output_matrix, device_of, fit_tokenizer, load_model
from sftkit.modeling.sparse import SparsePhi, sparse_parameters
from sftkit.tasks.base import Objective
from sftkit.training.engine.sharded import shard, share_out_phi, whole
from sftkit.training.engine.together import device_here
from sftkit.training.methods.registry import METHODS
from sftkit.training.observer import Observer
from sftkit.training.selection.given import avoided_by
from sftkit.training.selection.movable import Movable, freeze
from sftkit.training.selection.ranking import Avoided
from sftkit.training.settings import Settings

#: In what the base is held, by ``--base-dtype``.
DTYPES = {"f32": torch.float32, "bf16": torch.bfloat16}


@dataclass
class Tunable:
    """The model. What is shared out cannot be put together again, so it is loaded anew, and this changes in place.

    Attributes:
        settings, objective: the run's.
        tokenizer: the base's; it is made to fit the model.
        under: an SFT that is on the model all the time and not part of what is learned.
        observer: is told of loading.
        model: under the objective's head, on the device.
        movable: what of its backbone may move.
        backbone: its parameters by canonical name, as they are without φ; empty while they are shared out.
        avoided: where φ must not be.

    Raises:
        SftkitError: of the kind that fits, for bases, SFTs and settings that cannot be.
    """

    settings: Settings
    objective: Objective
    tokenizer: PreTrainedTokenizerBase
    under: Weighted | None
    observer: Observer
    model: PreTrainedModel = field(init=False)
    movable: Movable = field(init=False)
    backbone: dict[str, nn.Parameter] = field(init=False)
    avoided: Avoided = field(init=False)

    def __post_init__(self) -> None:
        self._load()

    def _load(self) -> None:
        settings, objective = self.settings, self.objective
        self.observer.loading("base")
        dtype = DTYPES[settings.base_dtype]
        loaded = load_model(
            settings.base, objective.auto_class, seed=settings.seed, dtype=dtype,
            trust_remote_code=settings.trust_remote_code, **objective.config(),
        )  # fmt: skip
        check_output_matrix(loaded, settings.base)
        self.model = loaded.model
        fit_tokenizer(self.tokenizer, self.model, settings.base)
        if self.under is not None:
            add_differences(self.model, [self.under])
        norms = settings.train_norms or (METHODS[settings.method].tunes_norms and objective.is_task)
        self.movable = freeze(self.model, is_task=objective.is_task, patterns=settings.freeze, train_norms=norms)
        widen_head(self.model, self.movable.untied)
        device = device_here(device_of(settings.device))
        self.model.to(device)  # type: ignore[arg-type]  # what is made beside it is made there
        self.backbone = backbone_parameters(self.model)  # before φ is put on, which hides them
        self.avoided = avoided_by(settings.avoid, self.movable.maskable, self.backbone)

    def head(self) -> dict[str, torch.Tensor]:
        """The head's trainable tensors, tied ones once."""
        backbone = {id(parameter) for parameter in backbone_parameters(self.model).values()}
        return {
            f"head:{name}": parameter.detach()
            for name, parameter in self.model.named_parameters()
            if id(parameter) not in backbone and parameter.requires_grad and not is_added(name)
        }

    def trainable(self) -> dict[str, torch.Tensor]:
        """Everything that may move before φ is put on: maskable parameters by canonical name, the head by its own."""
        moving = {name: parameter.detach() for name, parameter in self.movable.maskable.items()}
        return moving | self.head()

    @property
    def size(self) -> int:
        """Number of the backbone's parameters."""
        return sum(parameter.numel() for parameter in backbone_parameters(self.model).values())

    @property
    def free(self) -> int:
        """Number of entries that φ may have."""
        return self.movable.size - sum(int(where.sum()) for where in self.avoided.values())

    def share_out(self) -> None:
        """Shard the model over the processes; ``maskable`` and ``trainable`` are DTensors from now on."""
        self.backbone = {}  # nothing may hold the weights whole
        shard(self.model)
        parameters = backbone_parameters(self.model)
        self.movable = replace(self.movable, maskable={name: parameters[name] for name in self.movable.maskable})

    @contextmanager
    def with_phi(self, positions: Mapping[str, torch.Tensor]) -> Iterator[SparsePhi]:
        """The model with φ on it, and with ``--fsdp`` both shared out; afterwards as it was, but for its head."""
        if not self.settings.fsdp:
            with sparse_parameters(self.model, positions) as phi:
                yield phi
            return
        self.movable, self.backbone = replace(self.movable, maskable={}), {}
        phi = share_out_phi(self.model, positions)
        with phi.written_after_steps():
            yield phi
        self.take_back()

    def take_back(self) -> None:
        """The model whole in every process: its backbone as it was loaded, its head as it is."""
        head = {name: whole(tensor).cpu() for name, tensor in self.head().items()}
        del self.model, self.movable, self.backbone
        self._load()
        for name, tensor in self.head().items():
            tensor.copy_(head[name])
