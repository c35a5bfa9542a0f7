"""Functions of φ where a model's modules look for their parameters, for a while.

The parameters stay where they are, registered under their names and frozen. A parametrization, as in
:mod:`sftkit.modeling.parametrized`, does the same with three Python calls for each weight and pass more: on a GPU that
is waited for.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, TypeGuard

from torch import nn
from transformers import PreTrainedModel

from sftkit.modeling.backbone import backbone_parameters, owners

if TYPE_CHECKING:
    from sftkit.modeling.sparse import SparseDelta

#: What φ is called among a model's parameters.
PHI = "phi"


@contextmanager
def linked(model: PreTrainedModel, deltas: Mapping[str, SparseDelta], phi: nn.Parameter) -> Iterator[None]:
    """Have the model compute with functions of φ, of the same memory as its parameters; afterwards no more.

    The parameters stay registered, under their names and frozen; modules find a tensor of the same name first. It is
    made anew when a module is called: autograd goes first to what was made last, so that a weight's gradient is
    gathered, and gone, before those of the layers below are made. What is used without its module being called is right
    all the same, only later.

    Args:
        model: its backbone parameters are frozen inside; its head is left alone.
        deltas: canonical name -> what makes a function of φ of that parameter.
        phi: is registered beside the parameters, as :data:`PHI`.
    """
    parameters = backbone_parameters(model)
    asked = {name: parameter.requires_grad for name, parameter in parameters.items()}
    for parameter in parameters.values():
        parameter.requires_grad_(False)
    model.register_parameter(PHI, phi)
    links = [_Link(owner, attributes) for owner, attributes in _places(model, parameters, deltas).items()]
    shown = [place for name, each in parameters.items() if name not in deltas for place in owners(model, each)]
    for owner, attribute in shown:  # as the others: torch.compile takes modules of a kind for the same
        vars(owner)[attribute] = owner._parameters[attribute]
    try:
        yield
    finally:
        del model._parameters[PHI]
        for link in links:
            link.remove()
        for owner, attribute in shown:
            del vars(owner)[attribute]
        for name, parameter in parameters.items():
            parameter.requires_grad_(asked[name])


def _places(
    model: nn.Module, parameters: Mapping[str, nn.Parameter], deltas: Mapping[str, SparseDelta]
) -> dict[nn.Module, dict[str, tuple[SparseDelta, nn.Parameter]]]:
    """Module -> attribute -> what is on the parameter that it holds under that name."""
    result: dict[nn.Module, dict[str, tuple[SparseDelta, nn.Parameter]]] = {}
    for name, delta in deltas.items():
        for owner, attribute in owners(model, parameters[name]):
            result.setdefault(owner, {})[attribute] = delta, parameters[name]
    return result


class _Link:
    """Keeps functions of φ where a module looks for its parameters."""

    def __init__(self, owner: nn.Module, attributes: Mapping[str, tuple[SparseDelta, nn.Parameter]]) -> None:
        self._owner, self._attributes = owner, attributes
        self(owner)
        self._hook = owner.register_forward_pre_hook(self)
        if "weight" in attributes and _is_plain(owner):  # its gradient need not be made whole
            delta, weight = attributes["weight"]
            vars(owner)["forward"] = partial(delta.embed, weight, owner.padding_idx)

    def __call__(self, owner: nn.Module, *_: Any) -> None:
        for attribute, (delta, parameter) in self._attributes.items():
            vars(owner)[attribute] = delta(parameter)

    def remove(self) -> None:
        """The module finds its parameters again."""
        self._hook.remove()
        vars(self._owner).pop("forward", None)
        for attribute in self._attributes:
            del vars(self._owner)[attribute]


def _is_plain(module: nn.Module) -> TypeGuard[nn.Embedding]:
    """Whether it is an embedding that does nothing but look rows up."""
    if not isinstance(module, nn.Embedding) or type(module).forward is not nn.Embedding.forward:
        return False
    odd = "forward" in vars(module) or module.scale_grad_by_freq or module.sparse
    return not odd and module.max_norm is None


def is_added(name: str) -> bool:
    """Whether a parameter of this name is not the model's own, but on it for a while."""
    return name == PHI or ".parametrizations." in name
