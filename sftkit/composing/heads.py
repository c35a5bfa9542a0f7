"""Which head a composed model gets, and which tensors make it up.

The rules: a task SFT's head goes before a language SFT's LM head, and that before the base's own. Two task heads are an
error. A base that is a task model keeps its head when only language SFTs are added. Nothing is read or written here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from sftkit.algebra.arithmetic import Weighted
from sftkit.checkpoints.lm_heads import LmHead, is_task_class
from sftkit.errors import MismatchError
from sftkit.format.difference import Difference
from sftkit.format.metadata import Metadata

Kind = Literal["task", "language", "base", "none"]

#: In place of an SFT's digest: no head at all.
NO_HEAD = "none"

_SUFFIXES = {
    "pos": "ForTokenClassification", "ner": "ForTokenClassification", "nli": "ForSequenceClassification",
    "classify": "ForSequenceClassification", "qa": "ForQuestionAnswering", "dep": "ForDependencyParsing",
}  # fmt: skip


@dataclass(frozen=True)
class HeadChoice:
    """Which head wins.

    Attributes:
        kind: whose it is: a task SFT's, a language SFT's (or the base's LM head under language SFTs), or the base's.
        owner: the SFT that brings its tensors; None where they are the base's.
        untie: (canonical name of the input embedding, key of the output matrix) if the two must part.
        notes: what the user may want to know.
    """

    kind: Kind
    owner: Weighted | None = None
    untie: tuple[str, str] | None = None
    notes: tuple[str, ...] = field(default=())

    @property
    def winner(self) -> str:
        """Whose head wins, in words."""
        if self.owner is not None:
            return self.owner.path
        if self.kind == "none":
            return "none"
        return "base"


def brings_task_head(sft: Difference) -> bool:
    """Whether an SFT carries a task's head."""
    return bool(sft.head) and (sft.metadata.is_task or is_task_class(sft.metadata.head or ""))


def is_language(sft: Difference) -> bool:
    """Whether an SFT is a language's, as far as its metadata say."""
    metadata = sft.metadata
    return not metadata.is_task and not is_task_class(metadata.head or "")


def choose_head(
    weighted: Sequence[Weighted],
    architecture: str = "",
    known: LmHead | None = None,
    *,
    base_has_lm_head: bool = False,
    lacks_output: bool = False,
    wanted: str = "",
) -> HeadChoice:
    """Apply the rules.

    Args:
        weighted: collapsed SFTs; one with a negative weight takes away and so brings no head.
        architecture: the first of the base's ``architectures``, or "".
        known: the names of the base's LM head, if its model type is known.
        base_has_lm_head: whether the base has one (all of it, tied output matrix apart).
        lacks_output: whether it neither has an output matrix nor ties one, so that no LM head can be made of it.
        wanted: digest of the SFT whose head it is to be, or :data:`NO_HEAD`.

    Raises:
        MismatchError: if the wanted SFT brings no head, two SFTs bring different task heads, or two bring LM heads and
            nothing says which is meant.
    """
    if wanted == NO_HEAD:
        return HeadChoice("none")
    tasks = [item for item in weighted if brings_task_head(item.sft) and _stays(item, weighted)]
    if wanted:
        tasks = [item for item in tasks if item.sft.digest == wanted]
        owners = [item for item in weighted if item.sft.digest == wanted and item.sft.head]
        if not owners:
            raise MismatchError("The SFT whose head is wanted brings none, or is not among those that are added.")
    if len(tasks) > 1 and not all(same_head(tasks[0].sft, item.sft) for item in tasks[1:]):
        first, second = sorted(item.path for item in tasks)[:2]
        raise MismatchError(
            f"{first} and {second} both bring a task head, and a model has one. Name one: --head {first}"
        )
    if tasks:
        return HeadChoice("task", tasks[0])
    if is_task_class(architecture) and not wanted:
        return HeadChoice("base")
    languages = [item for item in weighted if is_language(item.sft)]
    owner, notes = (owners[0], ()) if wanted else _lm_owner(languages, base_has_lm_head)
    untie = _untie(languages, known)
    bare = known is not None and known.bare and not lacks_output
    possible = owner is not None or base_has_lm_head or (bare and _speaks(languages))
    if languages and possible and (owner is not None or untie is not None):
        return HeadChoice("language", owner, untie, notes)
    return HeadChoice("base", None, None, notes)


def _stays(item: Weighted, weighted: Sequence[Weighted]) -> bool:
    """Whether an SFT is added, and its head is not taken away again by another that is subtracted."""
    return item.weight > 0 and not any(other.weight < 0 and same_head(item.sft, other.sft) for other in weighted)


def _speaks(languages: Sequence[Weighted]) -> bool:
    return any(item.sft.metadata.objective for item in languages)


def _lm_owner(languages: Sequence[Weighted], base_has_one: bool) -> tuple[Weighted | None, tuple[str, ...]]:
    bringing = [item for item in languages if item.sft.head and _stays(item, languages)]
    if not bringing:
        return None, ()
    most = max(item.weight for item in bringing)
    best = sorted((item for item in bringing if item.weight == most), key=lambda item: item.sft.digest)
    if len(best) == 1 or all(same_head(best[0].sft, item.sft) for item in best[1:]):
        return best[0], ()
    if not base_has_one:
        raise MismatchError(
            f"{best[0].path} and {best[1].path} both bring an LM head, with equal weights, and the base has none. "
            "Give the one whose head is meant a larger weight."
        )
    return None, (f"{len(best)} language SFTs bring LM heads with equal weights: the base's own LM head is kept.",)


def same_head(a: Difference, b: Difference) -> bool:
    """Whether two SFTs bring the same head, to the bit."""
    return sorted(a.head) == sorted(b.head) and all(np.array_equal(a.head[name], b.head[name]) for name in a.head)


def _untie(languages: Sequence[Weighted], known: LmHead | None) -> tuple[str, str] | None:
    for item in languages:
        tied = item.sft.metadata.tied_embeddings
        if tied is not None:
            return tied.input, tied.output
    if known is not None and any(item.sft.metadata.head is None for item in languages):
        return known.input, known.output
    return None


def architecture_of(metadata: Metadata, family: str) -> str | None:
    """The class of the model that a task SFT's head makes: what it says, else what its objective asks for."""
    if metadata.head:
        return metadata.head
    suffix = _SUFFIXES.get(metadata.objective)
    return f"{family}{suffix}" if family and suffix else None


#: What the last layers of classifiers are called.
_LAST = ("classifier", "score", "out_proj")
_LAST_WEIGHTS = tuple(f"{name}.weight" for name in _LAST)
_LABELLED = ("ForSequenceClassification", "ForTokenClassification", "ForImageClassification", "ForAudioClassification")
_SEQUENCE = "SequenceClassification"


def rows_of(head: Mapping[str, Any], architecture: str) -> int:
    """How many labels a classifier's tensors are for; 0 where that is not known."""
    if not architecture.endswith(_LABELLED):
        return 0
    sizes = {len(array) for key, array in head.items() if key.endswith(_LAST_WEIGHTS)}
    return sizes.pop() if len(sizes) == 1 else 0


def numbered(count: int) -> tuple[str, ...]:
    """Labels without names, as transformers calls them."""
    return tuple(f"LABEL_{number}" for number in range(count))


def classifies_texts(architecture: str) -> bool:
    """Whether a class is one of classifiers of whole texts."""
    return _SEQUENCE in architecture


def problem_type(architecture: str, config: Mapping[str, Any], labels: int) -> str:
    """What kind of problem a classifier solves: its config's word, of texts "regression" for one output, else ""."""
    said = config.get("problem_type") if classifies_texts(architecture) or architecture.endswith(_LABELLED) else None
    return str(said or ("regression" if labels == 1 and classifies_texts(architecture) else ""))


def label_config(metadata: Metadata, architecture: str, head: Mapping[str, Any]) -> dict[str, Any]:
    """What a task's head changes in ``config.json``; None for what is to be no part of it.

    The base's own labels and kind of problem are another head's.
    """
    changes: dict[str, Any] = {"architectures": [architecture]}
    labels = metadata.labels or numbered(rows_of(head, architecture))
    if labels or architecture.endswith(_LABELLED):
        changes |= dict.fromkeys(("id2label", "label2id", "num_labels"))
        changes["problem_type"] = metadata.problem_type or None
    if labels:
        changes["id2label"] = {str(i): label for i, label in enumerate(labels)}
        changes["label2id"] = {label: i for i, label in enumerate(labels)}
    if classifies_texts(architecture):
        learned = None if metadata.method == "difference" else "single_label_classification"  # what training here makes
        changes["problem_type"] = metadata.problem_type or ("regression" if len(labels) == 1 else learned)
        padding = metadata.training.get("pad_token_id")
        if isinstance(padding, int):  # causal models' own configs often have none, and then take no batches
            changes["pad_token_id"] = padding
    return changes


def head_document(choice: HeadChoice) -> Mapping[str, Any]:
    """For ``--json``: whose head wins, and whether the output matrix parts from the embedding."""
    return {"kind": choice.kind, "from": choice.winner, "untied": choice.untie is not None}
