"""Right inputs of every reader, from which wrong ones are made."""

from __future__ import annotations

import json
import random
from typing import Any

import numpy as np

from tests.conftest import treebank_text
from tests.format.raw import document, file_bytes, tensors
from tests.fuzz.mutations import bytes_of, json_of

_TRAINING = {
    "steps": {"phase1": 2, "phase2": 2}, "best": {"step": 2, "metric": "loss", "value": 1.5}, "lr": 5e-5,
    "start": {"metric": "loss", "value": 3.5}, "history": {"phase1": [[1, 2.5]], "phase2": [[1, 2.5], [2, 1.5]]},
    "losses": {"phase1": [[1, 2.5]]}, "data": [{"name": "x.txt", "xxh3_128": "0" * 32}], "seed": 42,
    "sources": [{"name": "wo", "data": {"name": "x"}, "sft": {"name": "y", "xxh3_128": "1" * 32}}],
}  # fmt: skip
_DOCUMENT = document(
    labels=["A", "B"], head="BertForTokenClassification", objective="pos", training=_TRAINING, density=0.1,
    trained_with=["1" * 32], parents=[{"name": "a.sft", "weight": 1.0, "digest": "0" * 32}],
    tied_embeddings={"input": "embeddings.word_embeddings.weight", "output": "cls.predictions.decoder.weight"},
)  # fmt: skip
_ARRAYS = tensors() | {"head/classifier.weight": np.ones((2, 4), np.float32), "head/classifier.bias": np.ones(2)}
SFT = file_bytes(_ARRAYS, _DOCUMENT)
SAFETENSORS = file_bytes(_ARRAYS, "{}")

_ROWS, _SQUARE = np.ones((6, 4), np.float32), np.ones((4, 4), np.float32)
_BERT: dict[str, np.ndarray[Any, Any]] = {
    "bert.embeddings.word_embeddings.weight": _ROWS, "bert.encoder.layer.0.attention.self.query.weight": _SQUARE,
    "bert.embeddings.position_ids": np.zeros((1, 4), np.int64), "cls.predictions.decoder.weight": _ROWS,
    "cls.predictions.bias": _ROWS[:, 0].copy(), "cls.predictions.transform.dense.weight": _SQUARE,
}  # fmt: skip
_LLAMA = {
    "model.embed_tokens.weight": _ROWS, "model.layers.0.self_attn.q_proj.weight": _SQUARE, "lm_head.weight": _ROWS + 1,
}  # fmt: skip
_COMMON = {"vocab_size": 6, "hidden_size": 4, "num_hidden_layers": 1, "torch_dtype": "float32", "dtype": "float32"}
#: A config for each model, and the one file of weights that stands beside it.
CONFIGS: tuple[tuple[dict[str, Any], dict[str, Any]], ...] = (
    ({"model_type": "bert", "architectures": ["BertForMaskedLM"], "id2label": {"0": "A"}, "label2id": {"A": 0},
      "tie_word_embeddings": True, "problem_type": "regression", **_COMMON}, _BERT),
    ({"model_type": "llama", "architectures": ["LlamaForCausalLM"], "tie_word_embeddings": False,
      "pad_token_id": 0, **_COMMON}, _LLAMA),
    ({"model_type": "gemma3", "architectures": ["Gemma3ForCausalLM"], "text_config": {"tie_word_embeddings": False},
      **_COMMON}, _LLAMA),
)  # fmt: skip
WEIGHTS = tuple(file_bytes(arrays, strings={"format": "pt"}) for _, arrays in CONFIGS)
SHARDS = ("model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors")
_SHARD_OF = {name: SHARDS[at % 2] for at, name in enumerate(_BERT)}
INDEX = {"metadata": {"total_size": 416}, "weight_map": _SHARD_OF}
SHARD_BYTES = tuple(
    file_bytes({name: _BERT[name] for name, at in _SHARD_OF.items() if at == shard}, strings={"format": "pt"})
    for shard in SHARDS
)
RECORD = {
    "sftkit": "0.1.0", "base": {"name": "b", "fingerprint": "0" * 32}, "method": {"name": "sum"},
    "sfts": [{"name": "a.sft", "weight": 1.0, "digest": "1" * 32, "objective": "mlm", "k": 2}],
    "fingerprint": "2" * 32, "carried": ["tokenizer.json"],
}  # fmt: skip

_SQUAD = (
    '{"version": "1.1", "data": [{"title": "t", "paragraphs": [{"context": "ta mi lo", "qas": [{"id": "1", '
    '"question": "mi?", "answers": [{"text": "mi", "answer_start": 3}]}, {"id": "2", "question": "lo?", '
    '"answers": [{"text": "lo", "answer_start": 6}]}]}]}]}'
)
_PAIRS = '{"premise": "a", "hypothesis": "b", "label": 1}\n{"premise": "c", "hypothesis": "d", "label": 0}\n'
#: Files of labelled data and of plain text, by the objective that reads them and their ending.
DATA = {
    "mlm.txt": "ta mi lo\nka su ra\n" * 4,
    "pos.conllu": treebank_text(3),
    "dep.conllu": treebank_text(3),
    "ner.txt": "ta B-PER\nmi I-PER\nlo O\n\nka O\nsu B-LOC\n\n",
    "nli.tsv": "premise\thypothesis\tlabel\nta\tmi\tx\nlo\tka\ty\n",
    "nli.jsonl": _PAIRS,
    "classify.jsonl": '{"text": "ta mi", "label": "x"}\n{"text": "lo", "label": "y"}\n',
    "classify.csv": 'text,label\n"ta, mi",x\nlo,y\n',
    "qa.json": _SQUAD,
}
TOML = 'k = 20\nsteps = 2\nlr = 5e-5\ndensity = [0.1, 0.2]\nfreeze = ["^x"]\nquiet = true\nprecision = "f32"\n'


def sft_of(data: bytes, draw: random.Random) -> bytes:
    """Another ``.sft`` file: its bytes changed, or, where they can be read, its document."""
    return _inside(data, draw, "sft") if draw.random() < 0.5 else bytes_of(data, draw)


def safetensors_of(data: bytes, draw: random.Random) -> bytes:
    """Another safetensors file: its bytes changed, or, where it can be read, its header."""
    return _inside(data, draw) if draw.random() < 0.5 else bytes_of(data, draw)


def text_of(data: bytes, draw: random.Random) -> bytes:
    """Another JSON document: its bytes changed, or, where it can be read, its values."""
    document = _read(data)
    return json_of(document, draw) if document is not None and draw.random() < 0.85 else bytes_of(data, draw)


def _inside(data: bytes, draw: random.Random, key: str = "") -> bytes:
    """Change a header, or the document that it holds under a key of its metadata; the lengths stay right."""
    end = 8 + int.from_bytes(data[:8], "little")
    header = _read(data[8:end])
    if not isinstance(header, dict):
        return bytes_of(data, draw)
    if key:
        strings = header.get("__metadata__")
        document = _read(str(strings.get(key)).encode(errors="replace")) if isinstance(strings, dict) else None
        if not isinstance(strings, dict) or document is None:
            return bytes_of(data, draw)
        strings[key] = json_of(document, draw).decode("utf-8", "surrogatepass")
        text = json.dumps(header).encode()
    else:
        text = json_of(header, draw)
    return len(text).to_bytes(8, "little") + text + data[end:]


def _read(data: bytes) -> Any:
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        return None
