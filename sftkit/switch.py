"""Many languages from one base in memory: which one is on changes by writing K entries, not by loading a model.

>>> switch = sftkit.Switch(model, {"mt": "mt.sft", "yo": "yo.sft"})  # doctest: +SKIP
>>> with switch("mt"):  # doctest: +SKIP
...     model(**batch)
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from sftkit.errors import SettingsError

if TYPE_CHECKING:
    from torch import nn

    from sftkit.functions import SftLike
    from sftkit.operations.arithmetic import Weighted


class Switch:
    """Named sets of SFTs for one model.

    The base is looked at once, when the switch is made. Threads take turns: while one is inside a block, others wait at
    theirs. After each block the model is what it was, to the bit, after any number of them.
    """

    def __init__(
        self, model: nn.Module, sfts: Mapping[str, SftLike | Sequence[SftLike]], *, force: bool = False
    ) -> None:
        """Read the SFTs, and check all of them against the model; nothing is written.

        Args:
            model: any head on the backbone that they were learned on.
            sfts: name -> an SFT, an (SFT, weight) pair, or a list of these, to be on together.
            force: even on another base than theirs.

        Raises:
            MismatchError: if one does not fit the model.
            FormatError: if a file is no SFT.
        """
        from sftkit.modeling.applied import check

        self.model = model
        self._sets = {name: [_read(each) for each in _listed(given)] for name, given in sfts.items()}
        check(model, [item for items in self._sets.values() for item in items], force=force)

    @property
    def names(self) -> tuple[str, ...]:
        """The names, as they were given."""
        return tuple(self._sets)

    @contextmanager
    def __call__(self, name: str) -> Iterator[nn.Module]:
        """The model with a set of SFTs for the length of a ``with`` block.

        Raises:
            SettingsError: if there is no such name.
            MismatchError: if the model was changed since the switch was made.
        """
        from sftkit.modeling.applied import applied_to

        if name not in self._sets:
            raise SettingsError(f"{name!r}: there is no such name; there are {', '.join(self._sets) or 'none'}.")
        with applied_to(self.model, self._sets[name], force=True):
            yield self.model


def _listed(given: Any) -> Sequence[Any]:
    return given if isinstance(given, list) else [given]


def _read(given: SftLike) -> Weighted:
    """An SFT in memory: a file would be decoded at every switch."""
    from dataclasses import replace

    from sftkit.format.files import SftFile, read
    from sftkit.functions import as_weighted

    item = as_weighted(given)
    return replace(item, sft=read(item.sft.path)) if isinstance(item.sft, SftFile) else item
