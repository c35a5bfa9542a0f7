"""Sets of SFTs that are ready to be put on one model in turn; the torch side of :class:`sftkit.Switch`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import chain

import torch
from torch import nn

from sftkit.algebra.arithmetic import Weighted
from sftkit.errors import MismatchError
from sftkit.modeling.applied import OwnOutput, check, unties
from sftkit.modeling.apply import movable_parameters
from sftkit.modeling.backbone import unwrapped
from sftkit.modeling.identity import forget, version, written
from sftkit.modeling.layers import Layer, Worn, bare
from sftkit.modeling.swap import Swap, exchange, swaps

#: What tells that a tensor is still the one that it was, its values included as far as torch knows.
_Stamp = tuple[int, int, torch.dtype, torch.Size]


class Wardrobe:
    """A model and what can be put on it."""

    def __init__(self, model: nn.Module, sets: Mapping[str, Sequence[Weighted]], *, force: bool) -> None:
        """Check every set against the model and make it ready; nothing is written.

        Raises:
            MismatchError: if one does not fit, or something is on the model.
            FormatError: if a file is no SFT.
        """
        self.model = unwrapped(model)
        with bare(self.model):
            check(self.model, [item for items in sets.values() for item in items], force=force)
            self._parameters = movable_parameters(self.model)
            self._watched = {id(tensor): tensor for tensor in self._parameters.values()}
            self._unties = {name for name, items in sets.items() if unties(self.model, items)}
            self._stamps = self._look()
            self._make_untied()
            self._swaps: dict[str, list[Swap]] = {name: swaps(self._parameters, each) for name, each in sets.items()}

    def put_on(self, name: str) -> Layer:
        """Put a set on, until it is taken off.

        Raises:
            MismatchError: if something is on the model, or it is not what it was.
        """
        layer = _Set(self, name)
        layer.put_on()
        return layer

    def check(self) -> None:
        """Refuse a model that is not as it was when it was looked at.

        Raises:
            MismatchError: naming the first parameter.
        """
        now = self._look()
        for name in (self._stamps | now) if now != self._stamps else ():
            if now.get(name) != self._stamps.get(name):
                raise _changed(name)

    def swap(self, name: str, *, on: bool) -> None:
        """Put a set on or take it off; all or none.

        Raises:
            MismatchError: if the values are not those that they should be.
        """
        chosen = self._swaps[name]
        if wrong := exchange(self._parameters, chosen, on=on):
            forget(self.model)
            raise _changed(wrong)
        written([self._parameters[each] for each in {swap.name for swap in chosen}], self._parameters.values())
        if self._untied is None or name not in self._unties:
            return
        if on:
            self._untied.apart()
            return
        try:
            self._untied.together()
        except MismatchError:
            self._make_untied()
            raise

    def _make_untied(self) -> None:
        """An output matrix for the sets that want one: a parameter like others, for an SFT that moves it."""
        self._untied = OwnOutput(self.model) if self._unties else None
        if self._untied is not None:
            self._watched[id(self._untied.own)] = self._untied.tied  # while it is on, it stands where that one stood
            self._untied.apart()
            self._parameters |= movable_parameters(self.model)
            self._untied.together()

    def _look(self) -> dict[str, _Stamp]:
        named = chain(
            self.model.named_parameters(remove_duplicate=False), self.model.named_buffers(remove_duplicate=False)
        )
        known = ((name, self._watched.get(id(tensor))) for name, tensor in named)
        return {
            name: (tensor.data_ptr(), version(tensor), tensor.dtype, tensor.shape)
            for name, tensor in known
            if tensor is not None
        }


def _changed(name: str) -> MismatchError:
    return MismatchError(
        f"{name} was changed since the switch was made (converted, moved, loaded or trained). Make a switch for the "
        "model as it is now, or load it again.",
        tensor=name,
    )


class _Set(Layer):
    """One set of SFTs, once."""

    def __init__(self, wardrobe: Wardrobe, name: str) -> None:
        super().__init__(wardrobe.model, scoped=True)
        self._wardrobe, self._name = wardrobe, name

    def check(self, worn: Worn) -> None:
        """The model has to be bare, and as it was."""
        if worn.stack:
            raise MismatchError(
                f"{self._name!r} cannot be put on: SFTs are on this model already. For several at once give the switch "
                f"a list of them: {{'both': [a, b]}}."
            )
        self._wardrobe.check()

    def write(self) -> None:
        """Put it on."""
        self._wardrobe.swap(self._name, on=True)

    def restore(self) -> None:
        """Take it off."""
        self._wardrobe.check()
        self._wardrobe.swap(self._name, on=False)
