"""The shallow biaffine dependency parser on any backbone (Glavaš and Vulić 2021, section 3.1).

A word's vector is the mean of its pieces' last hidden states, the root's that of the first token. Biaffine products of
these vectors, with no layers between, score every word as every other's head, and the relations of words to given
heads (Dozat and Manning 2017, section 3.1, without their MLPs). All weights of the products begin at 0, as in the
paper's code: at first every head and every relation is as likely as every other. Products are not scaled.

A sentence may come in several windows of pieces; its words' vectors are put together before they are scored. What a
tree is, and what relations are called, is :mod:`sftkit.tasks.dep`'s business. Encoder-decoder models are not covered.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import nn
from transformers import MODEL_MAPPING, PreTrainedConfig, PreTrainedModel, initialization
from transformers.models.auto.auto_factory import _BaseAutoModelClass
from transformers.utils.generic import ModelOutput


@dataclass
class ParserOutput(ModelOutput):
    """What a parser says of a batch.

    Attributes:
        loss: cross-entropy of heads and relations in nats, a word; only where heads and relations are given.
        arc_scores: float32 ``[sentences, words, 1 + words]``: of each word for the root and for each word as its head;
            -inf for padding and for the word itself.
        vectors: ``[sentences, 1 + words, hidden]``: the root's and the words'; 0 in padding.
    """

    loss: torch.Tensor | None = None
    arc_scores: torch.Tensor | None = None
    vectors: torch.Tensor | None = None


class DependencyParser(PreTrainedModel):
    """A backbone and two biaffine layers. :func:`parser_class` makes a class of it for each kind of backbone."""

    backbone_class: ClassVar[type[PreTrainedModel]]
    #: Methods beside ``forward`` that use parameters of their own.
    other_forwards: ClassVar[tuple[str, ...]] = ("relation_scores",)
    #: A head's tensor while products were scaled: its values mean something else here.
    retired: ClassVar[tuple[str, ...]] = ("arcs.weight",)

    def __init__(self, config: PreTrainedConfig) -> None:
        super().__init__(config)
        if config.is_encoder_decoder:
            raise ValueError("an encoder-decoder model has no hidden states of its words alone")
        self.num_labels = int(config.num_labels or 0)
        hidden = getattr(config, "word_embed_proj_dim", None) or config.hidden_size  # OPT's states may be narrower
        setattr(self, self.base_model_prefix, _without_pooler(self.backbone_class, config))
        self.dropout = nn.Dropout(_dropout(config))
        self.arc_biaffine = nn.Linear(hidden, hidden)
        self.relation_biaffine = nn.Linear(hidden, self.num_labels * hidden)
        self.relation_linear = nn.Linear(hidden, self.num_labels)
        self.post_init()  # type: ignore[no-untyped-call]  # transformers leaves it untyped

    def _init_weights(self, module: nn.Module) -> None:
        """The backbone's own scheme for the backbone, and 0 for the head."""
        if module not in (self.arc_biaffine, self.relation_biaffine, self.relation_linear):
            super()._init_weights(module)  # type: ignore[no-untyped-call]  # transformers leaves it untyped
            return
        for parameter in module.parameters():
            initialization.zeros_(parameter)  # but not what was loaded

    def forward(
        self,
        input_ids: torch.Tensor,
        attention_mask: torch.Tensor,
        slots: torch.Tensor,
        counts: torch.Tensor,
        word_mask: torch.Tensor,
        words: torch.Tensor,
        heads: torch.Tensor | None = None,
        labels: torch.Tensor | None = None,
        num_items_in_batch: torch.Tensor | int | None = None,
        **kwargs: Any,
    ) -> ParserOutput:
        """Score arcs, and with ``heads`` and ``labels`` compute the loss.

        Everything whose size depends on the data is made by the collator, on the processor, so that no GPU is waited
        for. "Row" is a row of all sentences' ``[sentences, 1 + longest]`` vectors in one line; the first of each
        sentence is its root's.

        Args:
            input_ids: int64 ``[windows, length]``.
            attention_mask: int64 ``[windows, length]``.
            slots: int64 ``[windows, length]``: to which row a piece belongs; for those of no word one more than the
                last row.
            counts: int64 ``[sentences · (1 + longest)]``: pieces of each row, at least 1.
            word_mask: bool ``[sentences, longest]``: where there is a word.
            words: int64 ``[words]``: the row of each word, the first sentence's first.
            heads: int64 ``[words]``: 0 for the root, else the head's number in its sentence from 1.
            labels: int64 ``[words]``: relations.
            num_items_in_batch: words of the whole optimizer step, that the summed loss is divided by; else the batch's.
            kwargs: for the backbone.
        """
        hidden = self.base_model(input_ids=input_ids, attention_mask=attention_mask, **kwargs)[0]
        vectors = self.dropout(_means(hidden, slots, counts).unflatten(0, (word_mask.shape[0], -1)))
        arc_scores = self.arc_scores(vectors, word_mask)
        loss = None
        if heads is not None and labels is not None:
            of_words = arc_scores.flatten(0, 1).index_select(0, words - words // vectors.shape[1] - 1)
            relations = self.relation_scores(vectors, words, heads)
            loss = nn.functional.cross_entropy(of_words, heads, reduction="sum")
            loss = loss + nn.functional.cross_entropy(relations, labels, reduction="sum")
            loss = loss / (num_items_in_batch if num_items_in_batch is not None else len(words))
        return ParserOutput(loss, arc_scores, vectors)

    def arc_scores(self, vectors: torch.Tensor, word_mask: torch.Tensor) -> torch.Tensor:
        """Of each word for each head, float32 ``[sentences, words, 1 + words]``; shapes as in :class:`ParserOutput`."""
        scores = (self.arc_biaffine(vectors[:, 1:]) @ vectors.transpose(1, 2)).float()
        there = nn.functional.pad(word_mask, (1, 0), value=True)[:, None]
        itself = torch.eye(scores.shape[1], dtype=torch.bool, device=scores.device)
        masked: torch.Tensor = scores.masked_fill(~there | nn.functional.pad(itself, (1, 0)), -torch.inf)
        return masked

    def relation_scores(self, vectors: torch.Tensor, words: torch.Tensor, heads: torch.Tensor) -> torch.Tensor:
        """Of each word for each relation to its head, float32 ``[words, relations]``; arguments as in ``forward``."""
        rows, longest = vectors.flatten(0, 1), vectors.shape[1]
        own = rows.index_select(0, words)
        at = rows.index_select(0, words // longest * longest + heads)
        products = (self.relation_biaffine(own).unflatten(1, (self.num_labels, -1)) @ at[:, :, None])[..., 0]
        scores: torch.Tensor = products.float() + self.relation_linear(own).float()
        return scores


def _means(hidden: torch.Tensor, slots: torch.Tensor, counts: torch.Tensor) -> torch.Tensor:
    """The mean of each row's pieces, ``[rows, hidden]``; 0 where there is none."""
    sums = hidden.new_zeros(len(counts) + 1, hidden.shape[-1])  # the last is for pieces of no word
    sums = sums.index_add(0, slots.flatten(), hidden.flatten(0, 1))
    return sums[:-1] / counts[:, None].to(sums.dtype)


def _without_pooler(backbone: type[PreTrainedModel], config: PreTrainedConfig) -> PreTrainedModel:
    pooled = "add_pooling_layer" in inspect.signature(backbone.__init__).parameters
    return backbone(config, add_pooling_layer=False) if pooled else backbone(config)


def _dropout(config: PreTrainedConfig) -> float:
    """What transformers' own heads on this backbone drop."""
    names = ("classifier_dropout", "hidden_dropout_prob", "dropout", "resid_pdrop")
    found = [getattr(config, name, None) for name in names]
    return float(next((share for share in found if share is not None), 0.0))


def parser_class(backbone: type[PreTrainedModel]) -> type[DependencyParser]:
    """The parser on a kind of backbone, named as transformers names heads: ``BertForDependencyParsing``.

    It is a subclass of the backbone's own base class, and so has its prefix, initialisation and gradient checkpointing.

    Args:
        backbone: transformers' class of the bare model.
    """
    family = next(parent for parent in backbone.__mro__ if parent.__name__.endswith("PreTrainedModel"))
    name = backbone.__name__.removesuffix("Model") + "ForDependencyParsing"
    members = {"backbone_class": backbone, "config_class": backbone.config_class, "__module__": __name__}
    made: type[DependencyParser] = type(name, (DependencyParser, family), members)
    return made


class _Parsers:
    """Config class -> parser class, of every architecture with a bare model, made when it is first asked for."""

    def __init__(self) -> None:
        self._made: dict[str, type[DependencyParser]] = {}

    def __contains__(self, config: type[PreTrainedConfig]) -> bool:
        return config in MODEL_MAPPING

    def __getitem__(self, config: type[PreTrainedConfig]) -> type[DependencyParser]:
        if config.__name__ not in self._made:
            found: Any = MODEL_MAPPING[config]
            self._made[config.__name__] = parser_class(found[0] if isinstance(found, tuple) else found)
        return self._made[config.__name__]

    def __iter__(self) -> Iterator[type[PreTrainedConfig]]:
        return iter(MODEL_MAPPING)


class AutoModelForDependencyParsing(_BaseAutoModelClass):
    """``from_pretrained`` and ``from_config`` as transformers' Auto classes have them; the config is the backbone's."""

    _model_mapping: Any = _Parsers()
