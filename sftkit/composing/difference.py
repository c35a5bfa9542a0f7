"""model − model = sft: every difference of two checkpoints, or the K largest, and the head of the first.

Differences are taken in float64 and rounded once to float32; block by block, so that memory is that of the entries
kept. Covers two checkpoints of one architecture and vocabulary; a pooler that only one of them has is left out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sftkit.algebra.largest import choose_largest
from sftkit.algebra.selected import Chosen, choosing
from sftkit.checkpoints.checkpoint import Checkpoint
from sftkit.checkpoints.fingerprint import identify
from sftkit.composing.layout import BaseView
from sftkit.composing.left_out import left_out
from sftkit.composing.pairs import absent_parts, damaged, pairs, shared_names, subtracted
from sftkit.composing.record import check_names
from sftkit.composing.renamed import as_loaded
from sftkit.composing.report import ArithmeticReport
from sftkit.composing.tuned_head import TunedHead, moves_output, tuned_head
from sftkit.errors import SettingsError
from sftkit.format.encoding import Positions, Values
from sftkit.format.files import SftFile
from sftkit.format.metadata import Metadata, ParameterSpec
from sftkit.format.writing import digest_of, write
from sftkit.storage.atomic import check_output
from sftkit.storage.dtypes import BFLOAT16, VALUE_DTYPES, all_finite, narrowed
from sftkit.storage.memory import keep_freed

#: How much of the differences is looked at to guess what the K largest are: so many elements out of so many.
_SAMPLE_LENGTH, _SAMPLE_EVERY = 1 << 14, 1 << 19

#: The smallest positive float32: added to a 16-bit zero it decides the sign, and rounds away.
_LEAST = np.float32(2.0**-149)
_SIXTEEN_BITS = (np.dtype(np.float16), BFLOAT16)


class ModelDifference:
    """tuned − base, parameter by parameter; satisfies ``Difference``. Keeps what was chosen, or nothing."""

    def __init__(
        self, tuned: Path, base: Path, *, name: str = "", origin: Path | None = None, values: str = "f32"
    ) -> None:
        """Check that the two have the same parameters.

        Args:
            tuned: the model that was fine-tuned.
            base: the model that it came from.
            name: what the user called the base.
            origin: the base as it is stored, if ``base`` is a copy under the names that it has when it is loaded.
            values: how it will be stored, "f32", "bf16" or "f16": what is then inexact is counted.

        Raises:
            MismatchError: naming the tensor and the two shapes.
        """
        self._tuned, self._base = Checkpoint(tuned), Checkpoint(base)
        self.shared = shared_names(self._tuned, self._base, str(tuned), str(origin or base))
        mine, theirs = BaseView.of(self._tuned), BaseView.of(self._base)
        self._keys = {each: (self._tuned.backbone[each], self._base.backbone[each]) for each in self.shared}
        if moves_output(mine, theirs) and mine.known is not None:
            self.shared = (*self.shared, mine.known.output)
            self._keys[mine.known.output] = (mine.known.output, theirs.output_key)
        whole: TunedHead = tuned_head(mine, theirs)
        self.notes = (*whole.notes, *_as_they_are(absent_parts(self._tuned, self._base)))
        self.head: Mapping[str, NDArray[Any]] = whole.tensors
        parameters = {each: self._spec(each) for each in self.shared}
        self._metadata = replace(whole.metadata, parameters=parameters, method="difference")
        stored = self._base if origin in (None, base) else Checkpoint(origin)
        self._base_record = identify(stored, name or str(origin or base))
        self.names = tuple(sorted(self.shared))
        self.moved = self.inexact = 0
        self._stored = VALUE_DTYPES.get(values, np.dtype(np.float32))  # an unknown name is refused by what writes
        across = "cannot be had in the base's dtype" if self._tuned.dtype != self._base.dtype else ""
        self.why = f"are rounded to {self._stored.name}" if values != "f32" else across or "are no float32 numbers"
        inside = {self.key_of(each) for each in self.shared} | set(self.head)
        self.left_out = tuple(left_out(mine, theirs, inside, self.head))
        self._chosen: dict[str, tuple[Positions, Values]] | None = None

    def _spec(self, name: str) -> ParameterSpec:
        stored = self._base.spec(self._keys[name][1])
        return ParameterSpec(stored.shape, stored.dtype.name)

    def key_of(self, name: str) -> str:
        """A parameter's name in the tuned model's files."""
        return self._keys[name][0]

    @cached_property
    def metadata(self) -> Metadata:
        """What the SFT says of itself; waits for the base's fingerprint."""
        return replace(self._metadata, base=self._base_record())

    def keep(self, chosen: Chosen) -> None:
        """Look at some parameters only.

        Raises:
            SettingsError: if there are none.
        """
        self.shared = tuple(name for name in self.shared if chosen(name))
        if not self.shared:
            raise SettingsError("No parameter is left: look at the patterns of --only and --exclude.")
        self.names, self.left_out = tuple(sorted(self.shared)), (*self.left_out, "what --only and --exclude leave")

    @property
    def size(self) -> int:
        """Number of elements that can differ."""
        return sum(spec.size for spec in self._metadata.parameters.values())

    @cached_property
    def digest(self) -> str:
        """128-bit hash of the file that this SFT would become."""
        return digest_of(self)

    def choose(self, k: int) -> None:
        """Keep the K largest differences by magnitude; ties go to the lowest position by name, then place.

        Raises:
            MismatchError: if a difference is not finite.
        """
        chosen = choose_largest(self._all_blocks, k, self._sample(), self.size)
        self.moved, self._chosen = chosen.moved, chosen.entries
        self.names = tuple(sorted(self._chosen))

    def entries(self, name: str) -> tuple[Positions, Values]:
        """Flat positions and float32 values of one parameter: of the chosen entries, else of all that differ."""
        if self._chosen is not None:
            return self._chosen[name]
        pieces = [self._exact(name, *block) for block in pairs(self._tuned, self._base, self._keys[name])]
        positions = np.concatenate([piece[0] for piece in pieces] or [np.zeros(0, np.int64)])
        return positions, np.concatenate([piece[1] for piece in pieces] or [np.zeros(0, np.float32)])

    def _all_blocks(self) -> Iterator[tuple[str, int, Values]]:
        for name in self.shared:
            for start, tuned, base in pairs(self._tuned, self._base, self._keys[name]):
                yield name, start, subtracted(tuned, base, name)

    def _sample(self) -> Values:
        """Short stretches at even distances, counted through all parameters."""
        stretches, begin = [np.zeros(0, np.float32)], 0
        for name in self.shared:
            size = self._metadata.parameters[name].size
            first = -begin % _SAMPLE_EVERY
            for start in range(first, size, _SAMPLE_EVERY):
                blocks = pairs(self._tuned, self._base, self._keys[name], start, min(start + _SAMPLE_LENGTH, size))
                stretches += [subtracted(tuned, base, name) for _, tuned, base in blocks]
            begin += size
        return np.concatenate(stretches)

    def _exact(self, name: str, start: int, tuned: NDArray[Any], base: NDArray[Any]) -> tuple[Positions, Values]:
        """One block's differences, such that base + difference is tuned wherever float32 can say so."""
        if tuned.dtype != base.dtype:
            values = subtracted(tuned, base, name)
            at = np.flatnonzero(values)
            again = self._restored(base, values).astype(np.float64)
            self.inexact += int(np.count_nonzero(again != tuned.astype(np.float64)))
            return at + start, values[at]
        bits = np.dtype(f"u{tuned.dtype.itemsize}")
        at = np.flatnonzero(tuned.view(bits) != base.view(bits))
        if not all_finite(tuned):  # where the two are the same, too
            raise damaged(name)
        mine, other = tuned[at], base[at]
        kept = subtracted(mine, other, name)
        if tuned.dtype in _SIXTEEN_BITS:  # 0 and -0 differ by less than 16 bits can hold, but not by nothing
            kept = np.where(kept == 0, np.copysign(_LEAST, mine.astype(np.float32)), kept)
        real = kept != 0  # a 0 is no entry: of float32 it would have made -0 out of 0 or the reverse
        again = np.where(real, self._restored(other, kept), other)
        self.inexact += int(np.count_nonzero(again.view(bits) != mine.view(bits)))
        return (at + start)[real], kept[real]

    def _restored(self, base: NDArray[Any], values: Values) -> NDArray[Any]:
        """What composing makes of the base and these values as they are stored."""
        with np.errstate(over="ignore", invalid="ignore"):
            return narrowed(base.astype(np.float64) + values.astype(self._stored, copy=False), base.dtype)


def _as_they_are(parts: tuple[str, ...]) -> tuple[str, ...]:
    if not parts:
        return ()
    return (f"the tuned model's class has no {', '.join(parts)}: what is there stays as it is in the base.",)


def difference(
    tuned: Path,
    base: Path,
    output: Path,
    *,
    name: str = "",
    k: int | None = None,
    density: float | None = None,
    only: str | None = None,
    exclude: str | None = None,
    values: str = "f32",
    overwrite: bool = False,
) -> ArithmeticReport:
    """Write tuned − base as an SFT.

    Args:
        tuned: the model that was fine-tuned.
        base: the model that it came from.
        output: the file to make.
        name: what the user called the base, if not by its directory.
        k: keep so many of the largest differences; all of them if neither this nor ``density`` is given.
        density: the same as a share of the backbone's parameters.
        only: only parameters in whose names this regular expression is found.
        exclude: and in whose names this one is not.
        values: "f32", "bf16" or "f16".
        overwrite: replace an existing output.

    Raises:
        MismatchError: if the two are not of one shape.
        SettingsError: if K is not between 1 and the number of parameters.
    """
    check_output(output, overwrite=overwrite, inputs=(tuned, base), directory=False)
    keep_freed()
    check_names([name or str(base)])
    with as_loaded(tuned) as mine, as_loaded(base) as theirs:
        delta = ModelDifference(mine, theirs, name=name, origin=base, values=values)
        if only is not None or exclude is not None:
            delta.keep(choosing(only, exclude))
        return _written(delta, output, k, density, values, overwrite=overwrite)


def _written(
    delta: ModelDifference, output: Path, k: int | None, density: float | None, values: str, *, overwrite: bool
) -> ArithmeticReport:
    wanted = k if k is not None else None if density is None else max(1, round(density * delta.size))
    notes = list(delta.notes)
    if wanted is not None:
        if not 1 <= wanted <= delta.size:
            raise SettingsError(f"K = {wanted:,}: between 1 and {delta.size:,} parameters can be kept.")
        delta.choose(wanted)
        if delta.moved < wanted:
            notes.append(f"only {delta.moved:,} parameters differ: all of them are kept, not {wanted:,}.")
    write(output, delta, values=values, overwrite=overwrite)
    if delta.inexact:
        notes.append(
            f"base + SFT is the model within rounding only, in {delta.inexact:,} of the entries: "
            f"the differences {delta.why}."
        )
    if delta.left_out:
        notes.append(f"base + SFT is not the whole tuned model: {delta.left_out[0]} is left out.")
    written = SftFile(output).metadata
    if not (written.k or delta.head or delta.left_out):
        notes.append("nothing differs: the SFT has no entries.")
    exact = wanted is None and not delta.inexact and not delta.left_out
    return ArithmeticReport(
        str(output), (), written.k, 0, 0, None, tuple(notes), exact=exact,
        extra={"k": written.k, "density": written.density},
    )  # fmt: skip
