"""What may move: which backbone parameters are maskable, by objective and by the user's patterns; and how many of them.

Languages (Ansell et al. 2022, section 4.2): layer norms frozen, those of the language-model head, too; output matrix
untied from the input embedding and frozen. Tasks: the backbone's layer norms frozen, as in the paper's code. All else
of the head is tuned in full.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import nn
from torch.distributed.tensor import DTensor
from transformers import PreTrainedModel

from sftkit.errors import SettingsError
from sftkit.format.metadata import Untied
from sftkit.modeling.backbone import backbone_parameters, norm_parameters, untie_output
from sftkit.storage.safefile import SafeReader
from sftkit.training.engine.sharded import like
from sftkit.training.engine.snapshot import Snapshot, Theta
from sftkit.training.recipes import LANGUAGE_DENSITY, LANGUAGE_K, PAPER_BACKBONES, TASK_DENSITY, TASK_K


@dataclass(frozen=True)
class Movable:
    """The outcome of the freezing rules.

    Attributes:
        maskable: canonical name -> parameter that φ may touch, sorted by name.
        untied: the names of the untied matrices, or None.
        frozen: what is frozen, in words.
    """

    maskable: dict[str, nn.Parameter]
    untied: Untied | None
    frozen: str

    @property
    def size(self) -> int:
        """Number of maskable elements: the N of the regulariser, and the most that K can be."""
        return sum(parameter.numel() for parameter in self.maskable.values())


def freeze(
    model: PreTrainedModel, *, is_task: bool, patterns: Sequence[str] = (), train_norms: bool = False
) -> Movable:
    """Set ``requires_grad`` of every parameter by the rules.

    Args:
        model: the base under the objective's head.
        is_task: or a language's.
        patterns: regular expressions of canonical names that must not move.
        train_norms: let normalisation layers move.

    Raises:
        SettingsError: if a pattern is not a regular expression or matches nothing, or nothing is left to move.
    """
    words = []
    untied = None
    frozen: set[int] = set()
    backbone = backbone_parameters(model)
    if not train_norms:
        norms = norm_parameters(model)
        # a task's head has no trained norms to keep: they are fresh, and tuned with all of it
        frozen |= norms & {id(parameter) for parameter in backbone.values()} if is_task else norms
        words += ["layer norms"] if frozen else []
    if not is_task:
        untied = untie_output(model)
        words += ["output matrix (untied)"] if untied else []
    for pattern in patterns:
        frozen |= _matching(pattern, backbone)
        words.append(f"/{pattern}/")
    for parameter in model.parameters():
        is_output = untied is not None and parameter is model.get_output_embeddings().weight
        parameter.requires_grad_(id(parameter) not in frozen and not is_output)
    maskable = {name: parameter for name, parameter in backbone.items() if parameter.requires_grad}
    if not maskable:
        raise SettingsError("Nothing is left that may move: --freeze matches the whole backbone.")
    return Movable(maskable, untied, ", ".join(words) or "nothing")


def theta_of(start: Snapshot, movable: Movable, model: PreTrainedModel) -> dict[str, Theta]:
    """θ(0) of what may move, by canonical name, to be looked at at each step; shared out as the parameters are.

    The untied output matrix is θ(0) of the input embedding, and in memory already. On a CPU all the rest is read from
    the file, part by part.
    """
    name = movable.untied.input if movable.untied is not None else None
    output: torch.Tensor | None = model.get_output_embeddings().weight.detach() if name is not None else None
    reader = SafeReader(start.path)

    def theta(key: str, parameter: nn.Parameter) -> Theta:
        if isinstance(parameter, DTensor):
            return like(start.tensor(key), parameter)
        if key == name and output is not None and torch.equal(output, like(start.tensor(key), output)):
            return output
        if parameter.device.type == "cpu":
            return lambda begin, end: torch.from_numpy(reader.piece(key, begin, end))
        return like(start.tensor(key), parameter)

    return {key: theta(key, parameter) for key, parameter in movable.maskable.items()}


def default_k(model: PreTrainedModel, *, is_task: bool) -> int:
    """K where none was asked for: the paper's for the backbones of its experiments, elsewhere mBERT's density.

    A backbone is known by its model type, the shape of its input embedding and its size, whatever it is called and
    wherever its weights come from.
    """
    size = sum(parameter.numel() for parameter in backbone_parameters(model).values())
    table: torch.Tensor = model.get_input_embeddings().weight  # type: ignore[assignment]  # a module's attribute
    if PAPER_BACKBONES.get(model.config.model_type) == (*table.shape, size):
        return TASK_K if is_task else LANGUAGE_K
    return max(1, round((TASK_DENSITY if is_task else LANGUAGE_DENSITY) * size))


def _matching(pattern: str, backbone: dict[str, nn.Parameter]) -> set[int]:
    try:
        matched = {id(parameter) for name, parameter in backbone.items() if re.search(pattern, name)}
    except re.error as error:
        raise SettingsError(f"--freeze {pattern!r} is not a regular expression ({error}).") from None
    if not matched:
        raise SettingsError(f"--freeze {pattern!r} matches no parameter; they are called like {next(iter(backbone))}.")
    return matched
