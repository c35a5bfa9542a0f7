"""What an SFT's file consists of, its digest, and how it is written: whole or not at all.

Whatever :mod:`sftkit.format.files` would refuse to read is refused here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import xxhash
from numpy.typing import NDArray

from sftkit.errors import FormatError
from sftkit.format.difference import Difference, density
from sftkit.format.encoding import Positions, Values, encode
from sftkit.format.metadata import Metadata
from sftkit.storage.atomic import atomic_file
from sftkit.storage.dtypes import CODES, FLOATS, VALUE_DTYPES
from sftkit.storage.places import at_home
from sftkit.storage.safefile import Planned, SafeWriter, canonical_order, header_of, planned

DIFF, GAPS, VALUES, HEAD = "diff/", "/gaps", "/values", "head/"


def write(path: str | Path, sft: Difference, *, values: str = "f32", overwrite: bool = False) -> Path:
    """Write an SFT to a file.

    Args:
        path: where; nothing appears there before it is whole.
        sft: what.
        values: "f32", "bf16" or "f16"; entries that round to 0 are dropped, and K is counted after that.
        overwrite: replace an existing file.

    Raises:
        OutputExistsError: if ``path`` exists and ``overwrite`` is false.
        FormatError: if a value does not fit the chosen dtype.
    """
    path = at_home(path)
    tensors, metadata = _tensors(sft, values)  # what cannot be written is refused before a file is begun
    with atomic_file(path, overwrite=overwrite) as part:
        _write(part, tensors, metadata)
    return path


def write_part(part: Path, sft: Difference, *, values: str = "f32") -> None:
    """Write an SFT to a part of an output, for who checks it before it takes the output's name.

    Raises:
        FormatError: as :func:`write`.
    """
    _write(part, *_tensors(sft, values))


def file_digest(path: Path) -> str:
    """xxh3-128 of a file's bytes, in hexadecimal."""
    digest = xxhash.xxh3_128()
    with path.open("rb") as file:
        while piece := file.read(1 << 22):
            digest.update(piece)
    return digest.hexdigest()


def digest_of(sft: Difference) -> str:
    """xxh3-128 of the f32 file that an SFT in memory would become."""
    tensors, metadata = _tensors(sft, "f32")
    plans = canonical_order(planned(name, array) for name, array in tensors.items())
    digest = xxhash.xxh3_128(header_of(plans, metadata.to_strings()))
    for plan in plans:
        digest.update(np.ascontiguousarray(tensors[plan.name]).reshape(-1).view(np.uint8).data)
    return digest.hexdigest()


def _tensors(sft: Difference, stored: str) -> tuple[dict[str, NDArray[Any]], Metadata]:
    if stored not in VALUE_DTYPES:
        raise FormatError(f"values of {stored}: known are {', '.join(VALUE_DTYPES)}.")
    tensors: dict[str, NDArray[Any]] = {}
    k = 0
    for name, array in sft.head.items():
        _check_head(name, array)
    for name in sft.names:
        positions, values = sft.entries(name)
        _check(name, positions, values, sft)
        rounded = _round(values, stored, name)
        real = rounded != 0
        if not real.all():
            positions, rounded = positions[real], rounded[real]
        if len(positions):
            k += len(positions)
            tensors[gaps_of(name)], tensors[values_of(name)] = encode(positions, rounded)
    tensors |= {HEAD + name: array for name, array in sft.head.items()}
    return tensors, replace(sft.metadata, k=k, density=density(k, sft.metadata.parameters.values()))


def _check_head(name: str, array: Any) -> None:
    if not isinstance(name, str) or not isinstance(array, np.ndarray) or array.dtype not in CODES.values():
        kind = array.dtype if isinstance(array, np.ndarray) else type(array).__name__
        raise FormatError(f"{name}: a tensor of the head is {kind}; known are numpy arrays of {', '.join(CODES)}.")
    if array.dtype in FLOATS and not np.isfinite(array).all():
        raise FormatError(f"{name}: a value of the head is not finite.", tensor=name)


def _check(name: str, positions: Positions, values: Values, sft: Difference) -> None:
    """Refuse what :func:`read` would refuse."""
    spec = sft.metadata.parameters.get(name)
    if not name:
        raise FormatError("'': entries of a parameter without a name.", tensor=name)
    if spec is None:
        raise FormatError(f"{name} has entries, but is not among the metadata's parameters.", tensor=name)
    if (len(positions) and int(positions[0]) < 0) or (positions[1:] <= positions[:-1]).any():
        raise FormatError(f"{name}: its positions do not increase from 0 on.", tensor=name)
    if len(positions) and int(positions[-1]) >= spec.size:
        raise FormatError(f"{name}: an entry at {int(positions[-1]):,}, of {spec.size:,} elements.")
    if not np.isfinite(values).all():
        raise FormatError(f"{name}: a value is not finite.", tensor=name)


def _round(values: Values, stored: str, name: str) -> NDArray[Any]:
    dtype = VALUE_DTYPES[stored]
    if values.dtype == dtype:
        return values
    with np.errstate(over="ignore"):
        rounded = values.astype(dtype)
    if not np.isfinite(rounded.astype(np.float32)).all():
        raise FormatError(
            f"{name}: a value of {np.abs(values).max():.4g} does not fit {stored}. Store it as f32 or bf16."
        )
    return rounded


def _write(path: Path, tensors: Mapping[str, NDArray[Any]], metadata: Metadata) -> None:
    plans: list[Planned] = canonical_order(planned(name, array) for name, array in tensors.items())
    with SafeWriter(path, plans, metadata.to_strings()) as writer:
        for plan in plans:
            writer.write(plan.name, tensors[plan.name])


def gaps_of(name: str) -> str:
    """The tensor that holds a parameter's gaps."""
    return f"{DIFF}{name}{GAPS}"


def values_of(name: str) -> str:
    """The tensor that holds a parameter's values."""
    return f"{DIFF}{name}{VALUES}"
