"""Windows full of text: which tokens they have, of which lines, with which special tokens."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import chain
from pathlib import Path

import datasets
import pytest
from datasets import Dataset
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
from transformers import PreTrainedTokenizerBase, PreTrainedTokenizerFast

from sftkit.errors import DataError
from sftkit.tasks.clm import CausalLM
from sftkit.tasks.corpora.pieces import LONGEST
from sftkit.tasks.corpora.text import LanguageObjective
from sftkit.tasks.mlm import MaskedLM
from sftkit.tasks.options import TaskOptions
from tests.helpers import pico

EITHER_WAY = pytest.mark.parametrize("pack", [True, False], ids=["full", "line by line"])
WORDS = st.sampled_from(["ta", "mi", "lo", "x1", "[MASK]", "é"])
LINES = st.lists(st.lists(WORDS, min_size=1, max_size=30), min_size=1)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")


def write(path: Path, *lines: str) -> Path:
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return path


def windows(
    *paths: Path,
    objective: LanguageObjective | None = None,
    tokenizer: PreTrainedTokenizerBase | None = None,
    length: int = 8,
) -> list[str]:
    made, tokenizer = objective or MaskedLM(), tokenizer or pico.make_tokenizer()
    features = made.features(made.read([str(path) for path in paths]), tokenizer, length)
    return [" ".join(tokenizer.convert_ids_to_tokens(example["input_ids"])) for example in features]


def small(
    special: Sequence[str], post: processors.PostProcessor | None = None, **names: str
) -> PreTrainedTokenizerFast:
    """A tokenizer of whole words with these special tokens only."""
    words = [*special, "<unk>", "ta", "mi", "lo", "su"]
    tokenizer = Tokenizer(models.WordLevel({word: i for i, word in enumerate(words)}, "<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.normalizer = normalizers.Replace("nothing", "")
    if post is not None:
        tokenizer.post_processor = post
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="<unk>", model_max_length=64, **names)


def bare() -> PreTrainedTokenizerFast:
    return small([])


def gpt2() -> PreTrainedTokenizerFast:
    return small(["<|end|>"], eos_token="<|end|>", bos_token="<|end|>")


def llama() -> PreTrainedTokenizerFast:
    post = processors.TemplateProcessing(single="<s> $A", pair="<s> $A <s> $B", special_tokens=[("<s>", 0)])
    return small(["<s>", "</s>"], post, bos_token="<s>", eos_token="</s>")


def bos_only() -> PreTrainedTokenizerFast:
    post = processors.TemplateProcessing(single="<s> $A", pair="<s> $A <s> $B", special_tokens=[("<s>", 0)])
    return small(["<s>"], post, bos_token="<s>")


def test_lines_are_joined_cut_where_a_window_is_full_and_go_on_in_the_next(tmp_path: Path) -> None:
    assert windows(write(tmp_path / "x.txt", "ta mi", "lo su ra ka en", "ta")) == [
        "[CLS] ta mi [SEP] lo su ra [SEP]",
        "[CLS] ka en [SEP] ta [SEP]",
    ]


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (bare, ["ta mi lo su ta mi lo su", "ta mi"]),
        (gpt2, ["ta mi lo su <|end|> ta mi lo", "su <|end|> ta mi"]),
        (llama, ["<s> ta mi lo su </s> ta mi", "<s> lo su </s> ta mi"]),
        (bos_only, ["<s> ta mi lo su <s> ta mi", "<s> lo su <s> ta mi"]),
    ],
)
def test_special_tokens_stand_where_the_tokenizer_puts_them_and_between_lines(
    make: Callable[[], PreTrainedTokenizerFast], expected: list[str], tmp_path: Path
) -> None:
    path = write(tmp_path / "x.txt", "ta mi lo su", "ta mi lo su", "ta mi")
    assert windows(path, objective=CausalLM(), tokenizer=make()) == expected


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(words=LINES, length=st.integers(8, 20))
def test_all_windows_but_the_last_are_full_and_no_token_is_lost(
    words: list[list[str]], length: int, tmp_path: Path
) -> None:
    lines, tokenizer = [" ".join(line) for line in words], pico.make_tokenizer()
    objective = MaskedLM()
    features = objective.features(objective.read([str(write(tmp_path / "x.txt", *lines))]), tokenizer, length)
    found = [example["input_ids"] for example in features]
    assert all(len(ids) == length for ids in found[:-1])
    inside = list(chain.from_iterable(ids[1:-1] for ids in found))
    own = [[*ids, tokenizer.sep_token_id] for ids in tokenizer(lines, add_special_tokens=False)["input_ids"]]
    assert inside == list(chain.from_iterable(own))[:-1]
    assert features.tokens == sum(map(len, found))
    assert features.lengths().tolist() == [len(ids) for ids in found]


@EITHER_WAY
def test_held_out_lines_are_scored_and_not_trained_on(pack: bool, tmp_path: Path) -> None:
    path = write(tmp_path / "x.txt", *(f"ta {'mi ' * (i % 23)}" for i in range(1, 201)))
    objective, tokenizer = MaskedLM(TaskOptions(pack=pack)), pico.make_tokenizer()
    training, dev = objective.held_out(objective.read([str(path)]), 0.2, 3, "x")
    found = [objective.features(rows, tokenizer, 16) for rows in (training, dev)]
    assert (len(training), len(dev)) == (160, 40)
    for features in found:
        assert features.tokens == sum(len(example["input_ids"]) for example in features)
        assert features.lengths().tolist() == [len(example["input_ids"]) for example in features]
    texts = [tokenizer.convert_ids_to_tokens([i for each in part for i in each["input_ids"]]) for part in found]
    assert [text.count("ta") for text in texts] == [160, 40]
    assert sum(text.count("mi") for text in texts) == sum(i % 23 for i in range(1, 201))
    if pack:
        lines = " ".join(texts[1]).replace("[SEP] [CLS] ", "").removeprefix("[CLS] ").removesuffix(" [SEP]")
        numbers = [line.split().count("mi") for line in lines.split("[SEP]")]
        assert numbers == [(i + 1) % 23 for i in dev.parts[0].some]


def test_every_source_has_windows_of_its_own(tmp_path: Path) -> None:
    first, second = write(tmp_path / "a.txt", "ta ta", "mi"), write(tmp_path / "b.txt", "lo lo")
    assert windows(first, second) == ["[CLS] ta ta [SEP] mi [SEP]", "[CLS] lo lo [SEP]"]


def test_lines_that_are_no_tokens_leave_nothing_behind(tmp_path: Path) -> None:
    path, objective = write(tmp_path / "x.txt", "nothing", "ta", "nothing", "mi", "nothing"), CausalLM()
    assert windows(path, objective=objective, tokenizer=gpt2()) == ["ta <|end|> mi"]
    assert len(objective.read([str(path)])) == 5
    with pytest.raises(DataError, match="the text has not a token"):
        windows(write(tmp_path / "y.txt", "nothing"), tokenizer=gpt2())


def test_a_rest_of_which_nothing_could_be_predicted_is_left_out(tmp_path: Path) -> None:
    path = write(tmp_path / "x.txt", "ta mi lo su " * 2 + "ta")
    assert windows(path, objective=CausalLM(), tokenizer=bare()) == ["ta mi lo su ta mi lo su"]
    assert windows(path, tokenizer=bare()) == ["ta mi lo su ta mi lo su", "ta"]
    with pytest.raises(DataError, match="the text has not 2 tokens"):
        windows(write(tmp_path / "y.txt", "ta"), objective=CausalLM(), tokenizer=bare())


@EITHER_WAY
def test_a_long_line_has_the_tokens_that_it_has_whole(pack: bool, tmp_path: Path) -> None:
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    model = models.BPE({each: i for i, each in enumerate([*alphabet, "Ġt", "ta"])}, [("Ġ", "t"), ("t", "a")])
    made = Tokenizer(model)
    made.pre_tokenizer, made.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=made)
    line = "ta ti \U0001f44b\U0001f3fd e\u0301 " * (LONGEST // 4)
    objective = MaskedLM(TaskOptions(pack=pack))
    rows = objective.read([str(write(tmp_path / "x.txt", line))])
    features = objective.features(rows, tokenizer, 1 << 15)
    found = list(chain.from_iterable(example["input_ids"] for example in features))
    assert found == tokenizer(line)["input_ids"]
    assert (len(rows), len(features)) == (1, -(-len(found) // (1 << 15)))


@EITHER_WAY
def test_cells_of_a_table_make_the_windows_of_lines(pack: bool, tmp_path: Path) -> None:
    lines, objective = ["ta mi", "lo", "su " * 20], MaskedLM(TaskOptions(pack=pack))
    Dataset.from_dict({"text": lines}).to_parquet(str(tmp_path / "x.parquet"))
    plain = windows(write(tmp_path / "x.txt", *lines), objective=objective)
    assert windows(tmp_path / "x.parquet", objective=objective) == plain


def test_the_examples_that_are_scored_are_the_windows(corpus: Path) -> None:
    for objective in (MaskedLM(), MaskedLM(TaskOptions(pack=False))):
        rows = objective.read([str(corpus)])
        evaluator = objective.evaluator(rows, pico.make_tokenizer(), 16, seed=0)
        assert evaluator.examples == len(objective.features(rows, pico.make_tokenizer(), 16))
