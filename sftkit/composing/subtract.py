"""model − sft (− sft …) = model.

Where the model is one that sftkit composed, nobody changed it since, and what it was composed of is at hand, it is
composed again without the SFT: exact. Else the SFT is subtracted from the weights: within one rounding of each.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from sftkit.algebra.arithmetic import Merger, Method, Weighted, collapse, odd_weights, paths
from sftkit.checkpoints.checkpoint import Checkpoint
from sftkit.checkpoints.fingerprint import fingerprint
from sftkit.composing.beside import copy_model, copy_small_files
from sftkit.composing.compose import compose, plan_composition, record_of, report
from sftkit.composing.padding import name_padding
from sftkit.composing.record import Record, check_names, describe, summed, write_config
from sftkit.composing.report import ArithmeticReport, uses
from sftkit.composing.sums import negated
from sftkit.composing.writing import Watch, unwatched, write_model
from sftkit.errors import SftkitError
from sftkit.format.files import SftFile
from sftkit.sharing.convert import converted
from sftkit.sharing.hub import cached_model, is_published
from sftkit.storage.atomic import atomic_directory, check_output


def subtract_from_model(
    model: Path,
    weighted: Sequence[Weighted],
    output: Path,
    *,
    shard_size: int | None = None,
    force: bool = False,
    overwrite: bool = False,
    watch: Watch = unwatched,
) -> ArithmeticReport:
    """Take SFTs out of a model and write what remains.

    Args:
        model: the model's directory.
        weighted: the SFTs, with the weights that they are subtracted with.
        output: the directory to make.
        shard_size: most bytes a file; None to split as the model is split.
        force: go on where a fingerprint says that an SFT belongs to another base.
        overwrite: replace an existing output.
        watch: told how many bytes of how many are written.

    Raises:
        MismatchError: if an SFT does not fit the model.
        OutputExistsError: if the output exists.
    """
    check_output(output, overwrite=overwrite, inputs=(model, *paths(weighted)), directory=True)
    check_names([str(model), *(item.path for item in weighted)])
    taken = negated(weighted)
    record = Record.read(model)
    why = "the model has no sftkit.json" if record is None else _changed(model, record)
    if record is not None and not why:
        remaining = summed((*record.sfts, *describe(collapse(taken))))  # weights added up as compose did
        base, why = _base_at_hand(record, model)
        if base is not None:
            restored, why = _restore(base, record, remaining, weighted, output, shard_size, force, overwrite, watch)
            if restored is not None:
                return restored
    return _from_weights(model, weighted, taken, output, why, shard_size=shard_size, overwrite=overwrite, watch=watch)


def _changed(model: Path, record: Record) -> str:
    found = fingerprint(Checkpoint(model))
    return "" if found == record.fingerprint else "the model was changed since it was composed"


def _base_at_hand(record: Record, model: Path) -> tuple[Path | None, str]:
    named = str(record.base.get("path") or record.base.get("name") or "")
    for path in (Path(named), model.parent / named, cached_model(named)):
        if named and path is not None and path.is_dir():
            try:
                if fingerprint(Checkpoint(path)) == record.base.get("fingerprint"):
                    return path, ""
            except SftkitError:
                continue
            return None, f"{path} is not the base that sftkit.json names any more"
    return None, f"the base that sftkit.json names ({named or 'none'}) is not at hand"


def _restore(
    base: Path,
    record: Record,
    remaining: Sequence[Mapping[str, Any]],
    weighted: Sequence[Weighted],
    output: Path,
    shard_size: int | None,
    force: bool,
    overwrite: bool,
    watch: Watch,
) -> tuple[ArithmeticReport | None, str]:
    """Compose the base with what remains, or say why that is not possible."""
    if not remaining:
        with atomic_directory(output, overwrite=overwrite) as folder:
            copy_model(base, folder)
        return _said(weighted, output, "the output is the base that sftkit.json names, to the byte."), ""
    if record.method.get("name") not in ("sum", "ties", "dare"):
        return None, "the model was composed in steps of different methods"
    known = {item.sft.digest: item for item in weighted}
    sfts = []
    for sft in remaining:
        item = known.get(sft["digest"]) or _sft_at_hand(sft)
        if item is None:
            return None, f"{sft.get('path')}, which remains, is not at hand"
        sfts.append(Weighted(item.sft, sft["weight"], str(sft["path"])))
    below = [f"{item.path} × {item.weight:g}" for item in sfts if item.weight < 0]
    again = compose(
        base, sfts, output, name=str(record.base.get("path") or base), method=Method(**record.method),
        shard_size=shard_size, force=force, overwrite=overwrite, watch=watch,
    )  # fmt: skip
    kept = " and ".join(f"{Path(item.path).name} × {item.weight:g}" for item in sfts)
    notes = [f"composed again from the base that sftkit.json names and {kept}: exact.", *again.notes]
    if below:
        notes.append(f"more was taken out than was in: {', '.join(below)} remains.")
    return _said(weighted, output, *notes), ""


def _sft_at_hand(sft: Mapping[str, Any]) -> Weighted | None:
    path = Path(str(sft.get("path") or ""))
    published = is_published(path)
    if not published and not path.is_file():
        return None
    try:
        file = SftFile(converted(path) if published else path)
    except SftkitError:
        return None
    return Weighted(file, 1.0, str(path)) if file.digest == sft["digest"] else None


def _said(weighted: Sequence[Weighted], output: Path, *notes: str) -> ArithmeticReport:
    merger = Merger(weighted)
    entries = overlap = conflicts = 0
    for name in merger.names:
        size = next(i.sft.metadata.parameters[name].size for i in merger.weighted if name in i.sft.names)
        for window in merger.windows(name, size, holes=True):
            entries, overlap = entries + len(window.positions), overlap + window.overlap
            conflicts += window.sign_conflicts
    return ArithmeticReport(str(output), uses(weighted), entries, overlap, conflicts, None, tuple(notes))


def _from_weights(
    model: Path,
    weighted: Sequence[Weighted],
    taken: Sequence[Weighted],
    output: Path,
    why: str,
    *,
    shard_size: int | None,
    overwrite: bool,
    watch: Watch,
) -> ArithmeticReport:
    plan = plan_composition(model, taken)
    listed = {sft["digest"] for sft in plan.record.sfts} if plan.record is not None else None
    notes = [*odd_weights(weighted), f"subtracted within one rounding of each weight, because {why}."]
    if listed is not None:
        notes += [
            f"{i.path} is not among the SFTs that sftkit.json lists." for i in weighted if i.sft.digest not in listed
        ]
    if any(item.sft.head for item in weighted):
        notes.append("the head stays as it is: what was there before is not known.")
    with atomic_directory(output, overwrite=overwrite) as folder:
        merger = Merger(plan.weighted)
        streamed = write_model(folder, plan.base, plan.layout, merger, shard_size=shard_size, watch=watch)
        write_config(folder, plan.base, plan.layout.config)
        carried = copy_small_files(model, folder)
        name_padding(folder)
        replace(record_of(plan, streamed, Method(), str(model)), carried=carried).write(folder)
    if listed is None:
        notes += [_whether_in_it(item, model, streamed.base) for item in weighted]
    made = report(str(output), weighted, streamed, None, (*plan.notes, *notes))
    return replace(made, exact=made.exact and not any(item.sft.head for item in weighted))


def _whether_in_it(item: Weighted, model: Path, found: str) -> str:
    """What is known of an SFT that was taken out of a model that has no record, from the model's fingerprint."""
    base = item.sft.metadata.base
    if base is not None and found in (base.fingerprint, *base.rounded.values()):
        return f"{item.path} was no part of {model}, which is the base that it was learned on: its negative is now."
    return f"whether {item.path} is part of this model could not be checked."
