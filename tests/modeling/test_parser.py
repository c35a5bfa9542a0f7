"""The biaffine parser as a transformers model: by itself, without data."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from transformers import AutoConfig

from sftkit.modeling.load import load_model
from sftkit.modeling.parser import AutoModelForDependencyParsing
from sftkit.tasks.parsing.features import ParserCollator
from tests.helpers import pico

parser_of: Any = AutoModelForDependencyParsing.from_config
HEAD = {"arc_biaffine", "relation_biaffine", "relation_linear"}


def make_parser(model_type: str = "bert", relations: int = 5) -> Any:
    config = pico.make_model(model_type).config
    config.num_labels = relations
    parser = parser_of(config).eval()
    torch.manual_seed(1)
    for name, parameter in parser.named_parameters():  # as if it had been trained
        if name.split(".")[0] in HEAD:
            torch.nn.init.normal_(parameter, std=0.1)
    return parser


def sentence(*words: int, windows: int = 1) -> dict[str, Any]:
    """A sentence of words with so many pieces each, as features; its windows share the words evenly."""
    ids: list[list[int]] = [[2] for _ in range(windows)]
    slots = [[0 if i == 0 else -1] for i in range(windows)]
    for word, pieces in enumerate(words):
        window = word * windows // len(words)
        ids[window] += [5 + word * 7 + piece for piece in range(pieces)]
        slots[window] += [1 + word] * pieces
    return {
        "input_ids": [[*each, 3] for each in ids], "slots": [[*each, -1] for each in slots],
        "heads": list(range(len(words))), "labels": [word % 5 for word in range(len(words))],
    }  # fmt: skip


SHORT, LONG, SPLIT = sentence(1, 2), sentence(3, 1, 1, 2, 2), sentence(1, 2, 1, 1, windows=2)
batch_of = ParserCollator(0)


@pytest.mark.parametrize("model_type", list(pico.CONFIGS))
def test_saved_and_loaded_it_is_the_same_on_every_backbone(model_type: str, tmp_path: Path) -> None:
    parser = make_parser(model_type)
    parser.save_pretrained(tmp_path)
    again, info = AutoModelForDependencyParsing.from_pretrained(tmp_path, output_loading_info=True)
    assert not any(info[kind] for kind in ("missing_keys", "unexpected_keys", "mismatched_keys"))
    assert again.config.architectures == [type(parser).__name__]
    batch = batch_of([LONG, SPLIT])
    assert torch.equal(again.eval()(**batch).arc_scores, parser(**batch).arc_scores)


@pytest.mark.parametrize("model_type", list(pico.CONFIGS))
def test_a_fresh_head_finds_all_heads_and_relations_as_likely_whatever_the_backbone(
    model_type: str, tmp_path: Path
) -> None:
    config = pico.make_model(model_type).config
    config.num_labels = 5
    base = pico.save_base(tmp_path / "base", model_type)
    loaded: Any = load_model(base, AutoModelForDependencyParsing, num_labels=5).model
    for parser in (parser_of(config), loaded):
        assert not any(parser.get_submodule(name).weight.any() for name in HEAD)
        assert not any(parser.get_submodule(name).bias.any() for name in HEAD)
        assert any(parameter.any() for parameter in parser.base_model.parameters())
        loss = parser.eval()(**batch_of([SHORT])).loss.item()
        assert loss == pytest.approx(np.log(2) + np.log(5), rel=1e-5)  # a word has the root and one word to choose from


def test_scores_are_plain_products_with_a_bias_for_the_head_and_for_relations_for_both_and_the_word() -> None:
    parser = make_parser()
    output = parser(**batch_of([SHORT]))
    root, first, second = output.vectors[0]
    arcs, relations, linear = parser.arc_biaffine, parser.relation_biaffine, parser.relation_linear
    torch.testing.assert_close(output.arc_scores[0, 1, 1], (arcs.weight @ second + arcs.bias) @ first)
    of_second = parser.relation_scores(output.vectors, torch.tensor([2]), torch.tensor([0]))[0]
    for number, score in enumerate(of_second):
        rows = slice(number * len(root), (number + 1) * len(root))
        product = (relations.weight[rows] @ second + relations.bias[rows]) @ root
        torch.testing.assert_close(score, product + linear.weight[number] @ second + linear.bias[number])


#: Operations whose outputs' shapes depend on values, or that hand a value to Python: a GPU is waited for.
WAITING = ("nonzero", "bincount", "masked_select", "unique", "_local_scalar_dense", "_unique2", "argwhere")


class Watched(TorchDispatchMode):
    """Takes down which of them run."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # torch leaves it untyped
        self.waited: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        boolean = func.overloadpacket.__name__ in ("index", "index_put_", "index_put") and any(
            index is not None and index.dtype in (torch.bool, torch.uint8) for index in args[1]
        )
        if boolean or func.overloadpacket.__name__ in WAITING:
            self.waited.append(str(func))
        return func(*args, **(kwargs or {}))


def test_a_step_asks_for_no_value_that_a_gpu_must_be_waited_for() -> None:
    parser, batch = make_parser(), batch_of([LONG, SHORT, SPLIT])
    with Watched() as backbone:
        parser.base_model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"])
    with Watched() as whole:
        parser(**batch, num_items_in_batch=torch.tensor(22)).loss.backward()
    assert len(whole.waited) == len(backbone.waited), whole.waited
    with Watched() as seen:
        batch["slots"][batch["slots"] > 0].max().item()
    assert len(seen.waited) == 2


@pytest.mark.parametrize(
    ("model_type", "name"), [("bert", "Bert"), ("xlm-roberta", "XLMRoberta"), ("deberta-v2", "DebertaV2")]
)
def test_a_base_is_loaded_whole_under_it_and_its_config_is_the_bases(
    model_type: str, name: str, tmp_path: Path
) -> None:
    base = pico.save_base(tmp_path / "base", model_type)
    loaded = load_model(base, AutoModelForDependencyParsing, num_labels=5)
    assert type(loaded.model).__name__ == f"{name}ForDependencyParsing"
    assert type(loaded.model.config) is type(AutoConfig.from_pretrained(base))
    assert {key.split(".")[0] for key in loaded.fresh} == HEAD
    assert not any("pooler" in key for key, _ in loaded.model.named_parameters())


@pytest.mark.parametrize("model_type", ["bert", "xlm-roberta", "distilbert", "modernbert"])
def test_scores_do_not_depend_on_what_else_is_in_the_batch(model_type: str) -> None:
    parser = make_parser(model_type)
    together = parser(**batch_of([LONG, SHORT, SPLIT]))
    for row, alone in enumerate([LONG, SHORT, SPLIT]):
        scores = parser(**batch_of([alone])).arc_scores[0]
        words = len(scores)
        torch.testing.assert_close(together.arc_scores[row, :words, : words + 1], scores, rtol=1e-4, atol=1e-5)
        assert together.arc_scores[row, :, words + 1 :].isneginf().all()


def test_the_loss_is_the_mean_over_words_whatever_the_batch() -> None:
    parser = make_parser()
    alone = [parser(**batch_of([each])).loss.item() * len(each["heads"]) for each in (LONG, SHORT, SPLIT)]
    together = parser(**batch_of([LONG, SHORT, SPLIT])).loss.item()
    assert together == pytest.approx(sum(alone) / 11, rel=1e-5)
    half = parser(**batch_of([LONG, SHORT, SPLIT]), num_items_in_batch=torch.tensor(22)).loss.item()
    assert half == pytest.approx(together / 2)


def test_the_loss_is_the_cross_entropy_of_heads_and_of_relations_the_root_words_included() -> None:
    parser = make_parser()
    output = parser(**batch_of([SHORT]))
    heads = torch.log_softmax(output.arc_scores[0], -1)
    relations = torch.log_softmax(
        parser.relation_scores(output.vectors, torch.tensor([1, 2]), torch.tensor([0, 1])), -1
    )
    total = heads[0, 0] + heads[1, 1] + relations[0, 0] + relations[1, 1]
    assert output.loss.item() == pytest.approx(-total.item() / 2, rel=1e-5)


def test_a_words_vector_is_the_mean_of_its_pieces_and_the_roots_that_of_the_first_token() -> None:
    parser = make_parser()
    hidden = parser.base_model(input_ids=torch.tensor(LONG["input_ids"]))[0][0]
    vectors = parser(**batch_of([LONG])).vectors[0]
    torch.testing.assert_close(vectors[0], hidden[0])
    torch.testing.assert_close(vectors[1], hidden[1:4].mean(0))
    torch.testing.assert_close(vectors[2], hidden[4])


def test_words_of_different_windows_are_scored_as_each_others_heads() -> None:
    scores = make_parser()(**batch_of([SPLIT])).arc_scores[0]
    assert scores.isfinite().sum() == 4 * 5 - 4  # all but each word for itself


def test_an_encoder_decoder_model_is_refused() -> None:
    config = AutoConfig.for_model("t5", d_model=8, d_kv=4, d_ff=8, num_layers=1, num_heads=2, vocab_size=20)
    with pytest.raises(ValueError, match="encoder-decoder"):
        parser_of(config)


def test_a_backbone_whose_states_are_narrower_than_its_layers_is_parsed_with() -> None:
    config = AutoConfig.for_model(
        "opt", vocab_size=pico.VOCABULARY, hidden_size=16, word_embed_proj_dim=8, ffn_dim=16, num_hidden_layers=1,
        num_attention_heads=2, max_position_embeddings=64, num_labels=5,
    )  # fmt: skip
    assert parser_of(config).arc_biaffine.in_features == 8
