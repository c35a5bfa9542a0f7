"""The table of transformers' classes is that of the transformers that is installed."""

from __future__ import annotations

import pytest
from transformers.models.auto import modeling_auto

from sftkit.checkpoints.classes import CLASSES
from sftkit.checkpoints.names import model_prefix
from tests.checkpoints.classes import declared, made, pairs, prefix_of, text

#: Families of text, of which the table holds what was seen of a model that was made, and not what a source says.
_TEXT = (
    "Albert", "Bert", "Roberta", "XLMRoberta", "DistilBert", "Electra", "Deberta", "ModernBert", "Nomic", "Esm",
    "T5For", "MT5", "Bart", "MBart", "LED", "GPT", "LlamaFor", "Mistral", "Ministral", "Mixtral", "Qwen2For",
    "Qwen3For", "GemmaFor", "Gemma2", "Gemma3For", "Phi", "Opt", "Falcon", "Bloom", "Nemotron", "Olmo", "Dots1",
    "HunYuanDense",
)  # fmt: skip


@pytest.mark.slow
def test_the_table_of_classes_is_what_transformers_says() -> None:
    assert CLASSES.read_text(encoding="utf-8") == text()


@pytest.mark.slow
@pytest.mark.long
def test_every_class_that_transformers_has_gets_its_prefix() -> None:
    wrong, unmade = [], set()
    for model_type, name in pairs():
        model_class = declared(name)
        if model_class is None:
            continue
        model = made(model_type, model_class)
        unmade |= {name} if model is None else set()
        found, wanted = model_prefix(model_type, name), prefix_of(model_class, model)
        if found != wanted:
            wrong.append((model_type, name, found, wanted))
    assert wrong == []
    assert {name for name in unmade if name.startswith(_TEXT) and "Vision" not in name} == set()


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
