"""What is to be said of an SFT to people: the lines that ``inspect`` shows and that a model card holds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sftkit.format.metadata import Metadata
    from sftkit.inspecting.summary import DiffSummary


def share(value: float) -> str:
    """A share as a percentage with three significant digits: 0.0431 is "4.31 %"."""
    return f"{100 * value:.3g} %"


def counted(count: int, one: str, several: str = "") -> str:
    """A number with its noun: "1 step", "2,000 steps"."""
    return f"{count:,} {one if count == 1 else several or one + 's'}"


def facts(summary: DiffSummary) -> list[tuple[str, str]]:
    """What an SFT is, line by line; the text is "" where there is nothing to say."""
    metadata, base = summary.metadata, summary.metadata.base
    total, quantiles = summary.total, summary.quantiles
    rows = [
        f"{len(each.touched):,} of {each.rows:,} ({each.name.removesuffix('.weight')})"
        for each in summary.embeddings
        if len(each.touched)
    ]
    fingerprint = base.fingerprint if base else None
    return [
        ("K", f"{summary.k:,}"),
        (f"density, {_of_what(metadata)}", f"{share(summary.density)} of {total.size:,}"),
        ("density, with head", share(summary.model_density) if summary.head else ""),
        ("|φ| mean, max", f"{total.mean_abs:.3g}, {total.max_abs:.3g}" if summary.k else ""),
        ("|φ| quantiles", "\n".join(f"{100 * q:g} %: {value:.3g}" for q, value in quantiles.items())),
        ("φ l1, l2", f"{total.l1:.4g}, {total.l2:.4g}" if summary.k else ""),
        ("embedding rows touched", "\n".join(rows)),
        ("head", "\n".join(f"{tensor.name} {shown_shape(tensor.shape)}" for tensor in summary.head)),
        ("head class", metadata.head or ""),
        ("labels", ", ".join(metadata.labels)),
        ("objective", metadata.objective),
        ("method", metadata.method),
        (
            "base",
            " ".join(part for part in (base.name, base.model_type and f"({base.model_type})") if part) if base else "",
        ),
        ("base revision", (base.revision or "") if base else ""),
        ("base fingerprint", fingerprint or ""),
        ("embeddings untied", _untied(summary)),
        ("trained with", _trained_with(metadata)),
        ("made from", "\n".join(_parent(parent) for parent in metadata.parents)),
        ("file", f"{summary.nbytes:,} bytes, values as {summary.stored}{_per_entry(summary)}"),
    ]


#: What takes several lines, or long ones: too much to be seen side by side.
_LONG = (
    "|φ| quantiles", "embedding rows touched", "head", "head class", "labels", "base fingerprint", "embeddings untied",
    "trained with", "made from", "file",
)  # fmt: skip


def brief_facts(summary: DiffSummary) -> list[tuple[str, str]]:
    """Those of them that several SFTs are compared by."""
    return [(name, text) for name, text in facts(summary) if name not in _LONG]


def _of_what(metadata: Metadata) -> str:
    if metadata.base is None:
        return "parameters named"
    return "backbone and output" if metadata.output else "backbone"


def _untied(summary: DiffSummary) -> str:
    untied = summary.metadata.tied_embeddings
    return f"{untied.output} from {untied.input}" if untied else ""


def _trained_with(metadata: Metadata) -> str:
    """Digests of the SFTs that were applied while training, behind their names where the training record has them."""
    sources = metadata.training.get("sources")
    each = [source.get("sft") for source in sources if isinstance(source, Mapping)] if isinstance(sources, list) else []
    each.append(metadata.training.get("source_sft"))
    names = {str(sft.get("xxh3_128")): sft.get("name") or "" for sft in each if isinstance(sft, Mapping)}
    return "\n".join(f"{names.get(digest, '')}  {digest}".strip() for digest in metadata.trained_with)


def _per_entry(summary: DiffSummary) -> str:
    head = sum(tensor.nbytes for tensor in summary.head)
    return f", {(summary.nbytes - head) / summary.k:.2f} bytes an entry" if summary.k else ""


def _parent(parent: Any) -> str:
    name = parent.get("name") or parent.get("path") or parent.get("digest") or "?"
    return f"{name} × {parent['weight']}" if "weight" in parent else str(name)


def shown_shape(shape: Sequence[int]) -> str:
    """A shape for people: 768 × 3,072."""
    return " × ".join(f"{size:,}" for size in shape) or "scalar"
