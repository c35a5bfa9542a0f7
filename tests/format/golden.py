"""The SFT whose file is pinned byte by byte: small, with every gap feature, and with nothing left at its default."""

from __future__ import annotations

import numpy as np

from sftkit.format.metadata import Base, Metadata, ParameterSpec, Untied
from sftkit.format.sft import CsrDifference, to_csr

EMBEDDING, BIAS = "embeddings.word_embeddings.weight", "encoder.layer.0.output.dense.bias"
QUERY = "encoder.layer.0.attention.self.query.weight"

POSITIONS = {
    BIAS: [2],
    EMBEDDING: [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 300],  # small gaps and one of 291, which one byte bridges
    QUERY: [3, 299, 799],  # wide gaps: two bytes each
}
SHAPES = {BIAS: (4,), EMBEDDING: (31, 10), QUERY: (40, 20)}


def golden() -> CsrDifference:
    """The SFT."""
    specs = {name: ParameterSpec(shape, "float32") for name, shape in SHAPES.items()}
    csr = {}
    for name, positions in POSITIONS.items():
        values = np.array([(-1) ** at * (at + 1) / 8 for at in range(len(positions))], np.float32)
        csr[name] = to_csr(np.array(positions, np.int64), values, specs[name], name)
    metadata = Metadata(
        parameters=specs,
        k=15,
        density=15 / 1114,
        base=Base("tiny", "bert", "main", "0123456789abcdef" * 2, {"bfloat16": "fedcba9876543210" * 2}),
        objective="pos",
        method="lottery",
        labels=("NOUN", "VERB"),
        head="BertForTokenClassification",
        tied_embeddings=Untied(EMBEDDING, "cls.predictions.decoder.weight"),
        trained_with=("00112233445566778899aabbccddeeff",),
        training={"seed": 1, "learning_rate": 5e-05},
        parents=({"name": "en.sft", "weight": 0.5, "digest": "ffeeddccbbaa99887766554433221100"},),
    )
    return CsrDifference(csr, metadata, {"classifier.bias": np.array([0.5, -0.5], np.float32)})
