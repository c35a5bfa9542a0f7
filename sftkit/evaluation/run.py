"""Score a model directory, or a base and SFTs composed in memory, on data of one objective.

Covers one model and one set of data. No temporary model is written.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from transformers import PreTrainedModel

from sftkit.errors import MismatchError
from sftkit.format.checkpoint import Checkpoint
from sftkit.modeling.apply import add_differences, load_head
from sftkit.modeling.backbone import untie_output
from sftkit.modeling.load import check_vocabulary, device_of, load_model, load_tokenizer, longest
from sftkit.operations.arithmetic import Weighted, collapse
from sftkit.operations.bases import check_belongs
from sftkit.operations.heads import choose_head
from sftkit.operations.layout import BaseView
from sftkit.tasks.base import Objective
from sftkit.tasks.options import NO_OPTIONS, TaskOptions
from sftkit.tasks.registry import objective_of


@dataclass(frozen=True)
class Evaluation:
    """The outcome.

    Attributes:
        objective: "mlm", "pos", …
        data: the sources.
        examples: how many sentences or lines.
        metrics: by name, in lower case; shares are between 0 and 1.
        notes: what the user may want to know.
    """

    objective: str
    data: tuple[str, ...]
    examples: int
    metrics: dict[str, float]
    notes: tuple[str, ...] = ()


def evaluate(
    objective_name: str,
    data: Sequence[str],
    base: Path,
    sfts: Sequence[Weighted] = (),
    *,
    batch_size: int = 32,
    max_length: int = 256,
    seed: int = 42,
    device: str = "auto",
    force: bool = False,
    options: TaskOptions = NO_OPTIONS,
) -> Evaluation:
    """Score a model on labelled data.

    Args:
        objective_name: "mlm", "pos", …
        data: sources, taken together.
        base: a model directory.
        sfts: what to add to it, in memory.
        batch_size: windows a batch; the scores do not depend on it.
        max_length: tokens a window, special tokens included.
        seed: of the masks, for objectives that mask.
        device: "auto", "cpu", "cuda" or "mps".
        force: add SFTs even to another base than theirs.
        options: what is said about the task's data.

    Raises:
        SftkitError: of the kind that fits, if data, base and SFTs do not go together.
    """
    objective = objective_of(objective_name, options)
    rows = objective.read(data)
    notes = check_belongs(base, sfts, force=force)
    tokenizer = load_tokenizer(base, words=objective.takes_words)
    model = composed(objective, base, sfts)
    model.to(device_of(device))  # type: ignore[arg-type]  # transformers wraps `to` without its types
    model.eval()
    check_vocabulary(model, tokenizer, base)
    objective = objective.for_model(model)
    objective.check_labels(rows, data)
    evaluator = objective.evaluator(rows, tokenizer, min(max_length, longest(model, tokenizer)), seed)
    scores = evaluator(model, batch_size)
    return Evaluation(objective.name, tuple(data), scores.examples, scores.metrics, notes)


def composed(objective: Objective, base: Path, sfts: Sequence[Weighted]) -> PreTrainedModel:
    """The model for an objective: the base, the SFTs' differences, and the head that one of them or the base brings.

    The head is chosen by the rules that ``compose`` has.

    Raises:
        MismatchError: if nothing brings a trained head for the objective, or two SFTs bring a task's.
    """
    view = BaseView.of(Checkpoint(base))
    choice = choose_head(collapse(sfts), view.architecture, view.known, base_has_lm_head=view.has_lm_head)
    owner = choice.owner
    if owner is not None and objective.is_task and owner.sft.metadata.objective not in ("", objective.name):
        if owner.sft.metadata.is_task:
            raise MismatchError(
                f"{owner.path}: was trained with --{owner.sft.metadata.objective}, not --{objective.name}."
            )
        owner = None  # a language's head is of no use to a task
    loaded = load_model(base, objective.auto_class, **(_label_config(owner) if owner else {}))
    fresh = set(loaded.fresh)
    if choice.untie is not None and not objective.is_task:
        untied = untie_output(loaded.model)
        fresh -= {untied.output} if untied else set()
    if owner is not None:
        fresh -= set(load_head(loaded.model, owner.sft, owner.path))
    if fresh:
        raise MismatchError(
            f"{base}: nothing brings a trained head for --{objective.name} ({min(fresh)} would be random). "
            f"Add an SFT trained with --{objective.name}, or name a model that has such a head."
        )
    add_differences(loaded.model, sfts)
    return loaded.model


def _label_config(item: Weighted) -> dict[str, Any]:
    labels = item.sft.metadata.labels
    if not labels:
        return {}
    return {"id2label": dict(enumerate(labels)), "label2id": {label: i for i, label in enumerate(labels)}}
