"""A switch on models whose output matrix is tied: it says what the composed model says."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers

import sftkit
from sftkit.errors import MismatchError
from tests.composing.test_checkpoint_kinds import composed
from tests.composing.test_ties import LANGUAGE, language_sft, logits
from tests.helpers import pico
from tests.helpers.build import make_sft
from tests.helpers.pico import make_as
from tests.modeling.test_applied import QUERY, in_memory, same, state

NAME = f"bert.{QUERY}"


@pytest.fixture(scope="module")
def sfts(pico_base: Path) -> dict[str, sftkit.SFT]:
    return {name: in_memory(make_sft(pico_base, seed=at, k=4000)) for at, name in enumerate(("a", "b"), 1)}


@pytest.mark.parametrize("family", LANGUAGE)
def test_a_tied_language_model_says_what_the_composed_one_says(family: str, tmp_path: Path) -> None:
    class_name = LANGUAGE[family][0]
    make_as(class_name, family, tie_word_embeddings=True).save_pretrained(tmp_path / "base")
    learned = language_sft(tmp_path / "base", family)
    model_class = getattr(transformers, class_name)
    expected = logits(model_class.from_pretrained(composed(tmp_path / "base", learned, tmp_path / "out")))
    model = model_class.from_pretrained(tmp_path / "base")
    bare, switch = logits(model), sftkit.Switch(model, {"mt": in_memory(learned)})
    for _ in range(3):
        with switch("mt"):
            assert torch.equal(logits(model), expected)
        assert torch.equal(logits(model), bare)
        assert model.get_output_embeddings().weight is model.get_input_embeddings().weight


def test_an_output_matrix_that_phi_moves_is_moved_on_a_tied_model(tmp_path: Path) -> None:
    class_name, _, output, _ = LANGUAGE["bert"]
    make_as(class_name, "bert", tie_word_embeddings=True).save_pretrained(tmp_path / "base")
    learned = language_sft(tmp_path / "base", "bert")
    inputs = "embeddings.word_embeddings.weight"
    specs = {**learned.metadata.parameters, output: learned.metadata.parameters[inputs]}
    moved = {**learned.parameters, output: -learned.parameters[inputs]}
    both = in_memory(replace(learned, parameters=moved, metadata=replace(learned.metadata, parameters=specs)))
    model = getattr(transformers, class_name).from_pretrained(tmp_path / "base")
    bare, switch = logits(model), sftkit.Switch(model, {"both": both, "inputs": in_memory(learned)})
    with both.applied_to(model):
        expected = logits(model)
    for name in ("both", "inputs", "both"):
        with switch(name):
            assert torch.equal(logits(model), expected) == (name == "both")
        assert torch.equal(logits(model), bare)


def test_a_change_of_the_output_matrix_alone_is_told_and_the_next_use_is_right(
    sfts: dict[str, sftkit.SFT], pico_base: Path
) -> None:
    model: Any = pico.make_model()
    before, switch = state(model), sftkit.Switch(model, sfts)
    with switch("a"):
        expected = logits(model)

    def change_it() -> None:
        with switch("a"), torch.no_grad():
            model.get_output_embeddings().weight.add_(1.0)

    with pytest.raises(MismatchError, match="output matrix"):
        change_it()
    assert same(model, before)
    with switch("a"):
        assert torch.equal(logits(model), expected)
