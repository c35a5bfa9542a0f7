"""Bases and tokenizers from a directory or the hub, loaded by transformers without its chatter.

Covers the architectures that sftkit's objectives ask for through transformers' Auto classes. A model that comes with
Python code of its own is loaded only where ``trust_remote_code`` says so.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import transformers
from transformers import (
    MODEL_FOR_CAUSAL_LM_MAPPING,
    MODEL_FOR_MASKED_LM_MAPPING,
    AutoModelForCausalLM,
    AutoModelForMaskedLM,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from sftkit.checkpoints.checkpoint import Checkpoint
from sftkit.checkpoints.classes import is_causal, type_facts
from sftkit.checkpoints.names import model_prefix
from sftkit.errors import CheckpointError, SettingsError
from sftkit.modeling.prefix_space import put_space_before_words
from sftkit.pretrained.bounds import bounded
from sftkit.pretrained.loading import pretrained_config, pretrained_model, pretrained_tokenizer


@dataclass(frozen=True)
class Loaded:
    """A model, and the names of the head's tensors that the checkpoint lacks: they are fresh, not trained."""

    model: PreTrainedModel
    fresh: frozenset[str]


def load_model(
    path: Path,
    auto_class: Any,
    *,
    seed: int = 0,
    dtype: torch.dtype = torch.float32,
    trust_remote_code: bool = False,
    **config: Any,
) -> Loaded:
    """Load a base under a head; a head that the checkpoint lacks is initialised from ``seed``.

    Args:
        path: a model directory.
        auto_class: transformers' Auto class of the wanted head.
        seed: of the head's initialisation.
        dtype: of every parameter, whatever the checkpoint's.
        trust_remote_code: run the Python code that comes with the model.
        config: changes to the config, such as ``num_labels``.

    Raises:
        CheckpointError: if transformers cannot load it, the checkpoint lacks part of the backbone, or an encoder is
            asked for as a causal model, or the reverse.
    """
    torch.manual_seed(seed)
    known = pretrained_config(path, trust_remote_code=trust_remote_code)
    _check_direction(auto_class, known, path)
    checkpoint = Checkpoint(path)
    with bounded(checkpoint):
        model, info = pretrained_model(
            path,
            auto_class,
            f"it as {_kind(auto_class)}",
            trust_remote_code=trust_remote_code,
            dtype=dtype,
            output_loading_info=True,
            ignore_mismatched_sizes=True,
            key_mapping=_renamed(checkpoint, known, auto_class),
            **config,
        )
    _check_numbers(model, path)
    _check_backbone(model, info, path)
    _own_storage(model)
    model.config.return_dict = True  # outputs with names, whatever the base was saved for
    fresh = {*info["missing_keys"], *(str(key[0]) for key in info["mismatched_keys"])}
    return Loaded(model, frozenset(fresh))


def _check_numbers(model: PreTrainedModel, path: Path) -> None:
    """Some versions leave what classes of other people's code tie without numbers."""
    empty = [name for name, parameter in model.named_parameters() if parameter.is_meta]
    if empty:
        raise CheckpointError(
            f"{path}: transformers {transformers.__version__} leaves {len(empty)} of the weights, {empty[0]} first, "
            "without numbers while loading. A newer version may load it."
        )


def check_output_matrix(loaded: Loaded, path: Path) -> None:
    """Refuse to learn language under an output matrix that is fresh, and would stay as it is.

    Raises:
        CheckpointError: if the checkpoint has no output matrix, and its config does not tie it to the input embedding.
    """
    try:
        output = getattr(loaded.model.get_output_embeddings(), "weight", None)
    except (AttributeError, NotImplementedError):
        return
    fresh = (name for name, each in loaded.model.named_parameters() if each is output and name in loaded.fresh)
    for name in fresh:
        raise CheckpointError(
            f"{path}: the weights have no output matrix ({name}), and config.json does not tie it to the input "
            "embedding, so it would be random. Name a checkpoint that has it."
        )


def load_tokenizer(path: Path, *, words: bool = False, trust_remote_code: bool = False) -> PreTrainedTokenizerBase:
    """The base's tokenizer.

    Args:
        path: a model directory.
        words: it will be given single words, and must turn them into the pieces that they are in running text.
        trust_remote_code: run the Python code that comes with the tokenizer.

    Raises:
        CheckpointError: if there is none, or only a slow one, which cannot map pieces back to words.
    """
    tokenizer = pretrained_tokenizer(path, trust_remote_code=trust_remote_code)
    if not tokenizer.is_fast:
        raise CheckpointError(f"{path}: its tokenizer is a slow one; sftkit needs a tokenizer.json beside the model.")
    if len(tokenizer) <= len(set(tokenizer.all_special_ids)):  # what transformers makes of a folder without its files
        raise CheckpointError(
            f"{path}: holds no tokenizer. Copy tokenizer.json and tokenizer_config.json beside the model."
        )
    if words:
        put_space_before_words(tokenizer)
    return tokenizer


def fit_tokenizer(tokenizer: PreTrainedTokenizerBase, model: PreTrainedModel, path: Path) -> None:
    """Make a tokenizer give what the model takes, and both agree on what padding is.

    Batches are padded on the right. A causal classifier is padded with what its config names, as one that is composed;
    most causal models come without a padding token: they get the end-of-text token.
    Token types are only given to models that tell two of them apart, whatever class the tokenizer is of.

    Raises:
        CheckpointError: if the tokenizer has tokens for which the model has no embedding; with both sizes.
    """
    table: torch.Tensor = model.get_input_embeddings().weight  # type: ignore[assignment]  # a module's attribute
    rows = table.shape[0]
    if max(tokenizer.get_vocab().values()) >= rows:
        raise CheckpointError(
            f"{path}: its tokenizer has {len(tokenizer):,} tokens and its embedding {rows:,} rows. "
            "They belong to different models."
        )
    tokenizer.padding_side = "right"
    if (getattr(model.config, "type_vocab_size", None) or 0) < 2:
        tokenizer.model_input_names = [name for name in tokenizer.model_input_names if name != "token_type_ids"]
    part = getattr(model.config, "text_config", None) or model.config
    named = getattr(part, "pad_token_id", None)
    ends = "ForSequenceClassification" in type(model).__name__ and is_causal(part.model_type)
    if ends and isinstance(named, int) and 0 <= named < len(tokenizer):
        tokenizer.pad_token = tokenizer.convert_ids_to_tokens(named)
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token or tokenizer.unk_token or tokenizer.convert_ids_to_tokens(0)
    # causal classifiers look for the last token before padding
    model.config.pad_token_id = part.pad_token_id = tokenizer.pad_token_id


def device_of(name: str) -> str:
    """The device that "auto", "cpu", "cuda" or "mps" means here.

    Raises:
        SettingsError: if there is no such device.
    """
    there = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if name == "auto":
        return next(device for device in ("cuda", "mps", "cpu") if there[device])
    if not there.get(name, False):
        raise SettingsError(f"--device {name}: torch finds no such device here. Leave --device out, or say cpu.")
    return name


def check_checkpointing(path: Path, auto_class: Any, *, trust_remote_code: bool = False) -> None:
    """See that a base under a head can compute activations again, from its config alone.

    Raises:
        SettingsError: if transformers has no gradient checkpointing for it.
    """
    try:
        config = pretrained_config(path, trust_remote_code=trust_remote_code)
        found = auto_class._model_mapping[type(config)]
    except (CheckpointError, KeyError):
        return  # told where the model is loaded
    made = found[0] if isinstance(found, tuple) else found
    if not made.supports_gradient_checkpointing:
        raise SettingsError(
            f"--gradient-checkpointing: transformers has none for {path} ({made.__name__}). Leave it out; "
            "a smaller --batch-size with --accumulate saves memory, too."
        )


def _check_direction(auto_class: Any, config: Any, path: Path) -> None:
    """Refuse encoders as causal models, which transformers takes, and lets see what they predict; and the reverse."""
    masked, decoder = type(config) in MODEL_FOR_MASKED_LM_MAPPING, getattr(config, "is_decoder", False)
    if auto_class is AutoModelForCausalLM and masked and not decoder:
        raise CheckpointError(
            f"{path}: a {config.model_type} reads in both directions, so causal language modelling is not for it. "
            "Use --mlm."
        )
    if auto_class is AutoModelForMaskedLM and not masked and type(config) in MODEL_FOR_CAUSAL_LM_MAPPING:
        raise CheckpointError(
            f"{path}: a {config.model_type} reads from left to right, so masked language modelling is not for it. "
            "Use --clm."
        )
    if type(config) not in getattr(auto_class, "_model_mapping", (type(config),)) and not hasattr(config, "auto_map"):
        raise CheckpointError(
            f"{path}: transformers cannot load it as {_kind(auto_class)} (there is none of its type)."
        )


def _own_storage(model: PreTrainedModel) -> None:
    """Give every parameter memory of its own.

    Where transformers splits a fused matrix while it loads, parameters are views of one storage: what is written into
    one changes the others' version counters, which autograd takes for a change of theirs.
    """
    shared = Counter(parameter.untyped_storage().data_ptr() for parameter in model.parameters())
    for parameter in model.parameters():
        if shared[parameter.untyped_storage().data_ptr()] > 1 or not parameter.is_contiguous():
            parameter.data = parameter.data.clone(memory_format=torch.contiguous_format)


def _check_backbone(model: PreTrainedModel, info: dict[str, Any], path: Path) -> None:
    prefix = f"{model.base_model_prefix}."
    wrong = [str(key[0]) for key in info["mismatched_keys"] if str(key[0]).startswith(prefix)]
    lost = [key for key in info["missing_keys"] if key.startswith(prefix) and not key.startswith(f"{prefix}pooler.")]
    if wrong:
        raise CheckpointError(f"{path}: {wrong[0]} has another shape in the weights than config.json asks for.")
    if lost:
        raise CheckpointError(f"{path}: the weights lack {len(lost)} of the backbone's parameters, such as {lost[0]}.")


def _renamed(checkpoint: Checkpoint, config: Any, auto_class: Any) -> dict[str, str] | None:
    """How names begin in the checkpoint and in the model: without wrappers, and with the prefix of the head's class."""
    mapping: Any = getattr(auto_class, "_model_mapping", ())
    if type(config) not in mapping or not type_facts(config.model_type):  # a class that comes with the model
        return dict(checkpoint.wrappers) or None
    names = dict(checkpoint.wrappers)
    found = mapping[type(config)]
    name = str((found[0] if isinstance(found, tuple) else found).__name__)
    stored, wanted = model_prefix(config.model_type), model_prefix(config.model_type, name)
    if stored != wanted and stored and wanted:
        names[rf"^{re.escape(stored)}\."] = f"{wanted}."
    return names or None


def _kind(auto_class: Any) -> str:
    name = str(getattr(auto_class, "__name__", auto_class)).removeprefix("AutoModelFor").removeprefix("AutoModel")
    return "a model for " + re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name).lower() if name else "a model"
