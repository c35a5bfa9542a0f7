"""base + sft (+ sft …) = model: a directory that plain transformers loads.

The weights are streamed (see :mod:`sftkit.composing.writing`); which head wins and which tensors there are is decided
from headers alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from sftkit.algebra.arithmetic import SUM, Merger, Method, Weighted, collapse, odd_weights, paths
from sftkit.checkpoints.checkpoint import Checkpoint
from sftkit.composing.bases import check_origin, set_aside
from sftkit.composing.belong import check_shapes
from sftkit.composing.beside import copy_model, copy_small_files
from sftkit.composing.heads import HeadChoice, choose_head, head_document
from sftkit.composing.languages import language_notes
from sftkit.composing.layout import BaseView, Layout, plan_layout
from sftkit.composing.padding import name_padding
from sftkit.composing.record import Record, check_names, describe, summed, write_config
from sftkit.composing.renamed import Source, named_as_learned
from sftkit.composing.report import ArithmeticReport, uses
from sftkit.composing.writing import Streamed, Watch, unwatched, write_model
from sftkit.storage.atomic import atomic_directory, check_output

#: The share of entries from which on it is said that rounding loses them.
_MUCH = 0.01


@dataclass(frozen=True)
class Plan:
    """A composition that was checked from headers: names and shapes fit, and the head is chosen."""

    base: Checkpoint
    weighted: tuple[Weighted, ...]
    record: Record | None
    head: HeadChoice
    layout: Layout
    notes: tuple[str, ...]


def plan_composition(base: Path, weighted: Sequence[Weighted], source: Source | None = None, head: str = "") -> Plan:
    """Check names and shapes, choose the head, lay out the result. Reads headers only.

    Args:
        base: the base's directory.
        weighted: the SFTs.
        source: where its tensors are read from, if not there.
        head: digest of the SFT whose head it is to be, or ``heads.NO_HEAD``.

    Raises:
        MismatchError: if an SFT does not fit the base or another SFT.
        CheckpointError: if the base is no model directory.
    """
    checkpoint = Checkpoint(source.path if source is not None else base)
    collapsed = tuple(collapse(weighted))
    view = BaseView.of(checkpoint)
    notes = check_shapes(view.parameters, collapsed, str(base), set_aside(checkpoint))
    choice = choose_head(
        collapsed, view.architecture, view.known,
        base_has_lm_head=view.has_lm_head, lacks_output=view.lacks_output, wanted=head,
    )  # fmt: skip
    if choice.kind in ("task", "none"):
        notes = (*notes, *(_without_output(item) for item in collapsed if item.sft.metadata.output))
    record = Record.read(base)
    return Plan(
        checkpoint,
        collapsed,
        record,
        choice,
        plan_layout(view, choice),
        (*(source.notes if source is not None else ()), *notes, *choice.notes),
    )


def _without_output(item: Weighted) -> str:
    return f"{item.path} changes {item.sft.metadata.output}, for which the model has no place: that is left out."


def compose(
    base: Path,
    weighted: Sequence[Weighted],
    output: Path,
    *,
    name: str | None = None,
    method: Method = SUM,
    head: str = "",
    shard_size: int | None = None,
    force: bool = False,
    overwrite: bool = False,
    watch: Watch = unwatched,
) -> ArithmeticReport:
    """Add SFTs to a base and write the model.

    Args:
        base: the base's directory.
        weighted: the SFTs in any order; the same one may come several times.
        output: the directory to make.
        name: what the user called the base, if not by its directory.
        method: how entries of several SFTs on one position become one.
        head: digest of the SFT whose head it is to be, or ``heads.NO_HEAD``; "" leaves it to the rules.
        shard_size: most bytes a file of weights; None to split as the base is split.
        force: go on where a fingerprint says that an SFT belongs to another base.
        overwrite: replace an existing output.
        watch: told how many bytes of how many are written.

    Raises:
        MismatchError: if an SFT does not fit the base or another SFT.
        CheckpointError: if the base is no model directory.
        OutputExistsError: if the output exists.
    """
    check_output(output, overwrite=overwrite, inputs=(base, *paths(weighted)), directory=True)
    check_names([name or str(base), str(base), *(item.path for item in weighted)])
    with named_as_learned(base, weighted) as source, atomic_directory(output, overwrite=overwrite) as folder:
        plan = plan_composition(base, weighted, source, head)
        if plan.weighted:
            merger = Merger(plan.weighted, method)
            streamed = write_model(folder, plan.base, plan.layout, merger, shard_size=shard_size, watch=watch)
            streamed = replace(streamed, base=source.fingerprint or streamed.base)
            notes = (*check_base(plan, streamed.base, str(base), force=force), *lost_notes(plan, streamed))
            write_config(folder, plan.base, plan.layout.config)
            carried = copy_small_files(base, folder)
            name_padding(folder)
            replace(record_of(plan, streamed, method, name or str(base)), carried=carried).write(folder)
        else:  # everything cancels: what remains is the base itself
            streamed, notes = Streamed(0, 0, 0, "", ""), ("the weights cancel: the output is the base, to the byte.",)
            copy_model(base, folder)
    notes = (*odd_weights(weighted), *plan.notes, *notes)
    return report(str(output), weighted, streamed, plan.head, notes)


def lost_notes(plan: Plan, streamed: Streamed) -> tuple[str, ...]:
    """A note where the base's dtype rounds away a hundredth of the entries or more."""
    if not streamed.lost or streamed.lost < _MUCH * streamed.entries:
        return ()
    share = f"{100 * streamed.lost / streamed.entries:.3g} %"
    return (
        f"{share} of the entries ({streamed.lost:,}) are lost in rounding to {plan.base.dtype}: they are smaller than "
        "half the last digit of their weights. On a float32 base they would not be.",
    )


def check_base(plan: Plan, found: str, base: str, *, force: bool) -> tuple[str, ...]:
    """Whether the SFTs belong to the base, which has this fingerprint; notes."""
    belonging = check_origin(plan.record, found, plan.base, plan.weighted, base, force=force)
    return (*belonging, *(language_notes(plan.weighted) if plan.record is None else ()))


def record_of(plan: Plan, streamed: Streamed, method: Method, given: str) -> Record:
    """What ``sftkit.json`` will say: on a composed model, its own record and what was added."""
    before = plan.record if plan.record is not None and plan.record.fingerprint in ("", streamed.base) else None
    if before is None:
        name = Path(given).name if Path(given).is_dir() else given
        base = {"name": name, "path": given, "fingerprint": streamed.base, "model_type": plan.base.model_type}
        return Record(base, describe(plan.weighted), method.document(), streamed.result)
    same = method.document() == before.method == SUM.document()
    sfts = summed((*before.sfts, *describe(plan.weighted)))
    return Record(before.base, sfts, before.method if same else {"name": "several"}, streamed.result)


def report(
    output: str | None,
    weighted: Sequence[Weighted],
    streamed: Streamed,
    head: HeadChoice | None,
    notes: Sequence[str] = (),
) -> ArithmeticReport:
    """The report on a streamed model."""
    return ArithmeticReport(
        output, uses(weighted), streamed.entries, streamed.overlap, streamed.sign_conflicts,
        dict(head_document(head)) if head else None, tuple(notes), streamed.lost, streamed.exact,
    )  # fmt: skip
