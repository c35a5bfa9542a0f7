"""sft + sft (+ …) = sft, and with negative weights sft − sft: an SFT that does what its parents do together.

Sums are taken in float64 and stored as float32. Covers the head rules as far as they can be known without a base: see
:mod:`sftkit.composing.heads`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sftkit.algebra.arithmetic import SUM, Merger, Method, Weighted, odd_weights, paths
from sftkit.algebra.window import Merged
from sftkit.checkpoints.names import is_pooler
from sftkit.composing.belong import same_base
from sftkit.composing.heads import HeadChoice, brings_task_head, choose_head, head_document, is_language
from sftkit.composing.record import check_names
from sftkit.composing.report import ArithmeticReport, uses
from sftkit.errors import MismatchError
from sftkit.format.encoding import Positions, Values
from sftkit.format.files import SftFile
from sftkit.format.metadata import Metadata, ParameterSpec
from sftkit.format.writing import digest_of, write
from sftkit.storage.atomic import check_output
from sftkit.storage.dtypes import VALUE_DTYPES, narrowed


class Sum:
    """Several weighted SFTs as one; satisfies ``Difference``. Sums are taken when they are asked for."""

    def __init__(self, weighted: Sequence[Weighted], method: Method = SUM, values: str = "f32") -> None:
        """Check that the SFTs belong together and choose the head; ``values`` says how the sum will be stored.

        Raises:
            MismatchError: if shapes or bases differ, or two SFTs bring a task head.
        """
        self._merger = Merger(weighted, method)
        parents = self._merger.weighted
        self.choice = _choose(parents)
        self.head: Mapping[str, NDArray[Any]] = self.choice.owner.sft.head if self.choice.owner else {}
        self.metadata = _metadata(weighted, parents, method, self.choice)
        self.names = tuple(name for name in self._merger.names if name in self.metadata.parameters)
        self.skipped = tuple(name for name in self._merger.names if name not in self.metadata.parameters)
        self.overlap = self.sign_conflicts = self.lost = 0
        self.exact = True
        self._stored = VALUE_DTYPES.get(values, np.dtype(np.float32))
        self._counted: set[str] = set()

    @cached_property
    def digest(self) -> str:
        """128-bit hash of the file that this SFT would become."""
        return digest_of(self)

    def entries(self, name: str) -> tuple[Positions, Values]:
        """Flat positions and float32 values of one parameter; counts overlap and sign conflicts along the way.

        Raises:
            MismatchError: if a sum does not fit float32.
        """
        merged = self._merger.parameter(name, self.metadata.parameters[name].size)
        self._count(name, merged)
        with np.errstate(over="ignore"):
            values = merged.values.astype(np.float32)
        if not np.isfinite(values).all():
            raise MismatchError(f"{name}: a sum does not fit float32. Give the SFTs smaller weights.")
        real = values != 0
        return merged.positions[real], values[real]

    def _count(self, name: str, merged: Merged) -> None:
        if name in self._counted:
            return
        self._counted.add(name)
        self.overlap += merged.overlap
        self.sign_conflicts += merged.sign_conflicts
        with np.errstate(over="ignore"):
            stored = narrowed(merged.values, self._stored).astype(np.float64)
        self.lost += int(np.count_nonzero((stored == 0) & (merged.values != 0)))
        self.exact &= bool((stored == merged.values).all())


def add(
    weighted: Sequence[Weighted], output: Path, *, method: Method = SUM, values: str = "f32", overwrite: bool = False
) -> ArithmeticReport:
    """Add SFTs to each other and write the sum.

    Args:
        weighted: the SFTs in any order; the same one may come several times.
        output: the file to make.
        method: how entries on one position become one.
        values: "f32", "bf16" or "f16".
        overwrite: replace an existing output.

    Raises:
        MismatchError: if shapes or bases differ, or two SFTs bring a task head.
        OutputExistsError: if the output exists.
    """
    check_output(output, overwrite=overwrite, inputs=paths(weighted), directory=False)
    check_names(Path(item.path).name for item in weighted)
    total = Sum(weighted, method, values)
    write(output, total, values=values, overwrite=overwrite)
    notes = [*odd_weights(weighted), *total.choice.notes]
    if total.skipped:
        notes.append(f"{total.skipped[0]} is left out: the head's architecture has no such parameter.")
    entries = SftFile(output).metadata.k
    if not entries:
        notes.append("nothing is left: every entry cancels.")
    return ArithmeticReport(
        str(output), uses(weighted), entries, total.overlap, total.sign_conflicts,
        dict(head_document(total.choice)), tuple(notes), total.lost, total.exact and not total.skipped,
    )  # fmt: skip


def _choose(parents: Sequence[Weighted]) -> HeadChoice:
    try:
        return choose_head(parents)
    except MismatchError:
        if any(not is_language(item.sft) for item in parents):
            raise
        note = "the SFTs bring LM heads with equal weights: the sum brings none, and the base's will be kept."
        return HeadChoice("base", None, None, (note,))


def _metadata(given: Sequence[Weighted], parents: Sequence[Weighted], method: Method, choice: HeadChoice) -> Metadata:
    owner = choice.owner.sft.metadata if choice.owner else None
    # A task whose head was subtracted away is a task no more.
    plain = [item.sft.metadata for item in parents if not brings_task_head(item.sft)]
    objectives, classes = {metadata.objective for metadata in plain}, {metadata.head for metadata in plain}
    every = sorted(given, key=lambda item: (item.sft.digest, item.weight))
    return Metadata(
        parameters=_parameters(parents or every, owner),
        k=0,  # counted when it is written
        base=same_base(every),
        objective=owner.objective if owner else objectives.pop() if len(objectives) == 1 else "",
        method=method.name,
        labels=owner.labels if owner else (),
        problem_type=owner.problem_type if owner else "",
        head=owner.head if owner else classes.pop() if len(classes) == 1 else None,
        tied_embeddings=next((i.sft.metadata.tied_embeddings for i in parents if i.sft.metadata.tied_embeddings), None),
        trained_with=tuple(sorted({digest for item in parents for digest in item.sft.metadata.trained_with})),
        training={} if method.name == "sum" else {"compose": method.document()},
        parents=tuple(
            {
                "name": Path(i.path).name,
                "digest": i.sft.digest,
                "weight": i.weight,
                "k": i.sft.metadata.k,
            }
            for i in every
        ),
    )


def _parameters(parents: Sequence[Weighted], owner: Metadata | None) -> dict[str, ParameterSpec]:
    """The backbone's parameters; of the pooler's, which some heads' models lack, only those of the head that wins."""
    result: dict[str, ParameterSpec] = {}
    origin: dict[str, str] = {}
    for item in parents:
        for name, spec in item.sft.metadata.parameters.items():
            if name in result and result[name].shape != spec.shape:
                raise MismatchError(
                    f"{name} has shape {list(result[name].shape)} in {origin[name]}, {list(spec.shape)} in {item.path}."
                )
            if owner is None or name in owner.parameters or not is_pooler(name):
                result.setdefault(name, spec)
                origin.setdefault(name, item.path)
    return result


def negated(weighted: Sequence[Weighted]) -> list[Weighted]:
    """The same SFTs, to be subtracted."""
    return [Weighted(item.sft, -item.weight, item.path) for item in weighted]
