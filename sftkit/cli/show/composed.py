"""A composed model as two tables: what it is, and the SFTs in it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from sftkit.cli.show import render
from sftkit.cli.show.render import Column

if TYPE_CHECKING:
    from sftkit.composing.composed import ComposedModel


def show_model(found: ComposedModel) -> None:
    """Print them; of a model that sftkit did not compose only what it is."""
    record = found.record
    rows = list(_facts(found))
    if record is not None:
        rows += [
            ("composed of", _composition(record.base, record.sfts)),
            ("base", str(record.base.get("path") or record.base.get("name") or "")),
            ("base fingerprint", str(record.base.get("fingerprint") or "")),
            ("how SFTs are added", _method(record.method)),
            ("changed since", "yes" if found.changed else "no"),
        ]
    render.table(found.label, [Column(""), Column("")], [(name, value) for name, value in rows if value])
    if record is not None:
        columns = [
            Column("SFT"), Column("weight", number=True), Column("K", number=True), Column("objective"),
            Column("digest"),
        ]  # fmt: skip
        render.table("SFTs in it", columns, [_cells(sft) for sft in record.sfts])


def _facts(found: ComposedModel) -> Iterator[tuple[str, str]]:
    """What one would like to know of any model."""
    yield "model type", found.model_type
    yield "architecture", found.architecture
    yield "parameters", f"{found.parameters:,}, and {found.head_parameters:,} of its head"
    if found.tied_output is not None:
        yield "input and output embedding", "one matrix" if found.tied_output else "two matrices"
    if found.vocabulary is not None:
        yield "vocabulary", f"{found.vocabulary:,}"
    yield "size", f"{found.size / 1e6:,.1f} MB"
    yield "dtype", found.dtype
    yield "fingerprint", found.fingerprint


def _composition(base: Mapping[str, Any], sfts: tuple[Mapping[str, Any], ...]) -> str:
    """``base + mt.sft × 0.5 − pos.sft``."""
    parts = [str(base.get("name") or "base")]
    for sft in sfts:
        weight = float(sft["weight"])
        times = "" if abs(weight) == 1 else f" × {abs(weight):g}"
        parts.append(f"{'−' if weight < 0 else '+'} {sft.get('path') or sft['digest']}{times}")
    return " ".join(parts)


def _method(method: Mapping[str, Any]) -> str:
    """``ties, trim 0.2``."""
    name, settings = str(method.get("name", "sum")), {key: value for key, value in method.items() if key != "name"}
    steps = "in steps of different methods"
    return ", ".join([steps if name == "several" else name, *(f"{key} {value}" for key, value in settings.items())])


def _cells(sft: Mapping[str, Any]) -> tuple[str, ...]:
    k = sft.get("k")
    return (
        str(sft.get("path") or ""), f"{float(sft['weight']):g}", f"{k:,}" if isinstance(k, int) else "",
        str(sft.get("objective") or ""), str(sft["digest"]),
    )  # fmt: skip
