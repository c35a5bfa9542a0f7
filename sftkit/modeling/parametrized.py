"""Modules put on a model's backbone parameters for a while, by ``torch.nn.utils.parametrize``.

The parameters stay where they are and are frozen meanwhile; what trains is the modules' own. The head is left alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from torch import nn
from torch.nn.utils import parametrize
from transformers import PreTrainedModel

from sftkit.modeling.backbone import backbone_parameters, owners


@contextmanager
def parametrized(model: PreTrainedModel, modules: Mapping[str, nn.Module]) -> Iterator[None]:
    """Put modules on backbone parameters, under every name that these are used by; afterwards take them off.

    Args:
        model: its backbone parameters are frozen inside, all of them.
        modules: canonical name -> what turns that parameter into the weight that the model computes with.
    """
    parameters = backbone_parameters(model)
    asked = {name: parameter.requires_grad for name, parameter in parameters.items()}
    for parameter in parameters.values():
        parameter.requires_grad_(False)
    places: list[tuple[nn.Module, str]] = []
    try:
        for name, module in modules.items():
            for owner, attribute in list(owners(model, parameters[name])):
                parametrize.register_parametrization(owner, attribute, module, unsafe=True)
                places.append((owner, attribute))
        yield
    finally:
        for owner, attribute in places:
            parametrize.remove_parametrizations(owner, attribute, leave_parametrized=False)
        for name, parameter in parameters.items():
            parameter.requires_grad_(asked[name])
