"""What language-model heads are called in each architecture: needed where an SFT's metadata does not say.

Covers the model types of :data:`LM_HEADS`, every class of transformers that says which its output matrix is, and, by
one common rule, other causal models of the Llama kind.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from sftkit.checkpoints.classes import class_facts, language_class, type_facts


@dataclass(frozen=True, slots=True)
class LmHead:
    """Names in a model with its LM head.

    Attributes:
        architecture: the class.
        input: canonical name of the input embedding.
        output: key of the output matrix.
        parts: beginnings of the keys of everything in the head, the output matrix included.
        twins: two keys of one and the same bias, which an untied model has under both names.
        bare: whether the head is the output matrix and nothing else.
    """

    architecture: str
    input: str
    output: str
    parts: tuple[str, ...]
    twins: tuple[str, str] | None = None
    bare: bool = False


_WORDS = "embeddings.word_embeddings.weight"
_CLS_TWINS = ("cls.predictions.bias", "cls.predictions.decoder.bias")
_LM_TWINS = ("lm_head.bias", "lm_head.decoder.bias")


def _cls(family: str) -> LmHead:
    return LmHead(f"{family}ForMaskedLM", _WORDS, "cls.predictions.decoder.weight", ("cls.predictions.",), _CLS_TWINS)


def _roberta(family: str) -> LmHead:
    return LmHead(f"{family}ForMaskedLM", _WORDS, "lm_head.decoder.weight", ("lm_head.",), _LM_TWINS)


LM_HEADS: dict[str, LmHead] = {
    "bert": _cls("Bert"),
    "deberta": _cls("Deberta"),
    "deberta-v2": _cls("DebertaV2"),
    "roberta": _roberta("Roberta"),
    "xlm-roberta": _roberta("XLMRoberta"),
    "xlm-roberta-xl": _roberta("XLMRobertaXL"),
    "camembert": _roberta("Camembert"),
    "distilbert": LmHead(
        "DistilBertForMaskedLM", _WORDS, "vocab_projector.weight",
        ("vocab_transform.", "vocab_layer_norm.", "vocab_projector."),
    ),
    "electra": LmHead(
        "ElectraForMaskedLM", _WORDS, "generator_lm_head.weight", ("generator_predictions.", "generator_lm_head.")
    ),
    "albert": LmHead(
        "AlbertForMaskedLM", _WORDS, "predictions.decoder.weight", ("predictions.",),
        ("predictions.bias", "predictions.decoder.bias"),
    ),
    "modernbert": LmHead(
        "ModernBertForMaskedLM", "embeddings.tok_embeddings.weight", "decoder.weight", ("head.", "decoder.")
    ),
    "gpt2": LmHead("GPT2LMHeadModel", "wte.weight", "lm_head.weight", ("lm_head.",), bare=True),
}  # fmt: skip

_LLAMA_INPUT = "embed_tokens.weight"
_LM_CLASSES = (
    "ForMaskedLM",
    "ForCausalLM",
    "LMHeadModel",
    "ForPreTraining",
    "ForConditionalGeneration",
    "GenerationDecoder",
)

#: "BertForTokenClassification", but not "RoFormerModel".
_FOR = re.compile(r"For[A-Z]")


def lm_head(model_type: str, architecture: str, backbone: Iterable[str]) -> LmHead | None:
    """The LM head of a base, or None if this module does not know it, or it is a part of the backbone.

    Args:
        model_type: of the base.
        architecture: the first of the base's ``architectures``, or "".
        backbone: canonical names of its parameters.
    """
    if model_type in LM_HEADS:
        return LM_HEADS[model_type]
    backbone = tuple(backbone)
    known = _of_class(model_type, architecture, {name.partition(".")[0] for name in backbone})
    if known is None and not type_facts(model_type) and _LLAMA_INPUT in backbone:
        family = re.sub(r"(Model|For[A-Z].*)$", "", architecture)
        return LmHead(
            f"{family}ForCausalLM" if family else "", _LLAMA_INPUT, "lm_head.weight", ("lm_head.",), bare=True
        )
    return known


def _of_class(model_type: str, architecture: str, tops: AbstractSet[str]) -> LmHead | None:
    """The head of the class itself if it is a language model's, else of the one that its model type has.

    Of a model of models (Pix2Struct, BLIP-2) it lies in one of them, and is a parameter like the others.
    """
    for name in (architecture, language_class(model_type)):
        facts = class_facts(model_type, name)
        if name and is_lm_class(name) and {"output", "prefix"} <= facts.keys():
            prefix, output = f"{facts['prefix']}.", str(facts["output"])
            if output.removeprefix(prefix).partition(".")[0] in tops:
                return None
            twins = [pair for pair in facts.get("ties", {}).items() if all(each.endswith(".bias") for each in pair)]
            return LmHead(
                name, str(facts["input"]).removeprefix(prefix), output, (output.split(".")[0] + ".",),
                (twins[0][1], twins[0][0]) if len(twins) == 1 else None, bool(facts.get("bare")),
            )  # fmt: skip
    return None


def is_lm_class(architecture: str) -> bool:
    """Whether a class name is that of a language model (``BertForPreTraining`` included)."""
    return architecture.endswith(_LM_CLASSES) and architecture != "ElectraForPreTraining"


def is_task_class(architecture: str) -> bool:
    """Whether a class name is that of a model with a task's head."""
    return bool(_FOR.search(architecture)) and not is_lm_class(architecture)
