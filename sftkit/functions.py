"""The commands as functions: compose, subtract, overlap, inspect, evaluate.

Models are directories or hub ids; SFTs are paths, ``hf://`` names, SFTs in memory, or (any of these, weight) pairs.
Errors are those of the commands, in the words of Python: they speak of arguments and not of options.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sftkit.errors import SettingsError
from sftkit.given import all_weighted, as_sft, as_weighted, called, is_model, model_folder, sft_file
from sftkit.wording import in_python, iterated

if TYPE_CHECKING:
    from sftkit.evaluation.run import Evaluation
    from sftkit.given import OneSft, SftLike
    from sftkit.operations.arithmetic import Weighted
    from sftkit.operations.overlap import OverlapReport
    from sftkit.operations.report import ArithmeticReport
    from sftkit.operations.summary import DiffSummary
    from sftkit.tasks.options import TaskOptions


@in_python
def compose(
    base: str | PathLike[str] | None,
    *sfts: SftLike,
    output: str | PathLike[str] | None = None,
    method: str = "sum",
    trim: float = 0.2,
    drop: float = 0.5,
    seed: int = 0,
    values: str = "f32",
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
        trim: ties: the share of each SFT's own entries that is left out.
        drop: dare: the probability with which an entry is left out.
        seed: dare: which those are.
        values: of a sum of SFTs: "f32", "bf16" or "f16".
        head: the SFT whose head it is to be, where several bring one: as it was given, or its digest.
        no_head: the backbone alone.
        only: only parameters in whose names this regular expression is found.
        exclude: and in whose names this one is not.
        force: even on another base than the SFTs'.
        overwrite: replace an existing output.

    Raises:
        SftkitError: of the kind that fits.
    """
    from sftkit.operations.add import add
    from sftkit.operations.arithmetic import Method
    from sftkit.operations.compose import compose as to_model
    from sftkit.operations.selected import selected_all

    if output is None:
        raise SettingsError("Say where to: output='model/' or output='sum.sft'.")
    chosen, whole = Method(method, trim, drop, seed), all_weighted(list(sfts))  # type: ignore[arg-type]
    given = selected_all(whole, only, exclude)
    if base is None:
        if head is not None or no_head:
            raise SettingsError("head and no_head are about a model: give a base.")
        return add(given, Path(output), method=chosen, values=values, overwrite=overwrite)
    return to_model(
        model_folder(base), given, Path(output), name=str(base), method=chosen,
        head=_head(head, sfts, given, no_head=no_head), force=force, overwrite=overwrite,
    )  # fmt: skip


def _head(head: Any, sfts: Sequence[Any], given: Sequence[Weighted], *, no_head: bool) -> str:
    """What compose is told of the head: a digest, NO_HEAD or ""."""
    from sftkit.operations.heads import NO_HEAD

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
    values: str = "f32",
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
        values: of an SFT: "f32", "bf16" or "f16".
        force: from a model: even SFTs of another base.
        overwrite: replace an existing output.

    Raises:
        SftkitError: of the kind that fits.
    """
    from sftkit.operations.add import add, negated
    from sftkit.operations.difference import difference
    from sftkit.operations.subtract import subtract_from_model

    models = [is_model(each) for each in (minuend, *subtrahends)]
    if not subtrahends or (models[0] and any(models[1:]) and len(subtrahends) > 1) or (not models[0] and any(models)):
        raise SettingsError("From a model one takes SFTs or one other model, from an SFT other SFTs.")
    if models[0] and models[1]:
        tuned, base = model_folder(minuend), model_folder(subtrahends[0])
        return difference(
            tuned,
            base,
            Path(output),
            name=str(subtrahends[0]),
            k=k,
            density=density,
            values=values,
            overwrite=overwrite,
        )
    taken = all_weighted(list(subtrahends))
    if models[0]:
        return subtract_from_model(model_folder(minuend), taken, Path(output), force=force, overwrite=overwrite)
    return add([as_weighted(minuend), *negated(taken)], Path(output), values=values, overwrite=overwrite)


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
    from sftkit.operations.overlap import overlap as compare

    opened = [sft_file(each) if isinstance(each, str | PathLike) else as_sft(each) for each in sfts]
    return compare(opened, metric, per_layer=per_layer, called=[called(each, at) for at, each in enumerate(sfts, 1)])


@in_python
def inspect(sft: OneSft) -> DiffSummary:
    """What is in an SFT; as ``sftkit inspect``.

    Raises:
        FormatError: if anything in a file is not what the format asks for.
    """
    from sftkit.operations.summary import summarise, summarise_difference

    if isinstance(sft, str | PathLike):
        return summarise(sft_file(sft), str(sft))
    return summarise_difference(as_sft(sft), called(sft))


@in_python
def evaluate(
    objective: str,
    data: str | PathLike[str] | Sequence[str | PathLike[str]],
    base: str | PathLike[str],
    *sfts: SftLike,
    against: SftLike | Sequence[SftLike] = (),
    batch_size: int = 32,
    max_length: int = 256,
    seed: int = 42,
    device: str = "auto",
    force: bool = False,
    **options: Any,
) -> Evaluation:
    """Score a model, or a base with SFTs on it in memory; as ``sftkit evaluate``.

    Args:
        objective: "mlm", "clm", "pos", "ner", "dep", "nli", "classify" or "qa".
        data: a source of labelled data, or several.
        base: a model directory or hub id.
        sfts: what to add to it.
        against: what to add instead, for another system to compare with.
        batch_size: windows a batch.
        max_length: tokens a window, special ones included.
        seed: of masks and of the bootstrap.
        device: "auto", "cpu", "cuda" or "mps".
        force: even on another base than the SFTs'.
        options: what is said of the task's data, by the names of the command's options: ``columns=("form", "upos")``,
            ``map_label={"DATE": "O"}``, ``scheme="conlleval"``.

    Raises:
        SftkitError: of the kind that fits.
    """
    from sftkit.evaluation.run import Scoring, opposing
    from sftkit.evaluation.run import evaluate as score

    sources = [str(data)] if isinstance(data, str | PathLike) else [str(each) for each in data]
    said = _task_options(objective, options)
    scoring = Scoring(objective, said, batch_size, max_length, seed, device, force)
    added = all_weighted(list(sfts))
    other = opposing(added, all_weighted(against)) if against else ()
    return score(scoring, sources, model_folder(base), added, against=other)


def _task_options(objective: str, options: Mapping[str, Any]) -> TaskOptions:
    from dataclasses import fields

    from sftkit.tasks.options import TaskOptions, check_options
    from sftkit.tasks.registry import OBJECTIVES

    if objective not in OBJECTIVES:
        raise SettingsError(f"There is no objective {objective!r}; known are {', '.join(OBJECTIVES)}.")
    known = [field.name for field in fields(TaskOptions)]
    for name in options:
        if name not in known:
            raise SettingsError(f"There is no option {name!r}; known are {', '.join(known)}.")
    made = TaskOptions(**{name: _frozen(value) for name, value in options.items()})
    check_options(made, objective)
    return made


def _frozen(value: Any) -> Any:
    """Mappings as pairs and lists as tuples, of strings: a column's number may be a number."""
    if isinstance(value, Mapping):
        return tuple((str(key), str(each)) for key, each in value.items())
    return tuple(map(str, value)) if isinstance(value, list | tuple) else value


@in_python
def predict(
    model: str | PathLike[str],
    texts: Iterable[Any],
    *,
    objective: str,
    sfts: SftLike | Sequence[SftLike] = (),
    batch_size: int = 32,
    max_length: int = 256,
    stride: int = 128,
    device: str = "auto",
    force: bool = False,
) -> Iterator[dict[str, Any]]:
    """Label texts that have no labels; as ``sftkit predict --jsonl``. Texts are taken as they are needed.

    >>> for each in predict("base/", ["ta mi lo"], objective="pos", sfts=["mt.sft", "pos.sft"]):  # doctest: +SKIP
    ...     print(each["words"], each["labels"], each["scores"])

    Args:
        model: a directory or a hub id: a model, or the base that the SFTs are added to.
        texts: strings, whose words are what white space parts, or lists of words, for "pos", "ner", "dep"; strings for
            "classify" and "mlm"; pairs of texts for "nli"; pairs of question and passage for "qa".
        objective: one of these.
        sfts: one or several, added in memory.
        batch_size: windows a batch.
        max_length: tokens a window, special ones included.
        stride: tokens that two windows of one passage share.
        device: "auto", "cpu", "cuda" or "mps".
        force: even on another base than the SFTs'.

    Raises:
        SftkitError: of the kind that fits, if model and SFTs do not go together.
    """
    from sftkit.evaluation.run import Scoring
    from sftkit.prediction.run import Predictor  # torch comes in here

    said = _task_options(objective, {"stride": stride} if objective == "qa" else {})
    scoring = Scoring(objective, said, batch_size, max_length, device=device, force=force)
    predictor = Predictor(scoring, model_folder(model), all_weighted(sfts))
    return iterated(predictor.objects(predictor.given(texts)))
