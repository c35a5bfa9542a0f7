"""The format's literal bytes. If one of these tests fails, files that people have no longer mean what they meant.

``tests/golden/tiny.sft`` is the file of ``tests/format/golden.py``; it is never written anew to make a test pass.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from sftkit.format.files import SftFile, read
from sftkit.format.writing import digest_of, file_digest, write
from tests.format.golden import BIAS, EMBEDDING, POSITIONS, QUERY, golden

FILE = Path(__file__).parent.parent / "golden" / "tiny.sft"
DIGEST = "dc4429c24610f8a304d5545c5123f553"

DOCUMENT = (
    '{"parameters":{"embeddings.word_embeddings.weight":{"shape":[31,10],"dtype":"float32"},'
    '"encoder.layer.0.attention.self.query.weight":{"shape":[40,20],"dtype":"float32"},'
    '"encoder.layer.0.output.dense.bias":{"shape":[4],"dtype":"float32"}},'
    '"k":15,"density":0.013464991023339317,'
    '"base":{"name":"tiny","model_type":"bert","revision":"main","fingerprint":"0123456789abcdef0123456789abcdef",'
    '"rounded":{"bfloat16":"fedcba9876543210fedcba9876543210"}},'
    '"objective":"pos","method":"lottery","labels":["NOUN","VERB"],"head":"BertForTokenClassification",'
    '"tied_embeddings":{"input":"embeddings.word_embeddings.weight","output":"cls.predictions.decoder.weight"},'
    '"trained_with":["00112233445566778899aabbccddeeff"],"training":{"seed":1,"learning_rate":5e-05},'
    '"parents":[{"name":"en.sft","weight":0.5,"digest":"ffeeddccbbaa99887766554433221100"}]}'
)
TENSORS = (
    '"diff/embeddings.word_embeddings.weight/values":{"dtype":"F32","shape":[12],"data_offsets":[0,48]},'
    '"diff/encoder.layer.0.attention.self.query.weight/values":{"dtype":"F32","shape":[3],"data_offsets":[48,60]},'
    '"diff/encoder.layer.0.output.dense.bias/values":{"dtype":"F32","shape":[1],"data_offsets":[60,64]},'
    '"head/classifier.bias":{"dtype":"F32","shape":[2],"data_offsets":[64,72]},'
    '"diff/encoder.layer.0.attention.self.query.weight/gaps":{"dtype":"U16","shape":[3],"data_offsets":[72,78]},'
    '"diff/embeddings.word_embeddings.weight/gaps":{"dtype":"U8","shape":[12],"data_offsets":[78,90]},'
    '"diff/encoder.layer.0.output.dense.bias/gaps":{"dtype":"U8","shape":[1],"data_offsets":[90,91]}'
)
DATA = bytes.fromhex(
    "0000003e 000080be 0000c03e 000000bf 0000203f 000040bf"  # embeddings: 0.125, -0.25, 0.375, ...
    "0000603f 000080bf 0000903f 0000a0bf 00000000 0000b03f"  # ... the eleventh is the bridge's 0
    "0000003e 000080be 0000c03e"  # query
    "0000003e"  # bias
    "0000003f 000000bf"  # head: 0.5, -0.5
    "0400 2801 f401"  # query's gaps: 4, 296, 500
    "01 01 01 01 01 01 01 01 01 01 ff 24"  # embeddings' gaps: ten of 1, then 291 = 255 + 36
    "03"  # bias' gap
)


def literal() -> bytes:
    quoted = DOCUMENT.replace('"', '\\"')
    header = '{"__metadata__":{"format":"sft","format_version":"1","sft":"' + quoted + '"},' + TENSORS + "}"
    text = header.encode() + b" " * (-len(header) % 8)
    return len(text).to_bytes(8, "little") + text + DATA


def test_the_golden_file_holds_the_literal_bytes() -> None:
    assert FILE.read_bytes() == literal()


def test_writing_the_golden_sft_gives_the_golden_file(tmp_path: Path) -> None:
    assert write(tmp_path / "x.sft", golden()).read_bytes() == FILE.read_bytes()


def test_the_digest_of_the_golden_sft_is_pinned_in_memory_and_on_disk() -> None:
    assert file_digest(FILE) == DIGEST
    assert SftFile(FILE).digest == DIGEST
    assert digest_of(golden()) == DIGEST


def test_reading_the_golden_file_gives_the_golden_sft() -> None:
    sft, expected = read(FILE), golden()
    assert sft.metadata == expected.metadata
    assert sft.names == tuple(sorted(POSITIONS))
    for name in (BIAS, EMBEDDING, QUERY):
        assert (sft.parameters[name] != expected.parameters[name]).nnz == 0
        assert sft.entries(name)[0].tolist() == POSITIONS[name]
    assert sft.head["classifier.bias"].tolist() == [0.5, -0.5]
    assert sft.parameters[EMBEDDING].dtype == np.float32
