"""The table of transformers' classes is that of the transformers that is installed."""

from __future__ import annotations

import pytest
from transformers.models.auto import modeling_auto

from sftkit.format.classes import CLASSES
from sftkit.format.names import model_prefix
from tests.format.classes import declared, pairs, text


@pytest.mark.slow
def test_the_table_of_classes_is_what_transformers_says() -> None:
    assert CLASSES.read_text(encoding="utf-8") == text()


@pytest.mark.slow
def test_every_head_class_that_transformers_has_gets_its_prefix() -> None:
    wrong = []
    for model_type, name in pairs():
        model_class = declared(name)
        if model_class is None or "For" not in name:
            continue
        found = model_prefix(model_type, name)
        if found and found != model_class.base_model_prefix:
            wrong.append((name, found, model_class.base_model_prefix))
    assert wrong == []


@pytest.mark.parametrize(
    ("model_type", "name", "prefix"),
    [
        ("t5", "T5ForSequenceClassification", "transformer"),
        ("t5", "T5ForConditionalGeneration", ""),
        ("llama", "LlamaForQuestionAnswering", "transformer"),
        ("llama", "LlamaForTokenClassification", "model"),
        ("led", "LEDForSequenceClassification", "led"),
        ("splinter", "SplinterForQuestionAnswering", "splinter"),
        ("bros", "BrosForTokenClassification", "bros"),
        ("vit", "ViTForImageClassification", "vit"),
        ("wav2vec2", "Wav2Vec2ForCTC", "wav2vec2"),
        ("esm", "EsmForTokenClassification", "esm"),
        ("bert", "BertForSomethingNew", "bert"),
    ],
)
def test_prefixes_are_those_of_the_class(model_type: str, name: str, prefix: str) -> None:
    assert model_prefix(model_type, name) == prefix
    assert modeling_auto.MODEL_MAPPING_NAMES[model_type]
