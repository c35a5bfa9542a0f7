"""The page that ``sftkit report`` writes: what SFTs are, where their entries sit, how they were learned and overlap.

One file that a person opens in a browser and sends to somebody else. Everything in it comes from the files themselves,
and from tables of scores that the caller has read.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sftkit.inspecting.curves import best, start
from sftkit.inspecting.facts import facts, share
from sftkit.inspecting.overlap import OverlapReport
from sftkit.inspecting.page.frame import Cell, document, rows, section
from sftkit.inspecting.page.lines import panel_svg
from sftkit.inspecting.pictures.data import curve_panels, density_maps, overlap_map, short_names
from sftkit.inspecting.pictures.html import escaped, heat_table, histogram_html, table
from sftkit.inspecting.summary import DiffSummary
from sftkit.inspecting.tokens import TokenRow
from sftkit.inspecting.training_facts import training_facts
from sftkit.storage.atomic import atomic_file


@dataclass(frozen=True)
class ScoreTable:
    """Scores to be shown: a title, headings and rows; a number comes with what it is sorted by."""

    title: str
    headings: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]


def write_report(
    path: Path,
    summaries: Sequence[DiffSummary],
    overlap: OverlapReport | None,
    tokens: Sequence[Sequence[TokenRow]],
    scores: Sequence[ScoreTable] = (),
    *,
    overwrite: bool = False,
) -> None:
    """Write the page.

    Args:
        path: where.
        summaries: one or more SFTs.
        overlap: of all of them in this order; None where there is none to show.
        tokens: for each SFT the rows of the embedding that changed most, with their tokens; empty where not known.
        scores: tables of scores.
        overwrite: replace an existing file.

    Raises:
        OutputExistsError: if the file exists and may not be replaced.
    """
    text = page(summaries, overlap, tokens, scores)
    with atomic_file(path, overwrite=overwrite) as part:
        part.write_text(text, encoding="utf-8")


def page(
    summaries: Sequence[DiffSummary],
    overlap: OverlapReport | None,
    tokens: Sequence[Sequence[TokenRow]],
    scores: Sequence[ScoreTable] = (),
) -> str:
    """The page as text; arguments as :func:`write_report`."""
    names = short_names(summaries)
    title = names[0] if len(names) == 1 else f"{len(names)} sparse fine-tunings"
    parts = [
        f"<h1>{escaped(title)}</h1>",
        "<p>A sparse fine-tuning (SFT) is a set of numbers that are added to a few of a language model's parameters: "
        "K of them, which is its density as a share of all. SFTs of one model can be added up, such as one that knows "
        "a language and one that knows a task. This page was made by sftkit from the files themselves.</p>",
        _at_a_glance(names, summaries),
        _scores(scores),
        _overlap(overlap),
        _learned(names, summaries),
        *(
            _alone(number, name, summary, rows_of)
            for number, (name, summary, rows_of) in enumerate(zip(names, summaries, tokens, strict=True))
        ),
    ]
    return document(title, "\n".join(part for part in parts if part))


def _at_a_glance(names: Sequence[str], summaries: Sequence[DiffSummary]) -> str:
    headings = ("SFT", "objective", "method", "base", "K", "density", "mean |φ|", "held out: before", "kept", "metric")
    cells = [
        (
            name, summary.metadata.objective, summary.metadata.method,
            summary.metadata.base.name if summary.metadata.base else "", (f"{summary.k:,}", float(summary.k)),
            (share(summary.density), summary.density), _number(summary.total.mean_abs if summary.k else None),
            *_gain(summary),
        )
        for name, summary in zip(names, summaries, strict=True)
    ]  # fmt: skip
    links = "".join(f'<a href="#sft{number}">{escaped(name, 60)}</a>' for number, name in enumerate(names))
    said = (
        "K: how many parameters each changes. Density: that as a share of the model. |φ|: how far, on average. Held "
        "out: the score on data it did not learn from, before training and of what was kept. Headings sort."
    )
    return section("glance", "At a glance", said, rows(headings, cells), f"<nav>{links}</nav>" if links else "")


def _gain(summary: DiffSummary) -> tuple[Cell, Cell, str]:
    training = summary.metadata.training
    kept = best(training)
    return _number(start(training)), _number(kept[1] if kept else None), kept[2] if kept else ""


def _number(value: float | None) -> Cell:
    if value is None or not math.isfinite(value):
        return "–", -math.inf
    return f"{value:.4g}", value


def _scores(scores: Sequence[ScoreTable]) -> str:
    parts = [f"<h3>{escaped(each.title)}</h3>{rows(each.headings, each.rows)}" for each in scores if each.rows]
    return section("scores", "Scores", "As they were given. In brackets: 95 % intervals.", *parts)


def _overlap(report: OverlapReport | None) -> str:
    if report is None:
        return ""
    said = (
        "Do they change the same parameters? Each cell has the entries that two SFTs have in common, as a share of the "
        "smaller one, and small below it what chance would give, had each drawn as many positions in every parameter "
        "as it has there. Those that overlap most stand side by side. Related languages tend to overlap more."
    )
    pairs = [
        (
            report.names[one], report.names[other], (share(found), found), (share(chance), chance),
            _number(found / chance if chance else None),
            (f"{common:,}", float(common)),
        )
        for one in range(len(report.names)) for other in range(one + 1, len(report.names))
        if math.isfinite(found := float(report.whole.matrix[one, other]))
        for chance in [float(report.whole.expected[one, other])]
        for common in [int(report.shared[one, other]) if report.shared is not None else 0]
    ]  # fmt: skip
    headings = ("one", "other", "in common", "by chance", "times chance", "entries")
    heat = f'<div class="wide">{heat_table(overlap_map(report))}</div>'
    return section("overlap", "Overlap", said, heat, rows(headings, pairs))


def _learned(names: Sequence[str], summaries: Sequence[DiffSummary]) -> str:
    panels = curve_panels({name: summary.metadata.training for name, summary in zip(names, summaries, strict=True)})
    said = (
        "Thin lines: phase 1, in which all parameters may move and the K that move most are found. Thick lines: "
        "phase 2, in which only those do. The ring is the step that was kept. Rest the pointer on a point for its value."
    )
    return section("learned", "How they were learned", said, *map(panel_svg, panels))


def _alone(number: int, name: str, summary: DiffSummary, tokens: Sequence[TokenRow]) -> str:
    told = [(what, text) for what, text in facts(summary) if text]
    recorded = [
        (what, text) for what, text in training_facts(summary.metadata.training, summary.metadata.method) if text
    ]
    (density,) = density_maps([summary])
    parts = [
        f'<div class="wide">{table(["", ""], told, numbers=False)}</div>',
        f'<h3>How it was trained</h3><div class="wide">{table(["", ""], recorded, numbers=False)}</div>'
        if recorded
        else "",
        "<h3>Where its entries sit</h3><p>Layers from bottom to top of the model, kinds of module across; the share of "
        f'the parameters there that it changes.</p><div class="wide">{heat_table(density)}</div>',
        f'<h3>How large they are</h3><div class="wide">{histogram_html(summary.histogram)}</div>'
        if summary.histogram
        else "",
        _tokens(tokens),
    ]
    return section(f"sft{number}", name, Path(summary.label).name, *parts)


def _tokens(tokens: Sequence[TokenRow]) -> str:
    if not tokens:
        return ""
    cells = [(each.token, (f"{each.row:,}", float(each.row)), (f"{each.nnz:,}", float(each.nnz)), _number(each.l2))
             for each in tokens]  # fmt: skip
    return "<h3>Tokens that changed most</h3><p>Rows of the embedding, by the length of the change.</p>" + rows(
        ("token", "row", "entries", "|φ| of the row"), cells
    )
