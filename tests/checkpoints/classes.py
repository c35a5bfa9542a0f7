"""Makes ``sftkit/checkpoints/classes.json``: what transformers' model classes call their weights, read off the library.

Every class of the Auto mappings is made on torch's meta device from its default config, which takes a minute or two and
no memory to speak of. ``python -m tests.checkpoints.classes`` writes the file; a slow test compares it.
"""

from __future__ import annotations

import inspect
import json
import re
import warnings
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
import transformers
from transformers import CONFIG_MAPPING, PreTrainedModel
from transformers.conversion_mapping import get_checkpoint_conversion_mapping, get_model_conversion_mapping
from transformers.core_model_loading import revert_weight_conversion
from transformers.models.auto import modeling_auto

from sftkit.checkpoints.classes import CLASSES

#: What some default configs lack.
_MISSING: dict[str, dict[str, Any]] = {
    "esm": {"vocab_size": 33, "pad_token_id": 1},
    "ministral": {"head_dim": 128, "num_key_value_heads": 8},
    **{key: {"head_dim": 128} for key in ("hunyuan_v1_dense", "hunyuan_v1_moe", "hunyuan_vl_text")},
    "nemotron": {"num_key_value_heads": 48, "head_dim": 128},
    "dots1": {"n_routed_experts": 8, "n_shared_experts": 1, "num_experts_per_tok": 2},
    "dbrx": {"attn_config": {"rope_theta": 10000.0}},
    "cohere_compass_text": {"layer_types": ["sliding_attention"] * 40},
    "lfm2_moe": {"layer_types": ["full_attention"] * 32},
    "reformer": {"is_decoder": True},
    "t5gemma": {"is_encoder_decoder": False},
    **{key: {"prediction_length": 2} for key in ("autoformer", "informer", "time_series_transformer")},
    "beit": {"out_indices": [3, 5, 7, 11]},
    **{key: {"vocab_size": 32} for key in ("wav2vec2-bert", "wav2vec2-conformer")},
}
#: Ties that are lists of a model's layers (detection heads) are no names of one class, but of one size.
_MOST_TIES = 12
#: Buffers that some classes store, and miss if a checkpoint of theirs has them not.
_MISSED = re.compile(r"(^|\.)(position_ids|token_type_ids|inv_freq)$")


def pairs() -> Iterator[tuple[str, str]]:
    """Every (model type, class name) of the Auto mappings that can be imported here."""
    seen = dict.fromkeys(
        (model_type, name)
        for mapping in sorted(vars(modeling_auto))
        if mapping.startswith("MODEL") and mapping.endswith("MAPPING_NAMES")
        for model_type, names in getattr(modeling_auto, mapping).items()
        for name in ([names] if isinstance(names, str) else names)
        if name
    )
    yield from sorted(seen)


def declared(name: str) -> Any | None:
    """The class, or None where a library that it needs is not installed."""
    found = getattr(transformers, name, None)
    try:
        return found if isinstance(getattr(found, "base_model_prefix", None), str) else None
    except ImportError:
        return None


def made(model_type: str, model_class: Any) -> Any | None:
    """The model on the meta device with every weight tied that can be, or None if it has no default config."""
    for settings in ({}, _MISSING.get(model_type, {})):
        try:
            config = CONFIG_MAPPING[model_type](**settings)
            config.tie_word_embeddings = True
            with torch.device("meta"):
                return model_class._from_config(config)
        except Exception:  # noqa: PERF203 - whatever a default config of theirs may lack
            continue
    return None


def prefix_of(model_class: Any, model: Any | None) -> str:
    """What precedes a backbone's names in a class: its own word, if a part of that name is a model.

    Of a class that cannot be made here, the source says whether there is such a part.
    """
    prefix = str(model_class.base_model_prefix)
    if model is not None:
        return prefix if prefix and isinstance(getattr(model, prefix, None), PreTrainedModel) else ""
    makers = (vars(each).get("__init__") for each in model_class.__mro__)
    sources = [inspect.getsource(maker) for maker in makers if inspect.isfunction(maker)]
    return prefix if prefix and any(re.search(rf"self\.{re.escape(prefix)}\s*=", source) for source in sources) else ""


def tying(model_type: str) -> bool | str | None:
    """Whether weights are tied where config.json does not say; "always" if it has no say in it."""
    try:
        maker: Any = CONFIG_MAPPING[model_type]
        default: bool | None = getattr(maker(), "tie_word_embeddings", None)
        return "always" if maker(tie_word_embeddings=False).tie_word_embeddings else default
    except Exception:
        return None


def facts(model_type: str, model_class: Any) -> dict[str, Any]:
    """What one class calls its weights."""
    model = made(model_type, model_class)
    found: dict[str, Any] = {"prefix": prefix_of(model_class, model), "ignored": []}
    if model is None:
        mapped = any(get_checkpoint_conversion_mapping(key) for key in (model_class.__name__, model_type))
        return found | {"made": False, "converted": mapped}
    found["made"] = True
    own = list(model.state_dict())  # what a class ignores where it is unexpected may be a weight under another config
    ignored = (str(pattern) for pattern in model._keys_to_ignore_on_load_unexpected or ())
    found["ignored"] = sorted(each for each in ignored if not any(re.search(each, key) for key in own))
    ties = {str(target): str(source) for target, source in sorted(model.all_tied_weights_keys.items())}
    found["ties"] = ties if len(ties) <= _MOST_TIES else {}
    found["converted"] = bool(get_model_conversion_mapping(model, add_legacy=False))
    learned = {name for name, _ in model.named_parameters(remove_duplicate=False)}
    found["buffers"] = [key for key in own if key not in learned and _MISSED.search(key)]
    found["tops"] = sorted({key.split(".")[0] for key in own})
    try:
        modules = {id(module): name for name, module in model.named_modules()}
        output, inputs = modules.get(id(model.get_output_embeddings())), modules.get(id(model.get_input_embeddings()))
    except (AttributeError, NotImplementedError):
        output = inputs = None
    if output and inputs and output != inputs:
        found |= {"output": f"{output}.weight", "input": f"{inputs}.weight"}
        stored = saved_as(model, f"{output}.weight") if found["converted"] else ""
        if stored and stored != f"{output}.weight":
            found["stored_output"] = stored
        found["bare"] = sum(key.startswith(f"{output.split('.')[0]}.") for key in own) == 1
    return found


def saved_as(model: Any, key: str) -> str:
    """The name under which ``save_pretrained`` would store a weight."""
    try:
        state = {name: tensor for name, tensor in model.state_dict().items() if name == key}
        return str(next(iter(revert_weight_conversion(model, state)), ""))
    except Exception:  # whatever a conversion of theirs asks for
        return ""


def table() -> dict[str, Any]:
    """The whole table: by model type what most of its classes have in common, by class what is its own."""
    by_type: dict[str, dict[str, dict[str, Any]]] = defaultdict(dict)
    for model_type, name in pairs():
        model_class = declared(name)
        if model_class is not None:
            by_type[model_type][name] = facts(model_type, model_class)
    types: dict[str, dict[str, Any]] = {}
    classes: dict[str, dict[str, Any]] = {}
    every: dict[str, list[tuple[str, dict[str, Any]]]] = defaultdict(list)
    for model_type, found in sorted(by_type.items()):
        types[model_type] = _type(model_type, found)
        for name, own in sorted(found.items()):
            every[name].append((model_type, own))
    for name, several in every.items():  # a class may be of several types, and only be made from one's config
        for _, own in sorted(several, key=lambda each: each[1]["made"]):
            usual = {types[each]["prefix"] for each, _ in several}
            short = _class(own, usual.pop() if len(usual) == 1 else None)
            if short:
                classes[name] = classes.get(name, {}) | short
    return {"transformers": transformers.__version__, "types": types, "classes": dict(sorted(classes.items()))}


def _type(model_type: str, found: dict[str, dict[str, Any]]) -> dict[str, Any]:
    heads = {name: own for name, own in found.items() if re.search(r"For[A-Z]|LMHead", name)} or found
    counted = Counter(own["prefix"] for own in heads.values() if own["prefix"]) or Counter([""])
    prefix = max(sorted(counted), key=lambda each: counted[each])
    base = str(modeling_auto.MODEL_MAPPING_NAMES.get(model_type) or "")
    roots = set(found.get(base, {}).get("tops", ()))
    tops = {top for own in found.values() for top in own.get("tops", ())}
    others = {own["prefix"] for own in found.values()}
    result: dict[str, Any] = {"prefix": prefix, "tied": tying(model_type)}
    if others - {"", prefix}:
        result["others"] = sorted(others - {"", prefix})
    if roots:
        result["heads"] = sorted(tops - roots - others - {""})
        if not any(own.get("converted") for own in found.values()):
            result["parts"] = sorted(roots)
    if found.get(base, {}).get("buffers"):
        result["buffers"] = found[base]["buffers"]
    if found.get(base, {}).get("ignored") or found.get(base, {}).get("ties"):
        result["base"] = base
    for key, mapping in (("masked", "MASKED_LM"), ("causal", "CAUSAL_LM"), ("seq2seq", "SEQ_TO_SEQ_CAUSAL_LM")):
        name = getattr(modeling_auto, f"MODEL_FOR_{mapping}_MAPPING_NAMES").get(model_type)
        if isinstance(name, str):
            result[key] = name
    if any(own.get("converted") for own in found.values()):
        result["converted"] = True
    return result


def _class(own: dict[str, Any], prefix: str | None) -> dict[str, Any]:
    short: dict[str, Any] = {} if own["prefix"] == prefix else {"prefix": own["prefix"]}
    return short | {
        key: own[key] for key in ("ties", "ignored", "output", "stored_output", "input", "bare") if own.get(key)
    }


def text() -> str:
    """The file."""
    transformers.logging.set_verbosity_error()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        made_table = table()
    lines = []
    for section in ("types", "classes"):
        rows = (f"{json.dumps(key)}: {json.dumps(value)}" for key, value in made_table[section].items())
        lines.append(f'"{section}": {{\n' + ",\n".join(rows) + "\n}")
    return f'{{"transformers": "{made_table["transformers"]}",\n' + ",\n".join(lines) + "}\n"


if __name__ == "__main__":
    Path(CLASSES).write_text(text(), encoding="utf-8")
