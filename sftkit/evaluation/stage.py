"""One base in memory on which sets of SFTs are put in turn: K writes for a set, not a load.

The head is chosen by the rules that ``compose`` has. The model is loaded again only where a set needs another head's
shape or labels than the set before it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from transformers import PreTrainedModel

from sftkit.algebra.arithmetic import Weighted, collapse
from sftkit.checkpoints.checkpoint import Checkpoint
from sftkit.checkpoints.lm_heads import is_task_class
from sftkit.composing.early import check_objective
from sftkit.composing.heads import HeadChoice, architecture_of, choose_head, classifies_texts, problem_type, rows_of
from sftkit.composing.layout import BaseView
from sftkit.composing.record import Record
from sftkit.errors import MismatchError
from sftkit.modeling.apply import add_differences, load_head, put_back
from sftkit.modeling.backbone import untie_output
from sftkit.modeling.load import device_of, load_model
from sftkit.storage.dtypes import FLOATS
from sftkit.tasks.base import Objective
from sftkit.tasks.problems import ONE_LABEL
from sftkit.tasks.sequences import SequenceLabels


@dataclass(frozen=True)
class _Head:
    """What a set of SFTs asks of the model: who brings the head, its labels and tensors, and whether to untie."""

    owner: Weighted | None
    labels: tuple[str, ...]
    tensors: tuple[str, ...]
    untied: bool

    def fits(self, other: _Head) -> bool:
        """Whether the same model serves both."""
        return (self.labels, self.tensors, self.untied) == (other.labels, other.tensors, other.untied)


class Stage:
    """A base, loaded when it is first needed, for one objective.

    Attributes:
        loads: how many times the model was loaded.
    """

    def __init__(
        self, objective: Objective, base: Path, device: str = "auto", *, trust_remote_code: bool = False
    ) -> None:
        self._objective, self._base, self._device = objective, base, device_of(device)
        self._trusted = trust_remote_code
        checkpoint = Checkpoint(base)
        self._view = BaseView.of(checkpoint)
        # the model is loaded in float32, and scored as compose would write it: in the base's own dtypes
        self._dtypes = {name: checkpoint.spec(key).dtype for name, key in checkpoint.backbone.items()}
        self._main_dtype = {dtype.name: dtype for dtype in FLOATS}.get(checkpoint.dtype)
        self._model: PreTrainedModel | None = None
        self._head: _Head | None = None
        self.loads = 0

    @contextmanager
    def model(self, sfts: Sequence[Weighted]) -> Iterator[PreTrainedModel]:
        """The model with SFTs on it and the head that they bring, ready to be scored; afterwards θ is back, to the bit.

        Raises:
            MismatchError: if nothing brings a trained head for the objective, or two SFTs bring a task's.
        """
        wanted = self._wanted(sfts)
        if self._model is None or self._head is None or not wanted.fits(self._head):
            self._model = None  # two would be one too many in memory
            self._model = self._loaded(wanted)
        elif wanted.owner is not None:
            load_head(self._model, wanted.owner.sft, wanted.owner.path, self._main_dtype)
        self._head = wanted
        kept = add_differences(self._model, sfts, lambda name: self._dtypes.get(name, self._main_dtype))
        try:
            yield self._model
        finally:
            put_back(self._model, kept)

    def _wanted(self, sfts: Sequence[Weighted]) -> _Head:
        objective = self._objective
        self._check_language(self._view.architecture)
        choice = self._choice(sfts)
        owner, kind = choice.owner, self._problem_of(choice)
        if objective.is_task and not isinstance(objective, SequenceLabels) and kind not in ("", ONE_LABEL.name):
            whose = owner.path if owner is not None else str(self._base)
            raise MismatchError(
                f"{whose}: its head is for {kind.replace('_', ' ')}, not for --{objective.name}. Use --classify."
            )
        if owner is not None and owner.sft.metadata.objective not in ("", objective.name):
            check_objective(owner, objective.name)
            owner = owner if not objective.is_task else None  # a language's head is of no use to a task
        untied = choice.untie is not None and not objective.is_task
        if owner is None:
            return _Head(None, (), (), untied)
        return _Head(owner, owner.sft.metadata.labels, tuple(sorted(owner.sft.head)), untied)

    def problem(self, sfts: Sequence[Weighted]) -> str:
        """What the head under these SFTs is for, as transformers calls it; "" if it is no classifier of texts.

        Raises:
            MismatchError: if two SFTs bring a task's head.
        """
        return self._problem_of(self._choice(sfts))

    def _choice(self, sfts: Sequence[Weighted]) -> HeadChoice:
        view = self._view
        return choose_head(
            collapse(sfts), view.architecture, view.known,
            base_has_lm_head=view.has_lm_head, lacks_output=view.lacks_output,
        )  # fmt: skip

    def _problem_of(self, choice: HeadChoice) -> str:
        checkpoint, config, labels = self._view.checkpoint, self._view.checkpoint.config, 0
        architecture = checkpoint.architecture
        if choice.owner is not None:
            metadata, head = choice.owner.sft.metadata, choice.owner.sft.head
            architecture = architecture_of(metadata, self._view.family) or ""
            config = {"problem_type": metadata.problem_type}
            labels = len(metadata.labels) or rows_of(head, architecture)
        elif classifies_texts(architecture):
            labels = len(config.get("id2label") or ()) or config.get("num_labels") or 2
        return problem_type(architecture, config, labels) if classifies_texts(architecture) else ""

    def _check_language(self, architecture: str) -> None:
        """Refuse to score language modelling on a task's model: it keeps its own head, whatever is added."""
        if self._objective.is_task or not is_task_class(architecture):
            return
        record = Record.read(self._base)
        name = (
            f" such as {record.base['name']}, from which it was composed" if record and record.base.get("name") else ""
        )
        raise MismatchError(
            f"{self._base}: is a {architecture}, without a head for --{self._objective.name}. "
            f"Name a language model in its place{name and ','}{name}."
        )

    def _loaded(self, head: _Head) -> PreTrainedModel:
        objective = self._objective
        loaded = load_model(
            self._base, objective.auto_class, trust_remote_code=self._trusted, **_label_config(head.labels)
        )
        fresh = set(loaded.fresh)
        if head.untied:
            untie_output(loaded.model)
        if head.owner is not None:
            fresh -= set(load_head(loaded.model, head.owner.sft, head.owner.path, self._main_dtype))
            padding = head.owner.sft.metadata.training.get("pad_token_id")
            if isinstance(padding, int):  # as in the composed model's config
                config: Any = loaded.model.config
                (getattr(config, "text_config", None) or config).pad_token_id = padding
        if fresh:
            raise MismatchError(
                f"{self._base}: nothing brings a trained head for --{objective.name} ({min(fresh)} would be random). "
                f"Add an SFT trained with --{objective.name}, or name a model that has such a head."
            )
        self.loads += 1
        loaded.model.to(self._device)  # type: ignore[arg-type]  # transformers wraps `to` without its types
        loaded.model.eval()
        return loaded.model


def _label_config(labels: Sequence[str]) -> dict[str, Any]:
    if not labels:
        return {}
    return {"id2label": dict(enumerate(labels)), "label2id": {label: i for i, label in enumerate(labels)}}
