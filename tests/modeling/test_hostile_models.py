"""A model directory from a stranger: what it claims costs neither time nor memory, and what is wrong is one line."""

from __future__ import annotations

import json
import os
import resource
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import transformers
from transformers import AutoModelForCausalLM, AutoModelForMaskedLM, AutoModelForTokenClassification, BertConfig

from sftkit.errors import CheckpointError
from sftkit.modeling.load import load_model, load_tokenizer
from tests.fuzz.models import Bench
from tests.fuzz.trial import Tally
from tests.helpers import pico


@pytest.fixture
def base(pico_base: Path, tmp_path: Path) -> Path:
    """A pico BERT that may be written into."""
    return shutil.copytree(pico_base, tmp_path / "model")


@pytest.fixture(autouse=True)
def _ends() -> Iterator[None]:
    """Nothing here takes longer than a few seconds."""
    signal.signal(signal.SIGALRM, lambda *_: pytest.fail("it did not end"))
    signal.alarm(30)
    yield
    signal.alarm(0)


def load(base: Path) -> None:
    load_tokenizer(base)
    load_model(base, AutoModelForMaskedLM)


def change(file: Path, **fields: Any) -> None:
    file.write_text(json.dumps(json.loads(file.read_text()) | fields))


HUGE: list[tuple[str, int]] = [
    (name, size)
    for name in ("num_hidden_layers", "num_labels", "num_attention_heads", "vocab_size", "hidden_size",
                 "max_position_embeddings", "type_vocab_size", "intermediate_size")
    for size in (2**26, 2**40, 2**63)
]  # fmt: skip


@pytest.mark.parametrize(("name", "size"), [*HUGE, ("num_hidden_layers", 100_000)])
def test_what_a_config_claims_costs_neither_time_nor_memory(name: str, size: int, base: Path) -> None:
    change(base / "config.json", **{name: size})
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(CheckpointError, match=r"model") as told:
        load_model(base, AutoModelForTokenClassification)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 300_000  # kB
    assert len(str(told.value)) < 600


@pytest.mark.parametrize("name", ["n_layer", "vocab_size", "n_positions", "n_embd", "n_head", "n_inner"])
def test_a_causal_model_is_bounded_as_well(name: str, tmp_path: Path) -> None:
    base = pico.save_base(tmp_path / "gpt", "gpt2")
    change(base / "config.json", **{name: 2**28})
    with pytest.raises(CheckpointError):
        load_model(base, AutoModelForCausalLM)


def test_a_model_may_be_larger_than_its_checkpoint_by_its_head(base: Path) -> None:
    labels = {number: f"L{number}" for number in range(5000)}
    found = load_model(base, AutoModelForTokenClassification, id2label=labels)
    assert found.model.config.num_labels == 5000


WRONG: dict[str, tuple[str, str, str]] = {
    "architectures that are true": ("config.json", '{"architectures": true}', "architectures is True"),
    "architectures of numbers": ("config.json", '{"architectures": [1]}', "architectures is [1]"),
    "a model type that is a number": ("config.json", '{"model_type": 5}', "model_type is 5"),
    "labels that are a list": ("config.json", '{"id2label": []}', "id2label is []"),
    "layers in words": ("config.json", '{"num_hidden_layers": "two"}', "num_hidden_layers"),
    "a size that is a list": ("config.json", '{"hidden_size": [16]}', "hidden_size"),
    "an activation that there is not": ("config.json", '{"hidden_act": {}}', "hidden_act"),
    "JSON nested 100,000 deep": ("config.json", '{"x":' + "[" * 100_000 + "]" * 100_000 + "}", "nested deeper"),
    "half a character": ("config.json", '{"x": "\\ud800"}', "half a character"),
    "a number of 6,000 digits": ("config.json", '{"x": ' + "9" * 6000 + "}", "not valid JSON"),
    "weights under another name": ("config.json", '{"transformers_weights": "other.safetensors"}', "other.safetensors"),
    "a config that is a number": ("config.json", "5", "config.json is not a JSON object"),
    "a tokenizer that is a number": ("tokenizer.json", "5", "tokenizer.json"),
    "a tokenizer without a model": ("tokenizer.json", "{}", "tokenizer.json"),
    "tokenizer settings that are a list": ("tokenizer_config.json", "[]", "tokenizer_config.json"),
    "a longest text that is a list": ("tokenizer_config.json", '{"model_max_length": [1]}', "tokenizer_config.json"),
    "a padding token that is a number": ("tokenizer_config.json", '{"pad_token": 5}', "tokenizer_config.json"),
}


def checks_fields() -> bool:
    """Whether the installed transformers looks at the types of a config's fields."""
    try:
        BertConfig(hidden_act={})  # type: ignore[arg-type]  # what is to be found
    except Exception:  # of whatever kind it is
        return True
    return False


@pytest.mark.parametrize("wrong", WRONG)
def test_what_is_wrong_in_a_file_is_a_line_that_names_it(wrong: str, base: Path) -> None:
    file, text, says = WRONG[wrong]
    if says == "hidden_act" and not checks_fields():
        pytest.skip(f"transformers {transformers.__version__} takes whatever a config says of the activation")
    parsed = json.loads(text) if len(text) < 1000 and text.startswith("{") and text != "{}" else None
    if isinstance(parsed, dict) and "\\ud" not in text:
        change(base / file, **parsed)
    else:
        (base / file).write_text(text)
    with pytest.raises(CheckpointError) as told:
        load(base)
    assert says in str(told.value)
    assert str(base) in str(told.value)
    assert "\n" not in str(told.value)
    assert len(str(told.value)) < 600


@pytest.mark.parametrize(
    "settings",
    [
        {"padding": {"strategy": {"Fixed": 10**12}, "direction": "Right", "pad_to_multiple_of": None, "pad_id": 0,
                     "pad_type_id": 0, "pad_token": "[PAD]"}},
        {"padding": {"strategy": "BatchLongest", "direction": "Right", "pad_to_multiple_of": 0, "pad_id": 0,
                     "pad_type_id": 0, "pad_token": "[PAD]"}},
        {"truncation": {"direction": "Right", "max_length": 0, "strategy": "LongestFirst", "stride": 0}},
    ],
    ids=("filled up", "multiples of 0", "cut to nothing"),
)  # fmt: skip
def test_how_a_tokenizers_file_cuts_and_fills_texts_is_passed_over(settings: dict[str, Any], base: Path) -> None:
    plain = load_tokenizer(base)("ta mi lo ka su ra")["input_ids"]
    change(base / "tokenizer.json", **settings)
    tokenizer = load_tokenizer(base)
    assert tokenizer("ta mi lo ka su ra")["input_ids"] == plain
    assert len(tokenizer.backend_tokenizer.encode("ta mi lo ka su ra").ids) == len(plain)


@pytest.mark.parametrize("file", ["config.json", "tokenizer.json", "tokenizer_config.json", "generation_config.json"])
def test_a_pipe_in_the_place_of_a_file_is_not_waited_for(file: str, base: Path) -> None:
    (base / file).unlink(missing_ok=True)
    os.mkfifo(base / file)
    with pytest.raises(CheckpointError, match=rf"{file}: a pipe, where a file is expected"):
        load(base)


def test_models_with_a_file_changed_at_random_are_loaded_or_refused_in_a_line(tmp_path: Path) -> None:
    signal.alarm(0)
    bench, tally = Bench(tmp_path, ("bert", "gpt2")), Tally(longest=20, most_memory=1 << 33)
    for name, call in bench.mutants(150, seed=1, commands=("load", "dry", "inspect", "compose")):
        tally.attempt(name, call)
    assert tally.failed == []
    assert {"read", "refused"} == set(tally.kinds)
