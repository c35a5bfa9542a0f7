"""Which tensors a composed model consists of, under which keys, and where each comes from.

Decided from headers alone; the numbers are :mod:`sftkit.composing.writing`'s business.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from numpy.typing import NDArray

from sftkit.checkpoints.checkpoint import Checkpoint
from sftkit.checkpoints.classes import ties_of, type_facts
from sftkit.checkpoints.lm_heads import LmHead, is_lm_class, is_task_class, lm_head
from sftkit.checkpoints.names import dotted, is_pooler, model_prefix, modern
from sftkit.checkpoints.ties import same_bytes
from sftkit.composing.heads import HeadChoice, architecture_of, label_config
from sftkit.errors import CheckpointError, MismatchError
from sftkit.format.metadata import Metadata, ParameterSpec
from sftkit.storage.dtypes import BFLOAT16, CODES, FLOATS
from sftkit.storage.safefile import Planned, planned

# Heads' models that have a pooler, for SFTs whose list of parameters does not settle it.
_POOLED = re.compile(r"^(Bert|Albert|Electra|Deberta|DebertaV2|MegatronBert|BigBird)For(Sequence|Multiple|Next|PreTr)")


@dataclass(frozen=True)
class OutputTensor:
    """One tensor of the result.

    Attributes:
        plan: its key, dtype and shape in the output.
        source: the base's key whose bytes it starts from; None for a head's tensor.
        name: the name of the parameter whose difference is added, canonical or the output matrix's; None for a copy.
        array: a head's tensor.
    """

    plan: Planned
    source: str | None = None
    name: str | None = None
    array: NDArray[Any] | None = None


@dataclass(frozen=True)
class Layout:
    """The tensors of the result and what changes in its config."""

    tensors: tuple[OutputTensor, ...]
    config: Mapping[str, Any]


@dataclass(frozen=True)
class BaseView:
    """What the head rules need to know of a base."""

    checkpoint: Checkpoint
    architecture: str
    known: LmHead | None
    has_lm_head: bool

    @staticmethod
    def of(checkpoint: Checkpoint) -> BaseView:
        """Look at a base's headers and config."""
        architecture = checkpoint.architecture
        known = lm_head(checkpoint.model_type, architecture, checkpoint.backbone)
        return BaseView(checkpoint, architecture, known, known is not None and _has_lm_head(checkpoint, known))

    @property
    def heads(self) -> tuple[str, ...]:
        """Keys of everything outside the backbone."""
        return self.checkpoint.heads

    @property
    def lacks_output(self) -> bool:
        """Whether the output matrix would be one of its own and is not stored, so that transformers makes it up."""
        known, checkpoint = self.known, self.checkpoint
        return known is not None and not checkpoint.tied and known.output not in checkpoint.keys

    @property
    def output_key(self) -> str:
        """Key of the matrix that the output matrix is, or equals until something is added to the embedding; or ""."""
        if self.known is None:
            return ""
        if self.lacks_output:
            return ""
        stored = self.known.output in self.checkpoint.keys and self.known.output not in self.checkpoint.copies
        return self.known.output if stored else self.checkpoint.backbone.get(self.known.input, "")

    @cached_property
    def parameters(self) -> Mapping[str, ParameterSpec]:
        """What an SFT may move: the backbone's parameters and, if it is known, the output matrix by its full name."""
        if not self.output_key or self.known is None:
            return self.checkpoint.parameters
        spec = self.checkpoint.spec(self.output_key)
        return {**self.checkpoint.parameters, self.known.output: ParameterSpec(spec.shape, spec.dtype.name)}

    @property
    def family(self) -> str:
        """What the architecture's class names begin with: "Bert", "XLMRoberta"."""
        named = self.architecture or (self.known.architecture if self.known else "")
        return re.sub(r"(Model|LMHeadModel|For[A-Z].*)$", "", named)


def _has_lm_head(checkpoint: Checkpoint, known: LmHead) -> bool:
    if not checkpoint.tied and known.output not in checkpoint.keys:
        return False
    parts = [key for key in checkpoint.keys if key.startswith(known.parts) and key != known.output]
    return bool(parts) if not known.bare else known.output in checkpoint.keys or is_lm_class(checkpoint.architecture)


def plan_layout(view: BaseView, choice: HeadChoice) -> Layout:
    """The tensors of the result.

    Raises:
        MismatchError: if the head's architecture needs a parameter that is nowhere.
        CheckpointError: if the architecture of a task's head is not known.
    """
    if choice.kind == "task":
        return _task(view, choice)
    if choice.kind == "none":
        return _bare(view)
    layout = _language(view, choice) if choice.kind == "language" else Layout(tuple(_as_stored(view)), {})
    return Layout(tuple(_output_as_stored(view, layout)), layout.config)


def _output_as_stored(view: BaseView, layout: Layout) -> Iterator[OutputTensor]:
    """The tensors, the output matrix called what the base's files call it: every version of transformers reads that."""
    stored, output = view.checkpoint.stored_output, view.known.output if view.known else ""
    for tensor in layout.tensors:
        yield _renamed(tensor, stored) if stored and tensor.plan.name == output else tensor


def _as_stored(view: BaseView) -> Iterator[OutputTensor]:
    """Everything under its own key, old norm names apart. What is stored twice of one weight is left to tying."""
    checkpoint = view.checkpoint
    of_key = {key: name for name, key in checkpoint.backbone.items()}
    if view.known is not None:
        of_key.setdefault(view.known.output, view.known.output)
    for key in checkpoint.keys:
        if key not in checkpoint.copies:
            yield _from_base(checkpoint, key, modern(key), of_key.get(key))


def _bare(view: BaseView) -> Layout:
    """The backbone alone, under its own keys, and nothing in the config that is about a head."""
    checkpoint = view.checkpoint
    of_key = {key: name for name, key in checkpoint.backbone.items()}
    keys = (*checkpoint.names, *(key for key, _ in _buffers(checkpoint)))
    tensors = (_from_base(checkpoint, key, modern(key), of_key.get(key)) for key in keys)
    return Layout(tuple(tensors), dict.fromkeys(("architectures", "id2label", "label2id", "problem_type")))


def _task(view: BaseView, choice: HeadChoice) -> Layout:
    assert choice.owner is not None
    sft, path = choice.owner.sft, choice.owner.path
    architecture = architecture_of(sft.metadata, view.family)
    if architecture is None:
        raise CheckpointError(
            f"{path}: brings a head, but neither 'head' nor 'objective' in its metadata says of which architecture."
        )
    tensors = list(_backbone(view, sft.metadata, architecture, sft.head))
    tensors += [_from_head(view.checkpoint, name, array) for name, array in sorted(sft.head.items())]
    return Layout(tuple(tensors), label_config(sft.metadata, architecture, sft.head))


def _language(view: BaseView, choice: HeadChoice) -> Layout:
    metadata = choice.owner.sft.metadata if choice.owner else None
    architecture = (metadata and metadata.head) or (view.known.architecture if view.known else view.architecture)
    head: Mapping[str, NDArray[Any]] = choice.owner.sft.head if choice.owner else {}
    tensors = {tensor.plan.name: tensor for tensor in _backbone(view, metadata, architecture, head)}
    output = choice.untie[1] if choice.untie else view.known.output if view.known else None
    if view.known is not None and output == view.checkpoint.stored_output:
        output = view.known.output  # as an older transformers called it in memory, too
    if choice.owner:
        own = {name: _from_head(view.checkpoint, name, array) for name, array in head.items()}
    else:
        own = {key: _from_base(view.checkpoint, key, modern(key), None) for key in _lm_keys(view) if key != output}
    untied = choice.untie is not None or is_untied(view)
    if output is not None and untied and output not in own:
        own[output] = _output_matrix(view, choice, output)
    if view.known is not None and view.known.twins is not None:
        differ = choice.owner is None and all(name in _lm_keys(view) for name in view.known.twins)
        _even_out(own, *view.known.twins, untied=untied, differ=differ)
    tensors |= own
    config: dict[str, Any] = {"architectures": [architecture]} if architecture else {}
    if untied and not _ties_more(view, architecture):
        config["tie_word_embeddings"] = False
    return Layout(tuple(tensors.values()), config)


def _ties_more(view: BaseView, architecture: str) -> bool:
    """Whether the config's word on ties is about more than the output matrix, which then parts by being stored."""
    ties = ties_of(view.checkpoint.model_type, architecture)
    return any(not name.endswith(".bias") for name in ties if view.known is None or name != view.known.output)


def _lm_keys(view: BaseView) -> list[str]:
    parts = view.known.parts if view.known is not None else None
    return [key for key in view.heads if parts is None or key.startswith(parts)]


def is_untied(view: BaseView) -> bool:
    """Whether the base's output matrix is one of its own, and not its input embedding: by what is stored, if both are.

    Transformers ties two weights that the config asks it to tie, unless both are stored and differ.
    """
    known, checkpoint = view.known, view.checkpoint
    if known is None or not checkpoint.tied:
        return not checkpoint.tied
    embedding = checkpoint.backbone.get(known.input)
    if known.output not in checkpoint.keys or embedding in (None, known.output):
        return False
    return not (known.output in checkpoint.copies or same_bytes(checkpoint, known.output, checkpoint, embedding))


def _output_matrix(view: BaseView, choice: HeadChoice, output: str) -> OutputTensor:
    """The output matrix with the base's values: its own, else its input embedding before anything is added."""
    checkpoint = view.checkpoint
    if output in checkpoint.keys:
        return _from_base(checkpoint, output, output, output)
    if view.lacks_output:
        raise MismatchError(
            f"the base has no output matrix ({output}), and its config.json does not tie it to the input embedding: "
            "a language model cannot be made of it. Name a checkpoint that has it, or give --no-head."
        )
    given = choice.untie[0] if choice.untie else view.known.input if view.known else ""
    name = next((n for n in checkpoint.backbone if given == n or given.endswith(f".{n}")), None)
    if name is None:
        raise MismatchError(f"the base has neither {output} nor the input embedding {given} that it would equal.")
    return _from_base(checkpoint, checkpoint.backbone[name], output, output)


def _even_out(own: dict[str, OutputTensor], main: str, twin: str, *, untied: bool, differ: bool) -> None:
    """An untied model has its output bias under two keys, a tied one under the first, unless the two differ."""
    if untied:
        for here, there in ((main, twin), (twin, main)):
            if here not in own and there in own:
                own[here] = _renamed(own[there], here)
    elif main in own and not differ:
        own.pop(twin, None)


def _renamed(tensor: OutputTensor, key: str) -> OutputTensor:
    plan = tensor.plan
    return OutputTensor(Planned(key, plan.code, plan.shape, plan.nbytes), tensor.source, tensor.name, tensor.array)


def _backbone(
    view: BaseView, metadata: Metadata | None, architecture: str, head: Mapping[str, Any]
) -> Iterator[OutputTensor]:
    """The base's backbone with transformers' prefix; without a pooler where the architecture has none."""
    checkpoint = view.checkpoint
    prefix = _prefix(checkpoint, architecture)
    listed = metadata.parameters if metadata is not None else {}
    partial = any(name not in listed and not is_pooler(name) for name in checkpoint.backbone)
    present = {*checkpoint.backbone, metadata.output if metadata is not None else ""}
    for needed in listed:
        if needed not in present and prefix + needed not in head:
            raise MismatchError(
                f"{architecture} needs the parameter {needed}, which neither the base nor the SFT's head has."
            )
    of_key = {key: name for name, key in checkpoint.backbone.items()}
    for key, name in checkpoint.names.items():
        if prefix + name in head:
            continue
        pooled = name in listed or (partial and is_task_class(architecture) and bool(_POOLED.match(architecture)))
        if not is_pooler(name) or pooled:
            yield _from_base(checkpoint, key, prefix + name, of_key.get(key))
    for key, name in _buffers(checkpoint):
        yield _from_base(checkpoint, key, prefix + name, None)


def _buffers(checkpoint: Checkpoint) -> Iterator[tuple[str, str]]:
    """Key and canonical name of what is no parameter, and what the type's classes store all the same."""
    stored = type_facts(checkpoint.model_type).get("buffers", ())
    names = ((key, key.removeprefix(checkpoint.prefix)) for key in sorted(checkpoint.ignored))
    return ((key, name) for key, name in names if name in stored)


def _prefix(checkpoint: Checkpoint, architecture: str) -> str:
    """The prefix of the backbone in the result: the class's, or the base's own where that is the same class."""
    if type_facts(checkpoint.model_type) or architecture != checkpoint.architecture:
        return dotted(model_prefix(checkpoint.model_type, architecture))
    return checkpoint.prefix


def _from_base(checkpoint: Checkpoint, key: str, out: str, name: str | None) -> OutputTensor:
    spec = checkpoint.spec(key)
    return OutputTensor(Planned(out, spec.code, spec.shape, spec.end - spec.begin), key, name)


def _from_head(checkpoint: Checkpoint, key: str, array: NDArray[Any]) -> OutputTensor:
    """A head's tensor in the base's dtype, as a model of one dtype would be saved."""
    dtype = {code.name: code for code in (*CODES.values(), BFLOAT16)}.get(checkpoint.dtype, array.dtype)
    cast = array.astype(dtype, copy=False) if array.dtype in FLOATS else array
    return OutputTensor(planned(key, cast), array=cast)
