"""SFTs that are put on a model in memory and taken off again: the same as ``compose`` while on, exact after."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import nn
from transformers import PreTrainedModel

from sftkit.algebra.arithmetic import Weighted, collapse
from sftkit.checkpoints.lm_heads import is_lm_class, lm_head
from sftkit.composing.heads import choose_head
from sftkit.errors import MismatchError
from sftkit.modeling.apply import (
    Kept,
    add_differences,
    check_fits,
    check_writable,
    embeddings_of,
    movable_parameters,
    put_back,
    unchanged,
)
from sftkit.modeling.backbone import backbone_parameters, unwrapped
from sftkit.modeling.identity import check_identity, version, written
from sftkit.modeling.layers import Layer, Worn


class Applied(Layer):
    """SFTs on a torch model, and the values that were there before."""

    def __init__(
        self, model: nn.Module, weighted: Sequence[Weighted], *, force: bool = False, scoped: bool = False
    ) -> None:
        """Put them on, all or none.

        Args:
            model: any head on the backbone that the SFTs were learned on.
            weighted: the SFTs.
            force: even if the weights are those of another base.
            scoped: it will be taken off at the end of a block: other threads may wait for that.

        Raises:
            MismatchError: if they do not fit, or another thread has SFTs on the model. Nothing was changed then.
        """
        super().__init__(unwrapped(model), scoped=scoped)
        self._weighted, self._force = list(weighted), force
        self._kept: Mapping[str, Kept] = {}
        self._untied: OwnOutput | None = None
        self.put_on()
        self._weighted = []

    def revert(self) -> None:
        """Put θ back where it was touched, to the bit. A second call does nothing.

        Raises:
            MismatchError: if SFTs that were put on later are still on, or the weights were changed meanwhile. Nothing
                is written then.
        """
        self.take_off()

    def check(self, worn: Worn) -> None:
        """Whether they fit; with others on it, a model was looked at when it was bare."""
        check(self.model, self._weighted, force=self._force or bool(worn.stack))

    def write(self) -> None:
        """Add."""
        model = self.model
        self._untied = OwnOutput(model) if unties(model, self._weighted) else None
        if self._untied is not None:
            self._untied.apart()
        try:
            self._kept = add_differences(model, self._weighted)
        except BaseException:
            if self._untied is not None:
                self._untied.together()
            raise
        self._tell()

    def restore(self) -> None:
        """Put back what was there."""
        changed = unchanged(self.model, self._kept)
        if changed:
            raise changed_since(changed, "the SFTs were put on")
        put_back(self.model, self._kept)
        self._tell()
        self._kept = {}
        if self._untied is not None:
            self._untied.together()

    def _tell(self) -> None:
        parameters = movable_parameters(self.model)
        written([parameters[name] for name in self._kept], parameters.values())


class OwnOutput:
    """An output matrix of its own, with the values of the input embedding, for a model that ties the two.

    Attributes:
        tied: the input embedding.
        own: the output matrix.
    """

    def __init__(self, model: PreTrainedModel) -> None:
        """Make it; the model stays tied."""
        self._config, self._inputs, self._output = model.config, model.get_input_embeddings(), embeddings_of(model)[1]
        self.tied: nn.Parameter = self._inputs.weight  # type: ignore[assignment]  # a module's attribute
        with torch.inference_mode(False):  # it may be trained on later
            self.own = nn.Parameter(self.tied.detach().clone(), requires_grad=self.tied.requires_grad)
        self._made, self._said = version(self.own), self._config.tie_word_embeddings

    def apart(self) -> None:
        """Give it to the model."""
        assert self._output is not None
        self._output.weight = self.own
        self._config.tie_word_embeddings = False

    def together(self) -> None:
        """Tie the model again.

        Raises:
            MismatchError: if the matrix was trained or loaded meanwhile, which is lost.
        """
        assert self._output is not None
        self._output.weight = self._inputs.weight
        self._config.tie_word_embeddings = self._said
        self.own.grad = None
        if version(self.own) != self._made:
            raise MismatchError(
                "The output matrix, which the model had for itself meanwhile, was changed: that is lost. The model is "
                "as it was before."
            )


def unties(model: PreTrainedModel, weighted: Sequence[Weighted]) -> bool:
    """Whether a model ties its output matrix, and ``compose`` would untie it."""
    own, output = embeddings_of(model)
    if output is None or own is not None:
        return False
    if getattr(output, "weight", None) is None or model.get_input_embeddings() is None:
        return False
    name, model_type = type(model).__name__, str(model.config.model_type)
    known = lm_head(model_type, name, backbone_parameters(model))
    return choose_head(collapse(weighted), name, known, base_has_lm_head=is_lm_class(name)).untie is not None


def changed_since(name: str, when: str) -> MismatchError:
    """What to say of a parameter that has other values than it should."""
    return MismatchError(
        f"{name} was changed since {when} (converted, loaded or trained): they cannot be taken off exactly. "
        "Load the model again.",
        tensor=name,
    )


def check(model: nn.Module, weighted: Sequence[Weighted], *, force: bool = False) -> None:
    """Whether SFTs can be put on a model that has none on; nothing is written.

    Raises:
        MismatchError: as :class:`Applied`.
    """
    own = unwrapped(model)
    parameters = movable_parameters(own)
    check_writable(parameters)
    for item in weighted:
        check_fits(parameters, item)
    if not force:
        check_identity(own, weighted)
