"""Models and SFTs put to use: their scores on labelled data, and labels for text that has none."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from os import PathLike
from typing import TYPE_CHECKING, Any

from sftkit.errors import SettingsError
from sftkit.python.given import all_weighted, model_folder
from sftkit.python.wording import in_python, iterated
from sftkit.shown import meant

if TYPE_CHECKING:
    from sftkit.evaluation.run import Evaluation
    from sftkit.python.given import SftLike
    from sftkit.tasks.options import TaskOptions


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
    trust_remote_code: bool = False,
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
        trust_remote_code: run the Python code that comes with the model.
        options: what is said of the task's data, by the names of the command's options: ``columns=("form", "upos")``,
            ``map_label={"DATE": "O"}``, ``scheme="conlleval"``.

    Raises:
        SftkitError: of the kind that fits.
    """
    from sftkit.evaluation.run import Scoring, opposing
    from sftkit.evaluation.run import evaluate as score

    sources = [str(data)] if isinstance(data, str | PathLike) else [str(each) for each in data]
    said = _task_options(objective, options)
    scoring = Scoring(objective, said, batch_size, max_length, seed, device, force, trust_remote_code=trust_remote_code)
    added = all_weighted(list(sfts))
    other = opposing(added, all_weighted(against)) if against else ()
    return score(scoring, sources, model_folder(base), added, against=other)


def _task_options(objective: str, options: Mapping[str, Any]) -> TaskOptions:
    from dataclasses import fields

    from sftkit.tasks.options import TaskOptions, check_options
    from sftkit.tasks.registry import OBJECTIVES

    if objective not in OBJECTIVES:
        raise SettingsError(
            f"There is no objective {objective!r}; known are {', '.join(OBJECTIVES)}.{meant(objective, OBJECTIVES)}"
        )
    known = [field.name for field in fields(TaskOptions)]
    for name in options:
        if name not in known:
            raise SettingsError(f"There is no option {name!r}; known are {', '.join(known)}.{meant(name, known)}")
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
    decode: str = "tree",
    device: str = "auto",
    force: bool = False,
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
        sfts: one or several, added in memory.
        batch_size: windows a batch.
        max_length: tokens a window, special ones included.
        stride: tokens that two windows of one passage share.
        decode: "tree" or "greedy", of "dep".
        device: "auto", "cpu", "cuda" or "mps".
        force: even on another base than the SFTs'.
        trust_remote_code: run the Python code that comes with the model.

    Returns:
        An object for each text, in their order, as they are labelled.

    Raises:
        SftkitError: of the kind that fits, if model and SFTs do not go together, or ``texts`` are none.
    """
    from sftkit.evaluation.run import Scoring
    from sftkit.prediction.run import Predictor  # torch comes in here

    if isinstance(texts, str | PathLike):
        raise SettingsError("texts is one text or file, and must be a list of texts, or another iterable of them.")
    own: dict[str, dict[str, Any]] = {"qa": {"stride": stride}, "dep": {"decode": decode}}
    said = _task_options(objective, own.get(objective, {}))
    scoring = Scoring(
        objective, said, batch_size, max_length, device=device, force=force, trust_remote_code=trust_remote_code
    )
    predictor = Predictor(scoring, model_folder(model), all_weighted(sfts))
    return iterated(predictor.objects(predictor.given(texts)))
