"""Which parameters of a torch model are backbone, head, norms and output matrix, whatever the architecture.

Backbone parameters go by their canonical names (relative to the backbone). The pooler counts as head here: some heads'
models have one and others do not, and an SFT must compose with both.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import torch
from torch import nn
from transformers import PreTrainedModel

from sftkit.checkpoints.classes import class_facts
from sftkit.checkpoints.names import heads_of, is_buffer, is_pooler
from sftkit.errors import MismatchError
from sftkit.format.metadata import Untied


def unwrapped(model: nn.Module) -> PreTrainedModel:
    """The model itself, without torch.compile's or a data-parallel wrapper.

    Raises:
        MismatchError: if it is sharded, carries PEFT adapters, or is no model of transformers.
    """
    while True:
        if isinstance(inner := getattr(model, "_orig_mod", None), nn.Module):
            model = inner
        elif isinstance(model, nn.DataParallel | nn.parallel.DistributedDataParallel):
            model = model.module
        else:
            break
    kind = type(model).__name__
    if not isinstance(model, nn.Module):
        raise MismatchError(f"A {kind} is no model in memory: load it with transformers first.")
    if any(type(module).__name__ in ("FullyShardedDataParallel", "FSDPModule") for module in model.modules()):
        raise MismatchError("The model is sharded (FSDP): put the SFT on before it is, or on a whole copy.")
    if hasattr(model, "peft_config") or any(hasattr(module, "base_layer") for module in model.modules()):
        raise MismatchError(f"{kind} carries a PEFT adapter. Merge it first: model = model.merge_and_unload()")
    if getattr(model, "hf_quantizer", None) is not None or getattr(model, "is_quantized", False):
        raise MismatchError(f"{kind} is quantised: differences cannot be added to its weights.")
    if not isinstance(model, PreTrainedModel):
        raise MismatchError(f"A {kind} is no model of transformers, whose names SFTs go by.")
    return model


def prefix_of(model: PreTrainedModel) -> str:
    """What precedes canonical names in the model's own, dot included; "" for a bare backbone."""
    prefix = model.base_model_prefix
    # a bare backbone may have a part of that name, which is no model of its own
    return f"{prefix}." if prefix and isinstance(getattr(model, prefix, None), PreTrainedModel) else ""


def backbone_parameters(model: PreTrainedModel, *, pooler: bool = False) -> dict[str, nn.Parameter]:
    """Canonical name -> parameter, sorted by name; a parameter that the backbone shares with itself comes once.

    Args:
        model: any head, or none.
        pooler: with the pooler, if the model has one.
    """
    prefix = prefix_of(model)
    heads = () if prefix else heads_of(str(model.config.model_type))  # a T5's parts lie beside its output matrix
    found: dict[int, tuple[str, nn.Parameter]] = {}
    # a tied output matrix may come first (RoBERTa's does): the duplicates are what tells its name in the backbone
    for name, parameter in model.named_parameters(remove_duplicate=False):
        if name.startswith(prefix) and not name.startswith(heads) and (pooler or not is_pooler(name[len(prefix) :])):
            found.setdefault(id(parameter), (name[len(prefix) :], parameter))
    return dict(sorted(found.values(), key=lambda pair: pair[0]))


def stored_buffers(model: PreTrainedModel) -> dict[str, torch.Tensor]:
    """Canonical name -> buffer of the backbone that a checkpoint holds, and that is a number to be learned."""
    prefix, buffers = prefix_of(model), dict(model.named_buffers())
    stored = [name for name in model.state_dict() if name in buffers and name.startswith(prefix)]
    return {
        name.removeprefix(prefix): buffers[name]
        for name in stored
        if buffers[name].is_floating_point() and not is_buffer(name, tuple(buffers[name].shape))
    }


def head_names(model: PreTrainedModel, untied: Untied | None = None) -> list[str]:
    """Names in the state dict of everything that is not backbone, but for the output matrix if that was untied."""
    backbone = {prefix_of(model) + name for name in backbone_parameters(model)}
    tied_away = _buffers(model) | backbone | ({untied.output} if untied else set())
    inputs = model.get_input_embeddings()
    weight = getattr(inputs, "weight", None)
    return [
        name
        for name, tensor in model.state_dict(keep_vars=True).items()
        if name not in tied_away and tensor is not weight
    ]


def widen_head(model: PreTrainedModel, untied: Untied | None) -> None:
    """Make a head float32 on whatever backbone: it is tuned whole, and half precision would lose its small updates."""
    wanted = set(head_names(model, untied))
    for name, parameter in model.named_parameters():
        if name in wanted:
            parameter.data = parameter.data.float()


def _buffers(model: PreTrainedModel) -> set[str]:
    return {name for name, _ in model.named_buffers()}


#: How classes of normalisation layers are called: LlamaRMSNorm, T5LayerNorm, BatchNorm1d, NemotronLayerNorm1P,
#: Qwen3NextRMSNormGated; not RobertaPreLayerNormLMHead or InklingNormedEmbedding, which have weights of their own.
_NORM = re.compile(r"norm([0-9][dp]|gated)?$", re.IGNORECASE)


def norm_parameters(model: nn.Module) -> set[int]:
    """Ids of the parameters of normalisation layers, found by module type: LayerNorm, RMSNorm and their kin."""
    return {
        id(parameter)
        for module in model.modules()
        if isinstance(module, nn.LayerNorm | nn.GroupNorm) or _NORM.search(type(module).__name__)
        for parameter in module.parameters(recurse=False)
    }


def untie_output(model: PreTrainedModel) -> Untied | None:
    """Give the output matrix values of its own, equal to the input embedding's, and freeze it.

    Returns:
        The names (canonical for the input, the model's own for the output), or None if there is no output matrix.
    """
    output, inputs = model.get_output_embeddings(), model.get_input_embeddings()
    if output is None or inputs is None:
        return None
    if output.weight is inputs.weight:
        output.weight = nn.Parameter(inputs.weight.detach().clone())
    output.weight.requires_grad_(False)
    model.config.tie_word_embeddings = False
    names = {id(parameter): name for name, parameter in model.named_parameters()}  # apart now, so each has one
    input_name = names[id(inputs.weight)].removeprefix(prefix_of(model))
    return Untied(input=input_name, output=names[id(output.weight)])


def output_name(model: PreTrainedModel, name: str) -> str:
    """What SFTs call the output matrix, whatever the installed transformers does: GPT-NeoX's has had two names."""
    facts = class_facts(str(model.config.model_type), type(model).__name__)
    return str(facts["output"]) if name == facts.get("stored_output") else name


def owners(model: nn.Module, parameter: nn.Parameter) -> Iterator[tuple[nn.Module, str]]:
    """Every (module, attribute) under which a parameter is used: several for tied weights."""
    for module in model.modules():
        for attribute, own in module.named_parameters(recurse=False):
            if own is parameter:
                yield module, attribute


def flat(tensor: torch.Tensor) -> torch.Tensor:
    """A tensor's elements in row-major order, as a view that writes through.

    Raises:
        ValueError: if the tensor is not contiguous, which no loaded parameter is.
    """
    if not tensor.is_contiguous():
        raise ValueError("parameter is not contiguous")
    return tensor.detach().view(-1)
