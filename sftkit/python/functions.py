"""The commands as functions: compose, subtract, overlap, inspect; evaluate and predict are in ``scored``.

Models are directories or hub ids; SFTs are paths, ``hf://`` names, SFTs in memory, or (any of these, weight) pairs.
Errors are those of the commands, in the words of Python: they speak of arguments and not of options.
"""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sftkit.errors import SettingsError, about
from sftkit.python.given import all_weighted, as_sft, as_weighted, called, is_model, model_folder, sft_file
from sftkit.python.wording import in_python

if TYPE_CHECKING:
    from sftkit.algebra.arithmetic import Method, Weighted
    from sftkit.composing.report import ArithmeticReport
    from sftkit.inspecting.overlap import OverlapReport
    from sftkit.inspecting.summary import DiffSummary
    from sftkit.python.given import OneSft, SftLike


@in_python
def compose(
    base: str | PathLike[str] | None,
    *sfts: SftLike,
    output: str | PathLike[str] | None = None,
    method: str = "sum",
    trim: float | None = None,
    drop: float | None = None,
    seed: int | None = None,
    values: str | None = None,
    head: OneSft | None = None,
    no_head: bool = False,
    only: str | None = None,
    exclude: str | None = None,
    force: bool = False,
    overwrite: bool = False,
) -> ArithmeticReport:
    """Base + SFTs = model, or, without a base, SFT + SFTs = SFT; as ``sftkit compose``.

    Args:
        base: a model directory or hub id; None to add SFTs to each other.
        sfts: what to add.
        output: the directory, or for SFTs alone the ``.sft`` file, to make.
        method: "sum", "ties" or "dare".
        trim: ties: the share of each SFT's own entries that is left out, 0.2 if not given.
        drop: dare: the probability with which an entry is left out, 0.5 if not given.
        seed: dare: which those are, 0 if not given.
        values: of a sum of SFTs: "f32" (if not given), "bf16" or "f16".
        head: the SFT whose head it is to be, where several bring one: as it was given, or its digest.
        no_head: the backbone alone.
        only: only parameters in whose names this regular expression is found.
        exclude: and in whose names this one is not.
        force: even on another base than the SFTs'.
        overwrite: replace an existing output.

    Raises:
        SftkitError: of the kind that fits.
    """
    from sftkit.algebra.selected import selected_all
    from sftkit.composing.compose import compose as to_model
    from sftkit.composing.sums import add

    if base is not None and not is_model(base):
        raise SettingsError(f"{base!r:.100}: an SFT in the place of the base; compose(None, a, b) adds SFTs alone.")
    to = _output(output, model=base is not None)
    if not sfts:
        raise SettingsError("There is nothing to add: give SFTs after the base.")
    chosen, given = _method(method, trim=trim, drop=drop, seed=seed), all_weighted(list(sfts))
    given = selected_all(given, only, exclude)
    if base is None:
        if head is not None or no_head:
            raise SettingsError("head and no_head are about a model: give a base.")
        return add(given, to, method=chosen, values=values or "f32", overwrite=overwrite)
    if values is not None:
        raise SettingsError("values is about SFTs alone: a model keeps its base's dtype.")
    return to_model(
        model_folder(base), given, to, name=str(base), method=chosen,
        head=_head(head, sfts, given, no_head=no_head), force=force, overwrite=overwrite,
    )  # fmt: skip


def _output(output: Any, *, model: bool) -> Path:
    """Where to, which is named as what it is to be."""
    if output is None:
        raise SettingsError("Say where to: output='model/' or output='sum.sft'.")
    path = Path(output)
    if model == (path.suffix == ".sft"):
        kind = "a model, a directory" if model else "an SFT, a file named *.sft"
        raise SettingsError(f"output={str(output)!r}: what is made is {kind}.")
    return path


def _method(name: str, **settings: float | None) -> Method:
    from sftkit.algebra.arithmetic import Method

    given = {key: value for key, value in settings.items() if value is not None}
    made = Method(name, **given)  # type: ignore[arg-type]  # it checks its own values
    for key, of in (("trim", "ties"), ("drop", "dare"), ("seed", "dare")):
        if key in given and name != of:
            raise SettingsError(f"{key} is about method={of!r}; this is {name!r}.")
    return made


def _head(head: Any, sfts: Sequence[Any], given: Sequence[Weighted], *, no_head: bool) -> str:
    """What compose is told of the head: a digest, NO_HEAD or ""."""
    from sftkit.composing.heads import NO_HEAD

    if head is None or no_head:
        if head is not None:
            raise SettingsError("head and no_head contradict each other.")
        return NO_HEAD if no_head else ""
    named = [each[0] if isinstance(each, tuple) else each for each in sfts]
    for one, item in zip(named, given, strict=True):
        if head is one or str(head) in (str(one), item.sft.digest):
            return item.sft.digest
    raise SettingsError(f"head={head!r}: is not among the SFTs that are added.")


@in_python
def subtract(
    minuend: SftLike,
    *subtrahends: SftLike,
    output: str | PathLike[str],
    k: int | None = None,
    density: float | None = None,
    values: str | None = None,
    only: str | None = None,
    exclude: str | None = None,
    force: bool = False,
    overwrite: bool = False,
) -> ArithmeticReport:
    """Model - model = SFT, model - SFTs = model, SFT - SFTs = SFT; as ``sftkit subtract``.

    Args:
        minuend: a model directory, or an SFT.
        subtrahends: one model, or SFTs.
        output: the ``.sft`` file or the directory to make.
        k: of two models: keep so many of the largest differences.
        density: the same as a share of the parameters.
        values: of an SFT: "f32" (if not given), "bf16" or "f16".
        only: only parameters in whose names this regular expression is found.
        exclude: and in whose names this one is not.
        force: from a model: even SFTs of another base.
        overwrite: replace an existing output.

    Raises:
        SftkitError: of the kind that fits.
    """
    from sftkit.algebra.selected import selected, selected_all
    from sftkit.composing.difference import difference
    from sftkit.composing.subtract import subtract_from_model
    from sftkit.composing.sums import add, negated

    models = [is_model(each) for each in (minuend, *subtrahends)]
    if not subtrahends or (models[0] and any(models[1:]) and len(subtrahends) > 1) or (not models[0] and any(models)):
        raise SettingsError("From a model one takes SFTs or one other model, from an SFT other SFTs.")
    two, one = models[0] and models[1], models[0] and not models[1]
    to = _output(output, model=one)
    if k is not None and density is not None:
        raise SettingsError("k and density say the same thing: give one.")
    if not two and (k is not None or density is not None):
        raise SettingsError("k and density choose among the differences of two models.")
    if one and values is not None:
        raise SettingsError("values is about SFTs: a model keeps its dtype.")
    if two:
        return difference(
            model_folder(minuend), model_folder(subtrahends[0]), to, name=str(subtrahends[0]), k=k, density=density,
            only=only, exclude=exclude, values=values or "f32", overwrite=overwrite,
        )  # fmt: skip
    taken = selected_all(all_weighted(list(subtrahends)), only, exclude)
    if one:
        return subtract_from_model(model_folder(minuend), taken, to, force=force, overwrite=overwrite)
    whole = selected(as_weighted(minuend), only, exclude)
    return add([whole, *negated(taken)], to, values=values or "f32", overwrite=overwrite)


@in_python
def overlap(*sfts: OneSft, metric: str = "share", per_layer: bool = False) -> OverlapReport:
    """How much the supports of SFTs of one base overlap, for every pair; as ``sftkit overlap``.

    Args:
        sfts: two or more.
        metric: "share", "jaccard", "lift", "sign" or "cosine".
        per_layer: for each layer as well.

    Raises:
        SftkitError: of the kind that fits.
    """
    from sftkit.inspecting.overlap import overlap as compare

    if any(isinstance(each, tuple) for each in sfts):
        raise SettingsError("overlap compares SFTs as they are: leave the weights out.")
    opened = [item.sft for item in all_weighted(list(sfts))]
    return compare(opened, metric, per_layer=per_layer, called=[called(each, at) for at, each in enumerate(sfts, 1)])


@in_python
def inspect(sft: OneSft) -> DiffSummary:
    """What is in an SFT; as ``sftkit inspect``.

    Raises:
        FormatError: if anything in a file is not what the format asks for.
    """
    from sftkit.inspecting.summary import summarise, summarise_difference

    if isinstance(sft, str | PathLike):
        with about(sft):
            return summarise(sft_file(sft), str(sft))
    return summarise_difference(as_sft(sft), called(sft))
