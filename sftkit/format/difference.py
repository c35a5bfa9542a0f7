"""What an SFT in memory, a file that is read lazily, a sum and a difference of models have in common."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Protocol

from numpy.typing import NDArray

from sftkit.format.encoding import Positions, Values
from sftkit.format.metadata import Metadata, ParameterSpec


class Difference(Protocol):
    """A difference vector φ on a backbone, and the head that came with it."""

    @property
    def metadata(self) -> Metadata:
        """What the SFT says of itself."""
        ...

    @property
    def names(self) -> tuple[str, ...]:
        """Canonical names of the parameters that have entries, sorted."""
        ...

    @property
    def head(self) -> Mapping[str, NDArray[Any]]:
        """The fully tuned head, by its names in the model."""
        ...

    @property
    def digest(self) -> str:
        """128-bit hash of the SFT's file or, in memory, of the file it would become."""
        ...

    def entries(self, name: str) -> tuple[Positions, Values]:
        """Flat row-major positions (int64, strictly increasing) and values (float32, none 0) of one parameter."""
        ...


def density(k: int, parameters: Iterable[ParameterSpec]) -> float:
    """Entries as a share of the backbone's parameters; 0 for an empty backbone."""
    total = sum(spec.size for spec in parameters)
    return k / total if total else 0.0
