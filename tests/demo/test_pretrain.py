"""Pretraining in miniature: what it saves is a plain Hugging Face directory that the auto classes load."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from transformers import AutoModelForMaskedLM, AutoTokenizer, TrainerCallback

from sftkit.demo.languages import Family, make_family, write_text
from sftkit.demo.pieces import learn_pieces
from sftkit.demo.pretrain import PretrainSettings, pretrain_base

SMALL = PretrainSettings(vocabulary=120, hidden=16, layers=1, heads=2, batch=8)


def _pretrain(family: Family, folder: Path, callbacks: tuple[TrainerCallback, ...] = ()) -> Path:
    folder.mkdir(exist_ok=True)
    corpora = {}
    for language in family.pretraining:
        corpora[language.name] = folder / f"{language.name}.txt"
        write_text(language.sample(40, seed=1), corpora[language.name])
    return pretrain_base(family, corpora, folder / "base", seed=0, steps=4, settings=SMALL, callbacks=callbacks)


@pytest.fixture(scope="module")
def family() -> Family:
    return make_family(0)


@pytest.fixture(scope="module")
def base(family: Family, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _pretrain(family, tmp_path_factory.mktemp("demo"))


def test_the_model_loads_with_tied_embeddings(base: Path) -> None:
    model, info = AutoModelForMaskedLM.from_pretrained(base, output_loading_info=True)
    assert not info["missing_keys"]
    assert not info["unexpected_keys"]
    assert model.get_input_embeddings().weight is model.get_output_embeddings().weight


def test_the_tokenizer_is_fast_and_knows_its_limit(base: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(base)
    assert tokenizer.is_fast
    assert tokenizer.model_max_length == SMALL.positions


def test_a_sentence_is_put_between_cls_and_sep(base: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(base)
    tokens = tokenizer.convert_ids_to_tokens(tokenizer("ba da")["input_ids"])
    assert (tokens[0], tokens[-1]) == ("[CLS]", "[SEP]")


def test_pieces_are_learned_the_most_frequent_first_and_ties_by_the_alphabet() -> None:
    assert learn_pieces(["tak tak mir"], 60)[-4:] == ["##ak", "tak", "##ir", "mir"]


def test_the_unseen_target_has_no_unknown_word(family: Family, base: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(base)
    for sentence in family.target.sample(100, seed=1):
        assert tokenizer.unk_token_id not in tokenizer(" ".join(sentence.words))["input_ids"]


def test_every_step_is_told_to_the_callbacks_and_nothing_is_printed(
    family: Family, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    class Count(TrainerCallback):
        steps = 0

        def on_step_end(self, *_args: object, **_kwargs: object) -> None:
            self.steps += 1

    count = Count()
    _pretrain(family, tmp_path, (count,))
    assert count.steps == 4
    printed = capfd.readouterr()
    assert (printed.out, printed.err) == ("", "")


def test_the_same_seed_gives_the_same_weights(family: Family, base: Path, tmp_path: Path) -> None:
    again = AutoModelForMaskedLM.from_pretrained(_pretrain(family, tmp_path)).state_dict()
    for name, weight in AutoModelForMaskedLM.from_pretrained(base).state_dict().items():
        assert torch.equal(weight, again[name])
