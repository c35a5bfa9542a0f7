"""``sftkit inspect``: what one SFT holds, or several side by side."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sftkit.cli import _render
from sftkit.cli._arguments import local_sft
from sftkit.cli._render import Column

if TYPE_CHECKING:
    from sftkit.operations.stats import Stats
    from sftkit.operations.summary import DiffSummary
    from sftkit.operations.tokens import TokenRow


def inspect(
    files: Annotated[list[str], typer.Argument(metavar="X.sft…", help="One SFT, or several to see side by side.")],
    layers: Annotated[bool, typer.Option("--layers", help="Show every parameter, layer by layer.")] = False,
    tokens: Annotated[
        bool, typer.Option("--tokens", help="Name the rows of the token embedding that changed most.")
    ] = False,
    top: Annotated[int, typer.Option("--top", min=1, help="How many tokens --tokens names.")] = 20,
    tokenizer: Annotated[
        Path | None,
        typer.Option("--tokenizer", metavar="DIR", help="Where tokenizer.json is; default: the SFT's base."),
    ] = None,
    plot: Annotated[
        Path | None, typer.Option("--plot", metavar="F", help="Draw density and magnitude by layer and kind of module.")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an existing picture.")] = False,
    json: Annotated[
        bool, typer.Option("--json", help="Print one JSON document (a list of them for several files).")
    ] = False,
) -> None:
    """Show what an SFT holds: K, density, where in the model, how large, which tokens, where it comes from.

    \b
    Examples:
      sftkit inspect mt.sft
      sftkit inspect mt.sft --layers --tokens --plot mt.png
      sftkit inspect mt.sft ha.sft
      sftkit inspect mt.sft --json
    """
    from sftkit.operations.summary import summarise
    from sftkit.operations.tokens import top_tokens

    if plot:
        from sftkit.plots import check_picture

        check_picture(plot, overwrite=overwrite)
    summaries = [summarise(local_sft(file), file) for file in files]
    named = [top_tokens(summary, tokenizer, top) for summary in summaries] if tokens else [()] * len(summaries)
    if plot:
        from sftkit.plots import plot_summaries

        plot_summaries(summaries, plot, overwrite=overwrite)
    if json:
        documents = [
            _document(summary, rows if tokens else None) for summary, rows in zip(summaries, named, strict=True)
        ]
        _render.as_json(documents[0] if len(documents) == 1 else documents)
    elif len(summaries) == 1:
        _show(summaries[0], layers)
        _show_tokens(summaries[0], named[0])
    else:
        _compare(summaries, layers)
        for summary, rows in zip(summaries, named, strict=True):
            _show_tokens(summary, rows)


def _document(summary: DiffSummary, rows: Sequence[TokenRow] | None) -> dict[str, Any]:
    return summary.document() | ({} if rows is None else {"tokens": [row.document() for row in rows]})


def _show(summary: DiffSummary, every_parameter: bool) -> None:
    facts = [(name, value) for name, value in _facts(summary) if value]
    _render.table(summary.label, [Column(""), Column("")], facts)
    _stats_table("By kind of module", "kind", summary.kinds, summary.k)
    _stats_table("By layer", "layer", summary.layers, summary.k)
    if every_parameter:
        _stats_table("By parameter", "parameter", summary.parameters, summary.k)
    if summary.metadata.training:
        _render.table("Training", [Column(""), Column("")], _flat(summary.metadata.training))


def _facts(summary: DiffSummary) -> list[tuple[str, str]]:
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
        ("density, backbone", f"{_render.share(summary.density)} of {total.size:,}"),
        ("density, with head", _render.share(summary.model_density) if summary.head else ""),
        ("|φ| mean, max", f"{total.mean_abs:.3g}, {total.max_abs:.3g}" if summary.k else ""),
        ("|φ| quantiles", "\n".join(f"{100 * q:g} %: {value:.3g}" for q, value in quantiles.items())),
        ("φ l1, l2", f"{total.l1:.4g}, {total.l2:.4g}" if summary.k else ""),
        ("embedding rows touched", "\n".join(rows)),
        ("head", "\n".join(f"{tensor.name} {_shape(tensor.shape)}" for tensor in summary.head)),
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
        ("trained with", "\n".join(metadata.trained_with)),
        ("made from", "\n".join(_parent(parent) for parent in metadata.parents)),
        ("file", f"{summary.nbytes:,} bytes, values as {summary.stored}{_per_entry(summary)}"),
    ]


def _untied(summary: DiffSummary) -> str:
    untied = summary.metadata.tied_embeddings
    return f"{untied.output} from {untied.input}" if untied else ""


def _per_entry(summary: DiffSummary) -> str:
    head = sum(tensor.nbytes for tensor in summary.head)
    return f", {(summary.nbytes - head) / summary.k:.2f} bytes an entry" if summary.k else ""


def _parent(parent: Any) -> str:
    name = parent.get("name") or parent.get("path") or parent.get("digest") or "?"
    return f"{name} × {parent['weight']}" if "weight" in parent else str(name)


def _flat(training: Any, prefix: str = "") -> list[tuple[str, str]]:
    """A training record as rows for people: what was not asked for is left out. ``--json`` has all of it."""
    rows: list[tuple[str, str]] = []
    for key, value in training.items():
        if isinstance(value, dict) and "name" not in value:
            rows += _flat(value, f"{prefix}{key} ")
        elif prefix == "history ":
            rows += [(f"{prefix}{key}", f"{len(value)} evaluations")] if isinstance(value, list) and value else []
        elif value not in (None, "", False, [], ()):
            rows.append((f"{prefix}{key}".replace("_", " "), _said(value)))
    return rows


def _said(value: Any) -> str:
    if isinstance(value, dict):
        return str(value["name"])
    if isinstance(value, (list, tuple)):
        return ", ".join(map(_said, value))
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return f"{value:,}" if isinstance(value, int) else f"{value:.6g}"
    return str(value)


def _shape(shape: Sequence[int]) -> str:
    return " × ".join(f"{size:,}" for size in shape) or "scalar"


def _stats_table(title: str, what: str, groups: Sequence[Stats], k: int) -> None:
    columns = [
        Column(what), Column("shape" if what == "parameter" else "elements", number=True),
        Column("entries", number=True), Column("of K", number=True), Column("density", number=True),
        Column("mean |φ|", number=True), Column("max |φ|", number=True), Column("l2", number=True),
    ]  # fmt: skip
    _render.table(title, columns, [_stats_row(stats, k) for stats in groups])


def _stats_row(stats: Stats, k: int) -> tuple[str, ...]:
    size, entries = _shape(stats.shape), f"{stats.nnz:,}"
    if not stats.nnz:
        return (stats.name, size, entries, "–", "–", "–", "–", "–")
    share, density = _render.share(stats.nnz / k), _render.share(stats.density)
    return (
        stats.name,
        size,
        entries,
        share,
        density,
        f"{stats.mean_abs:.3g}",
        f"{stats.max_abs:.3g}",
        f"{stats.l2:.3g}",
    )


def _show_tokens(summary: DiffSummary, rows: Sequence[TokenRow]) -> None:
    if rows:
        columns = [
            Column("row", number=True),
            Column("token"),
            Column("entries", number=True),
            Column("l2", number=True),
        ]
        cells = [(f"{row.row:,}", row.token, f"{row.nnz:,}", f"{row.l2:.3g}") for row in rows]
        _render.table(f"Tokens changed most by {summary.label}", columns, cells)


def _compare(summaries: Sequence[DiffSummary], every_parameter: bool) -> None:
    columns = [Column(""), *(Column(summary.label, number=True) for summary in summaries)]
    facts = [dict(_facts(summary)) for summary in summaries]
    rows = [[key, *(fact[key] for fact in facts)] for key in facts[0] if any(fact[key] for fact in facts)]
    _render.table("", columns, rows)
    _compare_groups("Density by kind of module", columns, [summary.kinds for summary in summaries])
    _compare_groups("Density by layer", columns, [summary.layers for summary in summaries])
    if every_parameter:
        _compare_groups("Density by parameter", columns, [summary.parameters for summary in summaries])


def _compare_groups(title: str, columns: Sequence[Column], groups: Sequence[Sequence[Stats]]) -> None:
    by_name = [{stats.name: stats for stats in group} for group in groups]
    names = dict.fromkeys(name for group in by_name for name in group)
    rows = [
        [name, *(_render.share(group[name].density) if name in group else "–" for group in by_name)] for name in names
    ]
    _render.table(title, columns, rows)
