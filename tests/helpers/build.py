"""SFTs made by hand on any base: what training would write, from a seed, without training.

Imports numpy and sftkit.format only.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from sftkit.checkpoints.checkpoint import Checkpoint
from sftkit.checkpoints.fingerprint import fingerprint
from sftkit.checkpoints.names import is_pooler, model_prefix
from sftkit.composing.layout import BaseView
from sftkit.format.difference import density
from sftkit.format.metadata import Base, Metadata, Untied
from sftkit.format.sft import CsrDifference, to_csr
from sftkit.format.writing import write
from sftkit.storage.dtypes import BFLOAT16

LABELS = ("ADJ", "NOUN", "VERB")


def make_sft(
    base: Path,
    *,
    objective: str = "mlm",
    seed: int = 0,
    k: int = 200,
    scale: float = 0.01,
    head: bool = True,
    **changes: Any,
) -> CsrDifference:
    """K random entries over the whole backbone, and the head that training with this objective would leave."""
    checkpoint = Checkpoint(base)
    generator = np.random.default_rng(seed)
    parameters = {name: spec for name, spec in checkpoint.parameters.items() if not is_pooler(name)}
    ends = np.cumsum([spec.size for spec in parameters.values()])
    chosen = np.sort(generator.choice(int(ends[-1]), k, replace=False))
    csr, start = {}, 0
    for (name, spec), end in zip(parameters.items(), ends, strict=True):
        own = chosen[(chosen >= start) & (chosen < end)] - start
        if len(own):
            values = (generator.standard_normal(len(own)) * scale).astype(np.float32)
            csr[name] = to_csr(own.astype(np.int64), values, spec, name)
        start = int(end)
    view = BaseView.of(checkpoint)
    tensors, fields = _language(view, generator) if objective in ("mlm", "clm") else _task(view, objective, generator)
    metadata = Metadata(
        parameters=parameters, k=k, density=density(k, parameters.values()),
        base=Base(str(base), checkpoint.model_type, None, fingerprint(checkpoint), {
            dtype.name: fingerprint(checkpoint, dtype) for dtype in (BFLOAT16, np.dtype(np.float16))
        }),
        objective=objective, method="lottery", **(fields | changes),
    )  # fmt: skip
    return CsrDifference(csr, metadata, tensors if head else {})


def save_sft(path: Path, base: Path, *, values: str = "f32", **options: Any) -> Path:
    """:func:`make_sft`, written to a file."""
    return write(path, make_sft(base, **options), values=values)


def _language(view: BaseView, generator: np.random.Generator) -> tuple[dict[str, Any], dict[str, Any]]:
    known, checkpoint = view.known, view.checkpoint
    assert known is not None
    hidden = checkpoint.parameters[known.input].shape
    tensors = {
        key: (checkpoint.read(key) + generator.standard_normal(checkpoint.spec(key).shape) * 0.01).astype(np.float32)
        for key in view.heads
        if key.startswith(known.parts) and key != known.output
    }
    if not tensors and not known.bare:
        tensors = _fresh_lm_head(checkpoint.model_type, hidden, generator)
    if known.twins and known.twins[0] in tensors:
        tensors[known.twins[1]] = tensors[known.twins[0]]
    return tensors, {"head": known.architecture, "tied_embeddings": Untied(known.input, known.output)}


def _fresh_lm_head(model_type: str, shape: tuple[int, ...], generator: np.random.Generator) -> dict[str, Any]:
    rows, columns = shape
    dense, norm = {
        "bert": ("cls.predictions.transform.dense", "cls.predictions.transform.LayerNorm"),
        "deberta-v2": ("cls.predictions.transform.dense", "cls.predictions.transform.LayerNorm"),
        "xlm-roberta": ("lm_head.dense", "lm_head.layer_norm"),
        "distilbert": ("vocab_transform", "vocab_layer_norm"),
        "electra": ("generator_predictions.dense", "generator_predictions.LayerNorm"),
        "modernbert": ("head.dense", "head.norm"),
    }[model_type]
    bias = {
        "bert": "cls.predictions.bias", "deberta-v2": "cls.predictions.bias", "xlm-roberta": "lm_head.bias",
        "distilbert": "vocab_projector.bias", "electra": "generator_lm_head.bias", "modernbert": "decoder.bias",
    }[model_type]  # fmt: skip
    made = {f"{dense}.weight": (columns, columns), f"{norm}.weight": (columns,), bias: (rows,)}
    if model_type != "modernbert":
        made |= {f"{dense}.bias": (columns,), f"{norm}.bias": (columns,)}
    return {name: generator.standard_normal(size).astype(np.float32) for name, size in made.items()}


def _task(view: BaseView, objective: str, generator: np.random.Generator) -> tuple[dict[str, Any], dict[str, Any]]:
    known, model_type = view.known, view.checkpoint.model_type
    assert known is not None
    hidden = view.checkpoint.parameters[known.input].shape[1]
    labels = LABELS
    shapes: dict[str, tuple[int, ...]] = {"classifier.weight": (len(labels), hidden), "classifier.bias": (len(labels),)}
    if objective in ("nli", "classify") and model_type == "bert":
        prefix = model_prefix(model_type)
        shapes |= {f"{prefix}.pooler.dense.weight": (hidden, hidden), f"{prefix}.pooler.dense.bias": (hidden,)}
    if model_type == "modernbert":
        shapes |= {"head.dense.weight": (hidden, hidden), "head.norm.weight": (hidden,)}
    if model_type == "llama":
        shapes = {"score.weight": shapes["classifier.weight"], "score.bias": shapes["classifier.bias"]}
    suffix = "ForTokenClassification" if objective in ("pos", "ner") else "ForSequenceClassification"
    tensors = {name: generator.standard_normal(shape).astype(np.float32) for name, shape in shapes.items()}
    return tensors, {"head": f"{view.family}{suffix}", "labels": labels}
