"""What may move: which backbone parameters are maskable, by objective and by the user's patterns.

Languages (Ansell et al. 2022, section 4.2): layer norms frozen, output matrix untied from the input embedding and
frozen. Tasks: the whole backbone. The head is tuned in full either way.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from torch import nn
from transformers import PreTrainedModel

from sftkit.errors import SettingsError
from sftkit.format.metadata import Untied
from sftkit.modeling.backbone import backbone_parameters, norm_parameters, untie_output


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


def freeze(model: PreTrainedModel, *, is_task: bool, patterns: Sequence[str]) -> Movable:
    """Set ``requires_grad`` of every parameter by the rules.

    Raises:
        SettingsError: if a pattern is not a regular expression or matches nothing, or nothing is left to move.
    """
    words = []
    untied = None
    frozen: set[int] = set()
    backbone = backbone_parameters(model)
    if not is_task:
        untied = untie_output(model)
        frozen |= norm_parameters(model)
        words = ["layer norms"] + (["output matrix (untied)"] if untied else [])
    for pattern in patterns:
        frozen |= _matching(pattern, backbone)
        words.append(f"/{pattern}/")
    for parameter in model.parameters():
        parameter.requires_grad_(id(parameter) not in frozen and not _is_output(model, parameter, untied))
    maskable = {name: parameter for name, parameter in backbone.items() if parameter.requires_grad}
    if not maskable:
        raise SettingsError("Nothing is left that may move: --freeze matches the whole backbone.")
    return Movable(maskable, untied, ", ".join(words) or "nothing")


def _is_output(model: PreTrainedModel, parameter: nn.Parameter, untied: Untied | None) -> bool:
    return untied is not None and parameter is model.get_output_embeddings().weight


def _matching(pattern: str, backbone: dict[str, nn.Parameter]) -> set[int]:
    try:
        matched = {id(parameter) for name, parameter in backbone.items() if re.search(pattern, name)}
    except re.error as error:
        raise SettingsError(f"--freeze {pattern!r} is not a regular expression ({error}).") from None
    if not matched:
        raise SettingsError(f"--freeze {pattern!r} matches no parameter; they are called like {next(iter(backbone))}.")
    return matched
