"""What of a tuned model becomes the head of an SFT that is the difference of two models, and what metadata it gets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from sftkit.checkpoints.config import of_texts
from sftkit.checkpoints.lm_heads import is_lm_class, is_task_class
from sftkit.checkpoints.names import dotted, is_pooler, model_prefix
from sftkit.checkpoints.ties import same_bytes
from sftkit.composing.heads import classifies_texts, numbered, problem_type, rows_of
from sftkit.composing.layout import BaseView, is_untied
from sftkit.format.metadata import Metadata, Untied


@dataclass(frozen=True)
class TunedHead:
    """A head's tensors, the metadata that go with it (without parameters and base), and notes."""

    tensors: Mapping[str, NDArray[Any]]
    metadata: Metadata
    notes: tuple[str, ...] = ()


def tuned_head(tuned: BaseView, base: BaseView) -> TunedHead:
    """The head of ``tuned`` as it would travel in an SFT for ``base``."""
    if is_task_class(tuned.architecture):
        return _task(tuned)
    if is_lm_class(tuned.architecture):
        return _language(tuned, base)
    return TunedHead({}, Metadata({}, 0, head=tuned.architecture or None))


def _task(tuned: BaseView) -> TunedHead:
    checkpoint = tuned.checkpoint
    tensors = {key: checkpoint.read(key) for key in tuned.heads}
    prefix = dotted(model_prefix(checkpoint.model_type, checkpoint.architecture))
    tensors |= {prefix + name: checkpoint.read(key) for name, key in checkpoint.backbone.items() if is_pooler(name)}
    labels = _labels(checkpoint.config) or numbered(rows_of(tensors, tuned.architecture))
    objective = _objective(tuned.architecture, labels)
    kind = problem_type(tuned.architecture, checkpoint.config, len(labels))
    padding = of_texts(checkpoint.config).get("pad_token_id")
    training = {"pad_token_id": padding} if isinstance(padding, int) and classifies_texts(tuned.architecture) else {}
    metadata = Metadata(
        {}, 0, objective=objective, labels=labels, problem_type=kind, head=tuned.architecture, training=training
    )
    return TunedHead(tensors, metadata)


def _labels(config: Mapping[str, Any]) -> tuple[str, ...]:
    named = config.get("id2label") or {}
    try:
        return tuple(str(named[number]) for number in sorted(named, key=int))
    except (TypeError, ValueError):
        return ()


def _objective(architecture: str, labels: tuple[str, ...]) -> str:
    """The nearest of sftkit's objectives; a checkpoint does not say what it was trained for."""
    if architecture.endswith("ForTokenClassification"):
        return "ner" if labels and all(label == "O" or label[:2] in ("B-", "I-") for label in labels) else "pos"
    if architecture.endswith("ForSequenceClassification"):
        return (
            "nli" if {label.lower() for label in labels} == {"entailment", "neutral", "contradiction"} else "classify"
        )
    if architecture.endswith("ForDependencyParsing"):
        return "dep"
    return "qa" if architecture.endswith("ForQuestionAnswering") else "task"


def _language(tuned: BaseView, base: BaseView) -> TunedHead:
    """The LM head where it differs from the base's, and the output matrix where the base's would be a wrong one."""
    checkpoint, known = tuned.checkpoint, tuned.known
    output = known.output if known is not None else ""
    twin = known.twins[1] if known is not None and known.twins is not None else ""
    own = {key: checkpoint.read(key) for key in tuned.heads if key != output}
    tensors = {} if all(key == twin or _equal(tuned, key, base, key) for key in own) else own
    objective = "mlm" if tuned.architecture.endswith("ForMaskedLM") else "clm"
    untied: Untied | None = None
    notes: tuple[str, ...] = ()
    if known is not None and is_untied(tuned) and output in checkpoint.keys:
        untied = Untied(known.input, output)
        if not _equal(tuned, output, base, base.output_key) and not moves_output(tuned, base):
            tensors = own | {output: checkpoint.read(output)}
    elif known is not None and is_untied(base):
        notes = (
            "the base's output matrix is one of its own, the tuned model's is its embedding: the base's will be kept.",
        )
    metadata = Metadata({}, 0, objective=objective, head=tuned.architecture, tied_embeddings=untied)
    return TunedHead(tensors, metadata, notes)


def moves_output(tuned: BaseView, base: BaseView) -> bool:
    """Whether the output matrix of an untied language model differs from what the base's is, and in numbers only."""
    known = tuned.known
    if known is None or not is_lm_class(tuned.architecture) or not is_untied(tuned) or not base.output_key:
        return False
    mine, theirs = tuned.checkpoint, base.checkpoint
    if known.output not in mine.keys or mine.spec(known.output).shape != theirs.spec(base.output_key).shape:
        return False
    return not _equal(tuned, known.output, base, base.output_key)


def _equal(tuned: BaseView, key: str, base: BaseView, other: str) -> bool:
    """Whether two tensors are the same to the byte; an output matrix is too large to be held twice."""
    return other in base.checkpoint.keys and same_bytes(tuned.checkpoint, key, base.checkpoint, other)
