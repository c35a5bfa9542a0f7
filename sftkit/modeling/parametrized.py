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
    places = put_on(model, modules)
    try:
        yield
    finally:
        for owner, attribute in (place for each in places.values() for place in each):
            parametrize.remove_parametrizations(owner, attribute, leave_parametrized=False)
        for name, parameter in parameters.items():
            parameter.requires_grad_(asked[name])


def put_on(model: PreTrainedModel, modules: Mapping[str, nn.Module]) -> dict[str, list[tuple[nn.Module, str]]]:
    """The same, to stay.

    Returns:
        canonical name -> the places, (module, attribute), where that parameter is used.
    """
    parameters = backbone_parameters(model)
    for parameter in parameters.values():
        parameter.requires_grad_(False)
    places = {name: list(owners(model, parameters[name])) for name in modules}
    for name, module in modules.items():
        for owner, attribute in places[name]:
            parametrize.register_parametrization(owner, attribute, module, unsafe=True)
    return places
