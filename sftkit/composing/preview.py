"""What composing would do, without doing it: conflicts, rounding, what does not fit, whose head wins."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sftkit.algebra.arithmetic import SUM, Merger, Method, Weighted, collapse, odd_weights
from sftkit.checkpoints.checkpoint import Checkpoint
from sftkit.composing.bases import set_aside
from sftkit.composing.belong import problems
from sftkit.composing.compose import Plan, check_base, plan_composition
from sftkit.composing.heads import head_document
from sftkit.composing.layout import BaseView
from sftkit.composing.renamed import named_as_learned
from sftkit.composing.report import ArithmeticReport, uses
from sftkit.composing.sums import Sum
from sftkit.composing.writing import Streamed, measure
from sftkit.errors import MismatchError


@dataclass(frozen=True)
class Preview:
    """What a composition would come to.

    Attributes:
        report: the report that composing would give; its output is None.
        problems: why composing would fail, a line each; the counts are 0 then.
        dtype: of the base, or "float32" for a sum of SFTs.
        rounding: Σ|what rounding takes or adds| / Σ|φ|.
    """

    report: ArithmeticReport
    problems: tuple[str, ...]
    dtype: str
    rounding: float

    def document(self) -> dict[str, Any]:
        """The document that ``--json`` prints."""
        return self.report.document() | {
            "problems": list(self.problems), "dtype": self.dtype, "rounding": self.rounding,
        }  # fmt: skip


def preview_model(
    base: Path, weighted: Sequence[Weighted], *, method: Method = SUM, head: str = "", force: bool = False
) -> Preview:
    """Look at base + SFTs. Reads everything, writes nothing.

    Raises:
        CheckpointError: if the base is no model directory.
        FormatError: if an SFT is damaged.
    """
    checkpoint = Checkpoint(base)
    collapsed, parameters, aside = collapse(weighted), BaseView.of(checkpoint).parameters, set_aside(checkpoint)
    wrong = [line for item in collapsed for line in problems(parameters, item.sft, item.path, str(base), aside)]
    with named_as_learned(base, collapsed) as source:
        try:
            plan = plan_composition(base, weighted, source, head)
            streamed = measure(plan.base, plan.layout, Merger(plan.weighted, method))
            notes = check_base(plan, source.fingerprint or streamed.base, str(base), force=force)
        except MismatchError as error:
            return _failed(weighted, wrong if str(error) in wrong else [*wrong, str(error)], checkpoint.dtype)
        return _done(weighted, plan, streamed, notes)


def preview_sum(weighted: Sequence[Weighted], *, method: Method = SUM) -> Preview:
    """Look at SFT + SFT.

    Raises:
        FormatError: if an SFT is damaged.
    """
    try:
        total = Sum(weighted, method)
        entries = sum(len(total.entries(name)[0]) for name in total.names)
    except MismatchError as error:
        return _failed(weighted, [str(error)], "float32")
    made = ArithmeticReport(
        None, uses(weighted), entries, total.overlap, total.sign_conflicts,
        dict(head_document(total.choice)), (*odd_weights(weighted), *total.choice.notes), total.lost, total.exact,
    )  # fmt: skip
    return Preview(made, (), "float32", 0.0)


def _done(weighted: Sequence[Weighted], plan: Plan, streamed: Streamed, notes: Sequence[str]) -> Preview:
    made = ArithmeticReport(
        None, uses(weighted), streamed.entries, streamed.overlap, streamed.sign_conflicts,
        dict(head_document(plan.head)), (*odd_weights(weighted), *plan.notes, *notes), streamed.lost, streamed.exact,
    )  # fmt: skip
    return Preview(made, (), plan.base.dtype, streamed.rounding)


def _failed(weighted: Sequence[Weighted], wrong: Sequence[str], dtype: str) -> Preview:
    return Preview(ArithmeticReport(None, uses(weighted), 0, 0, 0), tuple(wrong), dtype, 0.0)
