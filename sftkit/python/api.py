"""SFTs in Python: read, add, subtract, weigh, save, and put them on a torch model that is already in memory.

>>> import sftkit
>>> maltese, tagging = sftkit.read("mt.sft"), sftkit.read("pos.sft")  # doctest: +SKIP
>>> (tagging + 0.5 * maltese).save("half.sft")  # doctest: +SKIP
>>> with maltese.applied_to(model):  # doctest: +SKIP
...     model(**batch)

The arithmetic is that of ``compose`` and ``subtract``. Torch is imported only where a torch model is touched. Heads are
not put on models here: their class would have to change, which is what ``sftkit compose`` is for.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, SupportsFloat, TypeVar

from sftkit.algebra.arithmetic import Weighted
from sftkit.composing.sums import Sum
from sftkit.errors import SettingsError, about
from sftkit.format import files, sft, writing
from sftkit.format.difference import density
from sftkit.python.given import all_weighted, called, sft_file
from sftkit.python.wording import in_python

if TYPE_CHECKING:
    from torch import nn

    from sftkit.modeling.applied import Applied
    from sftkit.python.given import SftLike

Model = TypeVar("Model", bound="nn.Module")


@dataclass(frozen=True, eq=False, repr=False)
class SFT(sft.CsrDifference):
    """A sparse fine-tuning in memory: ``a + b``, ``a - b``, ``0.5 * a`` and ``-a`` are SFTs again.

    ``parameters`` maps canonical names to CSR arrays of shape (rows, everything else), float32; ``metadata`` and
    ``head`` are what the file holds besides, and ``name`` the file's name, if it was read from one. Two are equal if
    they would become the same file.

    What arithmetic makes remembers what it was made of: ``a + 0.5 * b`` is summed in float64 and rounded once, as
    ``sftkit compose a.sft b.sft:0.5`` does, with the same parents on record, and ``a + b - b`` has the entries of
    ``a``, to the bit.
    """

    name: str = ""
    _terms: tuple[Weighted, ...] = field(default=(), init=False)
    _file_digest: str = field(default="", init=False)

    def __add__(self, other: sft.CsrDifference) -> SFT:
        """φ + φ', taken in float64; as ``sftkit compose a.sft b.sft``."""
        if not isinstance(other, sft.CsrDifference):
            return NotImplemented
        return _sum(_times(self, 1.0), _times(other, 1.0))

    def __radd__(self, other: object) -> SFT:
        """For ``sum([a, b])``, which begins with 0."""
        return self if other == 0 else NotImplemented

    def __truediv__(self, divisor: SupportsFloat) -> SFT:
        """Every entry over a number."""
        return self * (1 / float(divisor)) if hasattr(divisor, "__float__") else NotImplemented

    @property
    def digest(self) -> str:
        """128-bit hash of the file that it was read from, in whatever dtype that is, or of the f32 file to become."""
        return self._file_digest or self.content

    def __sub__(self, other: sft.CsrDifference) -> SFT:
        """φ - φ'; as ``sftkit subtract a.sft b.sft``."""
        if not isinstance(other, sft.CsrDifference):
            return NotImplemented
        return _sum(_times(self, 1.0), _times(other, -1.0))

    def __mul__(self, weight: SupportsFloat) -> SFT:
        """Every entry times a number; as ``a.sft:weight``."""
        return _sum(_times(self, float(weight))) if hasattr(weight, "__float__") else NotImplemented

    __rmul__ = __mul__
    __array_ufunc__ = None  # a number of numpy's leaves the multiplication to us

    def __repr__(self) -> str:
        """One line: what it is, and of which base."""
        made, base = self.metadata, self.metadata.base
        kind = f"{made.objective}, " if made.objective else ""
        return f"<SFT of {base.name if base else 'an unknown base'}: {kind}K = {self.k:,}, density {self.density:.4g}>"

    def _repr_html_(self) -> str:
        """What it is, and where its entries sit, for notebooks."""
        from sftkit.inspecting.summary import summarise_difference

        return summarise_difference(self, self.name or "an SFT in memory")._repr_html_()

    def __neg__(self) -> SFT:
        """-φ."""
        return self * -1.0

    @in_python
    def save(self, path: str | Path, *, values: str = "f32", overwrite: bool = False) -> Path:
        """Write a ``.sft`` file.

        Args:
            path: where; nothing appears there before it is whole.
            values: "f32", "bf16" or "f16".
            overwrite: replace an existing file.

        Raises:
            OutputExistsError: if it exists and ``overwrite`` is false.
        """
        return writing.write(path, self, values=values, overwrite=overwrite)

    @in_python
    def apply_to(self, model: nn.Module, weight: float = 1.0, *, force: bool = False) -> Applied:
        """Add weight · φ to a model's backbone in place; the result puts the model back, to the bit.

        Only the touched values of θ are kept, K of them and their positions. The output matrix of a model that ties it
        to its input embedding gets values of its own meanwhile where ``compose`` would untie it.

        Args:
            model: any head on the backbone that the SFT was learned on; ``torch.compile`` and data-parallel wrappers
                are looked through.
            weight: what φ is multiplied by.
            force: even on other weights than those that it was learned on.

        Raises:
            MismatchError: if the model lacks a parameter, has it in another shape, sharded or quantised, or has other
                weights; nothing was changed then.
        """
        from sftkit.modeling.applied import Applied

        return Applied(model, [Weighted(self, weight, called(self))], force=force)

    @contextmanager
    def applied_to(self, model: Model, weight: float = 1.0, *, force: bool = False) -> Iterator[Model]:
        """The model with weight · φ for the length of a ``with`` block; other threads' blocks wait for its end.

        Raises:
            MismatchError: as :meth:`apply_to`.
        """
        from sftkit.modeling.applied import Applied

        applied = in_python(Applied)(model, [Weighted(self, weight, called(self))], force=force, scoped=True)
        try:
            yield model
        finally:
            applied.revert()


@in_python
def apply(
    model: nn.Module,
    sfts: SftLike | Sequence[SftLike],
    weights: Sequence[float] | None = None,
    *,
    force: bool = False,
) -> Applied:
    """Add SFTs to a model's backbone at once, summed in float64 and rounded once.

    Args:
        model: any model on the backbone that the SFTs were learned on.
        sfts: one or several: paths, ``hf://`` names, SFTs, or pairs of one of these and a weight. Their order does not
            matter.
        weights: what each is multiplied by besides; 1 if not given.
        force: even on other weights than those that they were learned on.

    Raises:
        MismatchError: as :meth:`SFT.apply_to`.
    """
    from sftkit.modeling.applied import Applied

    given = all_weighted(sfts)
    if weights is not None and len(weights) != len(given):
        raise SettingsError(f"{len(weights)} weights for {len(given)} SFTs.")
    factors = [1.0] * len(given) if weights is None else weights
    named = [replace(item, weight=item.weight * factor) for item, factor in zip(given, factors, strict=True)]
    return Applied(model, named, force=force)


@in_python
def read(path: str | PathLike[str]) -> SFT:
    """Read a whole ``.sft`` file into memory.

    Args:
        path: a file, ``hf://owner/name[@revision][/file.sft]``, or a directory in the ``pytorch_diff.bin`` layout.

    Raises:
        FormatError: if anything in it is not what the format asks for.
    """
    file = sft_file(path)
    with about(path):
        stored = files.read(file)
    made = SFT(stored.parameters, stored.metadata, stored.head, Path(path).name)
    object.__setattr__(made, "_file_digest", writing.file_digest(file))  # no argument, as _terms is none
    return made


def _times(one: sft.CsrDifference, weight: float) -> tuple[Weighted, ...]:
    """What an SFT is made of, each with its weight."""
    if isinstance(one, SFT) and one._terms:
        return tuple(Weighted(term.sft, term.weight * weight, term.path) for term in one._terms)
    name = one.name if isinstance(one, SFT) else ""
    return (Weighted(one, weight, name or f"{one.metadata.objective or 'sft'}-{one.digest[:8]}"),)


def _sum(*parts: tuple[Weighted, ...]) -> SFT:
    terms = tuple(term for part in parts for term in part)
    total = Sum(terms)
    parameters: dict[str, Any] = {}
    for name in total.names:
        positions, values = total.entries(name)
        if len(positions):
            parameters[name] = sft.to_csr(positions, values, total.metadata.parameters[name], name)
    k = sum(matrix.nnz for matrix in parameters.values())
    metadata = replace(total.metadata, k=k, density=density(k, total.metadata.parameters.values()))
    made = SFT(parameters, metadata, dict(total.head))
    object.__setattr__(made, "_terms", terms)  # no argument: what is replaced in a sum is no sum any more
    return made
