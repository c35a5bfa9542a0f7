"""What stands in a line after its masks are filled."""

from __future__ import annotations

from pathlib import Path

import pytest
from tokenizers import decoders

from sftkit.modeling.load import load_tokenizer
from sftkit.prediction.masks import _filled
from tests.helpers import pico
from tests.modeling.test_prefix_space import save


@pytest.mark.parametrize(
    ("kind", "piece", "line"),
    [
        ("BERT", "mi", "ta mi lo"),
        ("BERT", "##mi", "tami lo"),
        ("XLM-R, T5", "▁mi", "ta mi lo"),
        ("XLM-R, T5", "mi", "tami lo"),
        ("ModernBERT", "Ġmi", "ta mi lo"),
        ("ModernBERT", "mi", "tami lo"),
    ],
)
def test_a_piece_that_goes_on_with_a_word_stands_at_it(kind: str, piece: str, line: str, tmp_path: Path) -> None:
    if kind == "BERT":
        pico.make_tokenizer().save_pretrained(tmp_path)
    else:
        save(kind, tmp_path)
    tokenizer = load_tokenizer(tmp_path)
    if kind != "BERT":
        tokenizer.backend_tokenizer.decoder = decoders.ByteLevel() if kind == "ModernBERT" else decoders.Metaspace()
    assert _filled(f"ta {tokenizer.mask_token} lo", str(tokenizer.mask_token), [piece], tokenizer) == line
