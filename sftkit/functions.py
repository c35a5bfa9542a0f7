"""The commands as functions: compose, subtract, overlap, inspect, evaluate.

Models are directories or hub ids; SFTs are paths, ``hf://`` names, SFTs in memory, or (any of these, weight) pairs.
Errors are those of the commands, in the words of Python: they speak of arguments and not of options.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from sftkit.errors import SettingsError, SftkitError

if TYPE_CHECKING:
    from sftkit.api import SFT
    from sftkit.evaluation.run import Evaluation
    from sftkit.format.sft import Difference
    from sftkit.operations.arithmetic import Weighted
    from sftkit.operations.overlap import OverlapReport
    from sftkit.operations.report import ArithmeticReport
    from sftkit.operations.summary import DiffSummary

    #: What stands for an SFT.
    SftLike = str | PathLike[str] | Difference | tuple[str | PathLike[str] | Difference, float]

P = ParamSpec("P")
R = TypeVar("R")
#: What options are called as arguments, where that is not their own name with underscores.
_FLAGS = {"overwrite": "overwrite=True", "force": "force=True", "trust-remote-code": "trust_remote_code=True"}


def in_python(function: Callable[P, R]) -> Callable[P, R]:
    """Make the errors of a function speak of its arguments: ``overwrite=True`` for ``--overwrite``."""

    @functools.wraps(function)
    def told(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return function(*args, **kwargs)
        except SftkitError as error:
            error.args = tuple(_argued(part) if isinstance(part, str) else part for part in error.args)
            raise

    return told


def _argued(text: str) -> str:
    return re.sub(r"--([a-z][a-z-]*)", lambda m: _FLAGS.get(m[1], f"{m[1].replace('-', '_')}="), text)


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
    head: str | None = None,
    no_head: bool = False,
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
        head: digest of the SFT whose head it is to be, where several bring one.
        no_head: the backbone alone.
        force: even on another base than the SFTs'.
        overwrite: replace an existing output.

    Raises:
        SftkitError: of the kind that fits.
    """
    from sftkit.operations.add import add
    from sftkit.operations.arithmetic import Method
    from sftkit.operations.compose import compose as to_model
    from sftkit.operations.heads import NO_HEAD

    if output is None:
        raise SettingsError("Say where to: output='model/' or output='sum.sft'.")
    chosen, given = Method(method, trim, drop, seed), [as_weighted(each) for each in sfts]  # type: ignore[arg-type]
    if base is None:
        return add(given, Path(output), method=chosen, values=values, overwrite=overwrite)
    return to_model(
        _model(base), given, Path(output), name=str(base), method=chosen,
        head=NO_HEAD if no_head else head or "", force=force, overwrite=overwrite,
    )  # fmt: skip


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

    models = [_is_model(each) for each in (minuend, *subtrahends)]
    if not subtrahends or (models[0] and any(models[1:]) and len(subtrahends) > 1) or (not models[0] and any(models)):
        raise SettingsError("From a model one takes SFTs or one other model, from an SFT other SFTs.")
    if models[0] and models[1]:
        tuned, base = _model(minuend), _model(subtrahends[0])
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
    taken = [as_weighted(each) for each in subtrahends]
    if models[0]:
        return subtract_from_model(_model(minuend), taken, Path(output), force=force, overwrite=overwrite)
    return add([as_weighted(minuend), *negated(taken)], Path(output), values=values, overwrite=overwrite)


@in_python
def overlap(*sfts: str | PathLike[str], metric: str = "share", per_layer: bool = False) -> OverlapReport:
    """How much the supports of SFTs of one base overlap, for every pair; as ``sftkit overlap``.

    Args:
        sfts: two or more files.
        metric: "share", "jaccard", "lift", "sign" or "cosine".
        per_layer: for each layer as well.

    Raises:
        SftkitError: of the kind that fits.
    """
    from sftkit.operations.overlap import overlap as compare

    return compare([_file(each) for each in sfts], metric, per_layer=per_layer, called=[str(each) for each in sfts])


@in_python
def inspect(sft: str | PathLike[str] | SFT) -> DiffSummary:
    """What is in an SFT; as ``sftkit inspect``.

    Raises:
        FormatError: if anything in a file is not what the format asks for.
    """
    from sftkit.operations.summary import summarise, summarise_difference

    if isinstance(sft, str | PathLike):
        return summarise(_file(sft), str(sft))
    return summarise_difference(sft, sft.name)


@in_python
def evaluate(
    objective: str,
    data: str | PathLike[str] | Sequence[str],
    base: str | PathLike[str],
    *sfts: SftLike,
    batch_size: int = 32,
    device: str = "auto",
    force: bool = False,
    trust_remote_code: bool = False,
) -> Evaluation:
    """Score a model, or a base with SFTs on it in memory; as ``sftkit evaluate``.

    Args:
        objective: "mlm", "clm", "pos", "ner", "dep", "nli", "classify" or "qa".
        data: a source of labelled data, or several.
        base: a model directory or hub id.
        sfts: what to add to it.
        batch_size: windows a batch.
        device: "auto", "cpu", "cuda" or "mps".
        force: even on another base than the SFTs'.
        trust_remote_code: run the Python code that comes with the model.

    Raises:
        SftkitError: of the kind that fits.
    """
    from sftkit.evaluation.run import Scoring
    from sftkit.evaluation.run import evaluate as score

    sources = [str(data)] if isinstance(data, str | PathLike) else [str(each) for each in data]
    scoring = Scoring(objective, batch_size=batch_size, device=device, force=force, trust_remote_code=trust_remote_code)
    return score(scoring, sources, _model(base), [as_weighted(each) for each in sfts])


def as_weighted(given: SftLike) -> Weighted:
    """An SFT, opened if it is a file, and its weight.

    Raises:
        FormatError: if a file is no SFT.
    """
    from sftkit.format.files import SftFile
    from sftkit.operations.arithmetic import Weighted

    one, weight = given if isinstance(given, tuple) else (given, 1.0)
    if isinstance(one, str | PathLike):
        return Weighted(SftFile(_file(one)), float(weight), str(one))
    return Weighted(one, float(weight), str(getattr(one, "name", "") or "the SFT"))


def _file(name: str | PathLike[str]) -> Path:
    from sftkit.hub import PUBLISHED, resolve_sft
    from sftkit.operations.convert import converted

    path = resolve_sft(str(name))
    return converted(path) if path.name == PUBLISHED or (path / PUBLISHED).is_file() else path


def _model(name: Any) -> Path:
    from sftkit.hub import resolve_model

    return resolve_model(str(name))


def _is_model(given: Any) -> bool:
    from sftkit.hub import PUBLISHED, SCHEME

    if not isinstance(given, str | PathLike):
        return False
    path, text = Path(given), str(given)
    published = (path / PUBLISHED).is_file() and not (path / "config.json").is_file()
    return not (text.startswith(SCHEME) or text.endswith(".sft") or path.is_file() or published)


def predict(
    model: str | Path,
    texts: Iterable[Any],
    *,
    objective: str,
    sfts: Sequence[str | Path | SFT] = (),
    batch_size: int = 32,
    max_length: int = 256,
    stride: int = 128,
    device: str = "auto",
    trust_remote_code: bool = False,
) -> Iterator[dict[str, Any]]:
    """Label texts that have no labels; as ``sftkit predict --jsonl``. Texts are taken as they are needed.

    >>> for each in predict("base/", ["ta mi lo"], objective="pos", sfts=["mt.sft", "pos.sft"]):  # doctest: +SKIP
    ...     print(each["words"], each["labels"], each["scores"])

    Args:
        model: a directory or a hub id: a model, or the base that the SFTs are added to.
        texts: strings, whose words are what white space parts, or lists of words, for "pos", "ner", "dep"; strings for
            "classify" and "mlm"; pairs of texts for "nli"; pairs of question and passage for "qa".
        objective: one of these.
        sfts: files or SFTs in memory, added in memory.
        batch_size: windows a batch.
        max_length: tokens a window, special ones included.
        stride: tokens that two windows of one passage share.
        device: "auto", "cpu", "cuda" or "mps".
        trust_remote_code: run the Python code that comes with the model.

    Raises:
        SftkitError: of the kind that fits, if model and SFTs do not go together.
    """
    from sftkit.prediction.run import predict_texts  # torch comes in here

    settings = {
        "batch_size": batch_size,
        "max_length": max_length,
        "device": device,
        "trust_remote_code": trust_remote_code,
    }
    return predict_texts(model, texts, objective, sfts, stride, settings)
