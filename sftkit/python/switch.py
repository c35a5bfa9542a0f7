"""Many languages from one base in memory: which one is on changes by writing K entries, not by loading a model.

>>> switch = sftkit.Switch(model, {"mt": "mt.sft", "yo": "yo.sft"})  # doctest: +SKIP
>>> with switch("mt"):  # doctest: +SKIP
...     model(**batch)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ContextDecorator
from typing import TYPE_CHECKING, NoReturn

from sftkit.errors import SettingsError
from sftkit.python.given import all_weighted
from sftkit.python.wording import in_python

if TYPE_CHECKING:
    from torch import nn

    from sftkit.modeling.switched import Wardrobe
    from sftkit.python.given import SftLike


class Switch:
    """Named sets of SFTs for one model.

    The base is looked at once, when the switch is made. Threads take turns: while one is inside a block, others wait at
    theirs. After each block the model is what it was, to the bit, after any number of them.
    """

    @in_python
    def __init__(
        self, model: nn.Module, sfts: Mapping[str, SftLike | Sequence[SftLike]], *, force: bool = False
    ) -> None:
        """Read the SFTs, and check all of them against the model; nothing is written.

        Args:
            model: any head on the backbone that they were learned on.
            sfts: name -> an SFT (a path, an ``hf://`` name, one in memory), an (SFT, weight) pair, or a list of these,
                to be on together.
            force: even on another base than theirs.

        Raises:
            MismatchError: if one does not fit the model.
            FormatError: if a file is no SFT.
        """
        from sftkit.modeling.switched import Wardrobe

        if not isinstance(sfts, Mapping):
            raise SettingsError("A switch takes names and what they stand for: Switch(model, {'mt': 'mt.sft'}).")
        self.model, self._names = model, tuple(sfts)
        sets = {name: all_weighted(given) for name, given in sfts.items()}
        self._wardrobe = Wardrobe(model, sets, force=force)

    @property
    def names(self) -> tuple[str, ...]:
        """The names, as they were given."""
        return self._names

    def __call__(self, name: str) -> Block:
        """The model with a set of SFTs for the length of a ``with`` block.

        Raises:
            SettingsError: if there is no such name.
            MismatchError: on the way in, if SFTs are on the model already, or it was changed since the switch was made;
                on the way out, if it was changed in the block. Nothing is written then.
        """
        if name not in self._names:
            raise SettingsError(f"{name!r}: there is no such name; there are {', '.join(self._names) or 'none'}.")
        return Block(self.model, self._wardrobe, name)

    def __repr__(self) -> str:
        """One line."""
        return f"<Switch of a {type(self.model).__name__}: {', '.join(self._names)}>"

    def __reduce__(self) -> NoReturn:
        """A copy would write to the weights of the model that this one knows."""
        raise TypeError("A Switch is not copied or pickled: make one for the copy of the model.")


class Block(ContextDecorator):
    """A set of SFTs, for the length of a ``with`` block or, as a decorator, of a function; any number of times."""

    def __init__(self, model: nn.Module, wardrobe: Wardrobe, name: str) -> None:
        self._model, self._wardrobe, self._name = model, wardrobe, name

    def __enter__(self) -> nn.Module:
        """Put it on; see :meth:`Switch.__call__`."""
        self._layer = self._wardrobe.put_on(self._name)
        return self._model

    def __exit__(self, *_: object) -> None:
        """Take it off."""
        self._layer.take_off()
